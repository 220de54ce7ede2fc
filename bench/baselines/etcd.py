"""etcd, one member, as it comes: every transaction is in its log and synced before the reply. Spoken to by its JSON
gateway, since OnceKV speaks JSON too; what the gateway costs is part of the comparison, and named in the table.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import requests

from bench.baselines.ports import await_answer, free_port
from bench.process import child

__all__ = ["etcd_baseline", "etcd_version"]


def etcd_version(program: str) -> str:
    """What it says of itself."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.partition("\n")[0].removeprefix("etcd Version: ").strip()


@contextlib.contextmanager
def etcd_baseline(program: str, folder: Path) -> Iterator[str]:
    """Its URL while it runs."""
    folder.mkdir(parents=True, exist_ok=True)
    url, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    words = [program, "--name", "bench", "--data-dir", str(folder / "etcd"), "--log-level", "error"]
    words += ["--listen-client-urls", url, "--advertise-client-urls", url]
    words += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"bench={peer}"]
    with (folder / "etcd.log").open("ab") as log, child(words, stdout=log, stderr=log) as process:
        await_answer(process, folder / "etcd.log", lambda: requests.get(f"{url}/health", timeout=1).ok)
        yield url
