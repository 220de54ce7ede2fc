"""Whether the tests in containers can run, and the images that they need."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from chaos.runtime.base import ServerError
from chaos.runtime.compose import docker

__all__ = ["need_images"]

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
