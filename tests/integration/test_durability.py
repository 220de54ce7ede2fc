"""Writes are durable before the reply leaves: proven from what the server asked of the kernel, call by call.

A real server runs under strace while clients write in parallel: single calls, batches, keyed calls, and all of them
once more. For every reply the write-ahead log must have been synced after the transaction's last frame, and the sync
have returned before the reply's first byte went out. Two servers that only look durable must be found out.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chaos.runtime.local import LocalServer, oncekv_command
from tests.support.caller import Caller, request
from tests.support.sabotaged_server import spoilt
from tests.support.seed import unique
from tests.support.server import MODELS
from tests.support.syscalls import Found, early, groups, judge, parse, strace
from tests.support.waiting import at_once

CLIENTS = 6
ROUNDS = 8
BATCH = 5
EARLY = {
    "synchronous=NORMAL": spoilt("sync=1"),
    "reply-before-commit": [*spoilt()[:2], "tests.bugs.serve", "reply-before-commit"],
}
Values = dict[str, str]
Watch = Callable[..., list[Found]]


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """Run the load on a server under strace; every reply's way."""
    if shutil.which("strace") is None:
        pytest.skip("NO STRACE: nobody looks whether a reply waits for the disk (apt-get install strace)")

    def watch(command: Sequence[str], model: str, workers: int = 1) -> list[Found]:
        trace = tmp_path / "trace"
        server = LocalServer(
            tmp_path / "data", command=[*strace(trace), *command], extra_args=["--model", model], workers=workers,
            start_timeout_s=60,
        )  # fmt: skip
        with server:
            values = _load(server.url)
            os.kill(server.pid, signal.SIGTERM)  # the server itself: strace would keep the signal
            assert server.wait_dead(60) == 0, server.log_tail()
        with trace.open(encoding="ascii") as lines:
            return judge(list(parse(lines)), values)

    return watch


def _load(url: str) -> Values:
    """What each of the calls wrote, by the id of its reply."""
    with Caller(url, timeout_s=60) as kv:
        values: Values = {}
        for of_one in at_once([partial(_client, kv)] * CLIENTS, 240):
            values |= of_one
    return values


def _client(kv: Caller) -> Values:
    """One client's calls, each sent twice: the second reply comes from the record, and is judged all the same."""
    values: Values = {}
    session = kv.open().name

    def fresh(seq: int | None = None) -> dict[str, Any]:
        params: dict[str, Any] = {"key": unique("key"), "value": f"{unique('value')};"}
        return params if seq is None else {**params, "_meta": {"session": session, "seq": seq}}

    def named(params: dict[str, Any]) -> dict[str, Any]:
        reply = unique("reply")
        values[reply] = params["value"]
        return request("kv.append", params, id=reply)

    for number in range(ROUNDS):
        single, *batch = [fresh(seq + 1) for seq in range(number * (BATCH + 1), (number + 1) * (BATCH + 1))]
        keyed, header = fresh(), {"Idempotency-Key": unique("once")}
        for _ in ("first", "again"):
            answers = [
                kv.send(named(single)).answer,
                *kv.send([named(params) for params in batch]).answers,
                kv.send(named(keyed), header).answer,
            ]
            assert [answer.ok["offset"] for answer in answers] == [0] * (BATCH + 2)
    return values


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("model", MODELS)
def test_no_byte_of_a_reply_leaves_before_its_commit_is_on_the_disk(watch: Watch, model: str, workers: int) -> None:
    """Frames, commit frame, sync begun, sync returned, and only then the reply: for every call of every group."""
    found = watch(oncekv_command(), model, workers)
    assert len(found) == 2 * CLIENTS * ROUNDS * (BATCH + 2)
    assert early(found) == []
    assert max(groups(found)) > 2 * BATCH, "no two batches shared a commit: groups were not seen"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("fault", EARLY)
def test_a_server_that_does_not_wait_for_the_disk_is_found_out(watch: Watch, fault: str, model: str) -> None:
    """What proves the server right is able to prove one wrong: without a sync for each commit, and with it too late."""
    found = watch(EARLY[fault], model)
    assert all(one.committed and one.sent for one in found), "each is seen: it is found out by their order alone"
    assert len(early(found)) > len(found) / 4
