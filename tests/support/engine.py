"""Whether the tests in containers can run, the images that they need, and what holds for every container."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from chaos.runtime.base import ServerError
from chaos.runtime.docker import docker

__all__ = ["assert_hardened", "is_healthy", "left_of", "need_images"]

ROOT = Path(__file__).resolve().parents[2]
BUILD_MAX_S = 1200


def need_images(*profiles: str) -> None:
    """Build the images if they are not as the sources are, those of the profiles too.

    Without an engine: skip, or fail if REQUIRE_DOCKER=1.
    """
    try:
        docker("info", timeout_s=20)
        docker("compose", "version", timeout_s=20)
    except ServerError as error:
        reason = f"NO DOCKER ENGINE: nothing is tested in containers ({error})"
        if os.environ.get("REQUIRE_DOCKER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    built = subprocess.run(
        ["scripts/images", *profiles], cwd=ROOT, capture_output=True, text=True, timeout=BUILD_MAX_S, check=False
    )
    assert built.returncode == 0, built.stderr


def is_healthy(container: str) -> bool:
    """What Docker's health check said last."""
    return docker("inspect", "--format", "{{.State.Health.Status}}", container) == "healthy"


def left_of(project: str) -> list[str]:
    """What Docker has of a Compose project, and of those whose names begin with its own and a dash."""
    kinds = {"container": ("ps", "--all"), "network": ("network", "ls"), "volume": ("volume", "ls")}
    form = '{{.Label "com.docker.compose.project"}}'
    owners = [(kind, owner) for kind, words in kinds.items() for owner in docker(*words, "--format", form).splitlines()]
    return [f"{kind} of {owner}" for kind, owner in owners if f"{owner}-".startswith(f"{project}-")]


def assert_hardened(container: str) -> None:
    """Non-root, read-only, without capabilities or new privileges, bounded; published on 127.0.0.1 alone."""
    (found,) = json.loads(docker("inspect", container))
    host = found["HostConfig"]
    assert found["Config"]["User"].partition(":")[0] not in ("", "0", "root"), container
    assert host["ReadonlyRootfs"], container
    assert host["CapDrop"] == ["ALL"], container
    assert "no-new-privileges:true" in host["SecurityOpt"], container
    assert host["Memory"] > 0, container
    assert host["LogConfig"]["Config"]["max-size"], container
    uids = [line.split()[1] for line in docker("top", container, "-o", "pid,uid").splitlines()[1:]]
    assert uids, container
    assert "0" not in uids, container
    for bindings in (host["PortBindings"] or {}).values():
        assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}, container
