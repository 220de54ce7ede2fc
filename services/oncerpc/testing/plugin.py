"""The pytest plugin: what `oncerpc.testing` has, as fixtures of the same names."""

from __future__ import annotations

from typing import Any

import pytest

__all__ = ["assert_retry_safe", "crash_at", "lost_reply", "sent_twice"]


def _testing() -> Any:
    """Only when a test asks: the plugin is loaded in every run of pytest."""
    import oncerpc.testing

    return oncerpc.testing


@pytest.fixture
def assert_retry_safe() -> Any:
    """`oncerpc.testing.assert_retry_safe`."""
    return _testing().assert_retry_safe


@pytest.fixture
def sent_twice() -> Any:
    """`oncerpc.testing.sent_twice`."""
    return _testing().sent_twice


@pytest.fixture
def lost_reply() -> Any:
    """`oncerpc.testing.lost_reply`."""
    return _testing().lost_reply


@pytest.fixture
def crash_at() -> Any:
    """`oncerpc.testing.crash_at`."""
    return _testing().crash_at
