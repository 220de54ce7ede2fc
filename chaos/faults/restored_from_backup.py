"""A backup is taken while clients call; later the server dies with its disk, and comes back from the backup.

It knows what the backup knows. Of what came after, it must not pretend to know anything: a retry is refused as
`session_unknown`, and nothing runs under a session of before.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault, count_acknowledged, wait_struck
from chaos.runner.environment import EnvironmentFailed
from chaos.runtime.local_server import LocalServer, oncekv_command

if TYPE_CHECKING:
    from chaos.runner.environment import Environment


class RestoredFromBackup(Fault):
    """`oncekv backup` while the server serves, and after a while SIGKILL and a start on the copy."""

    def __init__(self) -> None:
        self._backup: Path | None = None
        self._restores = 0
        self._said = ""

    def inject(self, env: Environment) -> None:
        server = _local(env)
        self._backup = server.data_dir.with_name("backup.db")
        words = [*oncekv_command(), "backup", server.store, str(self._backup)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise EnvironmentFailed(done.stderr.strip())
        self._said = done.stdout.strip().partition(": ")[2]

    def hold(self, env: Environment, hold_s: float) -> None:
        """Calls that the backup does not know: some are told ok, and the last are answered and nobody hears it."""
        acknowledged = count_acknowledged(env)
        wait_struck(env, lambda: acknowledged() > 0, "a call that began after the backup is acknowledged")
        for link in env.links:
            link.add("timeout", "downstream", timeout=0)
        env.wait(hold_s)

    def heal(self, env: Environment) -> None:
        if self._backup is None or not self._backup.exists():
            return
        server = _local(env)
        server.kill()
        server.lose_data()
        server.data_dir.mkdir(parents=True)
        self._backup.rename(server.data_dir / "kv.db")
        self._restores += 1
        env.revive()
        for link in env.links:
            link.heal()

    def fired(self, counts: Counts) -> int:
        """Times a backup took the place of the store."""
        return self._restores

    def proof(self) -> list[str]:
        """What the backup held."""
        return [f"restored from a backup with {self._said}"]


def _local(env: Environment) -> LocalServer:
    assert isinstance(env.server, LocalServer), "the scenario names its runtime"
    return env.server
