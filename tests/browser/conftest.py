"""A browser led to the live page. The world, `live`, is each file's own, started as it needs it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.browser import Browser, chromium_or_skip
from tests.support.live import LiveProcess


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory, live: LiveProcess) -> Iterator[Browser]:
    """One browser for all tests of a file."""
    profile = tmp_path_factory.mktemp("profile")
    with chromium_or_skip("the live page is not tried in a browser", profile, live.origin) as browser:
        yield browser
