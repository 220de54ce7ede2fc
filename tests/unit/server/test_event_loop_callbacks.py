"""Callbacks: how other threads reach the event loop, under an interpreter that switches at every step."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from oncekv.server.config import Config
from oncekv.server.engine.storage import open_store
from oncekv.server.http.app import KvServer
from oncekv.server.http.models.event_loop import _Handler, _logged
from oncekv.server.wiring import make_components
from tests.support.thread_switches import hasty_switching
from tests.support.waiting import at_once

WRITERS = 12
CALLBACKS = 30
WAIT_MAX_S = 30.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KvServer]:
    """What the loop serves; nothing of it is called here."""
    config = Config(store_url=f"sqlite:///{tmp_path}/kv.db")
    server = KvServer(make_components(config, open_store(config.store_url), 1, None))
    yield server
    server.close()


def test_no_letter_to_the_loop_lies_unread(server: KvServer) -> None:
    """What is sent to the event loop wakes it, however near to its last look: nobody waits for another's letter."""
    _race_for_letters(server, _Handler, WRITERS, WAIT_MAX_S)


class DeafHost(_Handler):
    """It says last of all, and not first, that it may be woken again."""

    def _run_callbacks(self) -> None:
        for _ in range(len(self._callbacks)):
            _logged(self._callbacks.popleft())
        self._is_woken = False


def test_a_loop_that_looks_before_it_listens_is_caught(server: KvServer) -> None:
    """A letter that comes while others are read stays where it is; one writer is enough, for none comes to its help."""
    with pytest.raises(AssertionError, match="unread"):
        _race_for_letters(server, DeafHost, 1, 0.5)


def _race_for_letters(server: KvServer, kind: type[_Handler], writers: int, wait_max_s: float) -> None:
    loop = asyncio.new_event_loop()
    host = kind(server, loop)
    thread = threading.Thread(target=loop.run_forever)

    def write(_writer: int) -> None:
        for _ in range(CALLBACKS):
            read = threading.Event()
            host.on_loop(partial(host.on_loop, read.set))  # a letter that, when it is read, writes another
            assert read.wait(wait_max_s), "a letter lies unread"

    with hasty_switching("event_loop.py"):
        thread.start()
        try:
            at_once([partial(write, number) for number in range(writers)], WAIT_MAX_S)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
