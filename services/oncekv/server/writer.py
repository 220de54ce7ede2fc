"""The writer: the process in which a server with several workers commits, or with one (`--writer process`).

Its committer is the only one, so groups are as large as the load allows, what it knows of the store stays true, and the
workers read, parse and answer on other cores meanwhile. It ends when the last worker has closed its way here.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue

from oncekv.server.calls import Call, Waiting
from oncekv.server.committer import Committer
from oncekv.server.far import Parcels, send
from oncekv.server.log import log
from oncekv.server.parcels import pack_answers, unpack_calls
from oncekv.server.parts import Parts

__all__ = ["serve_workers"]

Answered = tuple[int, Sequence[Call]]
PARCEL_CALLS_MAX = 10_000


def serve_workers(parts: Parts, ways: Sequence[socket.socket], announce: Callable[[], object]) -> int:
    """Commit what comes on these ways until all are closed; the exit code."""
    committer = Committer(parts)
    committer.start()
    listeners = [threading.Thread(target=_listen, args=(way, parts, committer), name="listen") for way in ways]
    for listener in listeners:
        listener.start()
    announce()
    for listener in listeners:
        listener.join()
    committer.stop()
    parts.store.close()
    return 0


def _listen(way: socket.socket, parts: Parts, committer: Committer) -> None:
    """One worker's calls, until it closes."""
    try:
        _take_in(way, parts, committer)
    except BaseException:
        # Its calls would wait for ever. Crashing is safe; hanging is not.
        log.critical("the writer lost its way to a worker; the server ends", exc_info=True)
        os._exit(1)


def _take_in(way: socket.socket, parts: Parts, committer: Committer) -> None:
    answered: SimpleQueue[Answered | None] = SimpleQueue()
    speaker = threading.Thread(target=_speak, args=(way, answered), name="speak", daemon=True)
    speaker.start()
    parcels = Parcels(way)
    try:
        while True:
            committer.submit([
                Waiting(calls, size, partial(answered.put, (number, calls)))
                for parcel in parcels.some()
                for number, size, calls in unpack_calls(parcel, parts.facts.methods)
            ])  # fmt: skip
    except (EOFError, ConnectionError) as error:
        log.info("a worker is gone: %s", error)
    answered.put(None)
    speaker.join()
    way.close()


def _speak(way: socket.socket, answered: SimpleQueue[Answered | None]) -> None:
    """Answers, those of a whole group in one parcel. A thread of its own: the committer never waits for a worker."""
    while (first := answered.get()) is not None:
        parcel = [first]
        is_last = False
        try:
            while len(parcel) < PARCEL_CALLS_MAX and not is_last:
                more = answered.get_nowait()
                is_last = more is None
                parcel += [more] if more is not None else []
        except Empty:
            pass
        try:
            send(way, pack_answers(parcel))
        except OSError as error:
            log.info("a worker did not wait for its answers: %s", error)
            return
        if is_last:
            return
