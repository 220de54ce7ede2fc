"""The reader and the judge of traces, on traces written by hand: one that is in order, and each way to be early."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.support.syscalls import early, groups, judge, parse

VALUE, REPLY = "value-7;", "reply-7"
WAL, SOCKET = "/data/kv.db-wal", "socket:[4711]"


def _hex(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


def _call(name: str, path: str, data: bytes = b"", result: int = 1) -> str:
    return f'{name}(5<{_hex(path.encode())}>, "{_hex(data)}", {len(data)}) = {result}'


HEAD = _call("pwrite64", WAL, bytes(24))
LAST_HEAD = _call("pwrite64", WAL, b"\0\0\0\x02\0\0\0\x09" + bytes(16))
PAGE = _call("pwrite64", WAL, b"page " + VALUE.encode() + bytes(64))
OTHER_PAGE = _call("pwrite64", WAL, bytes(4096))
SYNC = f"fdatasync(5<{_hex(WAL.encode())}>) = 0"
SYNC_FAILED = SYNC.replace("= 0", "= -1 EIO (Input/output error)")
SYNC_OF_OTHER = SYNC.replace(_hex(WAL.encode()), _hex(b"/data/kv.db"))
SENT = _call("sendto", SOCKET, b'HTTP/1.1 200 OK\r\n\r\n{"jsonrpc":"2.0","id":"reply-7","result":{}}')
HEAD_SENT = _call("writev", SOCKET, b"HTTP/1.1 200 OK\r\n\r\n")
BODY_SENT = _call("writev", SOCKET, b'{"jsonrpc":"2.0","id":"reply-7","result":{}}')
COMMITTED = [HEAD, PAGE, LAST_HEAD, OTHER_PAGE]


def _cut(call: str) -> tuple[str, str]:
    """The two lines that one call has when another thread's stands between its begin and its end."""
    words, _, result = call.rpartition(") = ")
    return f"{words} <unfinished ...>", f"<... {call.partition('(')[0]} resumed>) = {result}"


def _is_early(calls: Sequence[str], thread: Sequence[int] = ()) -> bool:
    """Whether the reply is found to be early. thread: of each line; one for all if left out."""
    lines = [f"{number} {line}\n" for number, line in zip(thread or [1] * len(calls), calls, strict=True)]
    return bool(early(judge(list(parse(lines)), {REPLY: VALUE})))


SYNC_BEGUN, SYNC_ENDED = _cut(SYNC)
PAGE_BEGUN, PAGE_ENDED = _cut(OTHER_PAGE)


def test_a_reply_after_its_sync_is_in_time() -> None:
    """Also where the sync is cut in two by another thread's call, and where somebody else's reply comes in between."""
    assert not _is_early([*COMMITTED, SYNC, SENT])
    assert not _is_early([*COMMITTED, SYNC, HEAD_SENT, BODY_SENT])
    assert not _is_early([*COMMITTED, SYNC_BEGUN, HEAD, SYNC_ENDED, SENT], thread=[1, 1, 1, 1, 1, 2, 1, 2])
    assert not _is_early([SENT.replace("reply-7", "reply-6"), "exit_group(0) = ?", *COMMITTED, SYNC, SENT])


@pytest.mark.parametrize(
    ("calls", "threads"),
    [
        pytest.param([*COMMITTED, SENT], "11112", id="no sync at all"),
        pytest.param([*COMMITTED, SENT, SYNC], "111121", id="sync after it"),
        pytest.param([*COMMITTED, SYNC_BEGUN, SENT, SYNC_ENDED], "1111121", id="sync still under way"),
        pytest.param([*COMMITTED, HEAD_SENT, SYNC, BODY_SENT], "1111212", id="its head before the sync"),
        pytest.param([HEAD, PAGE, SYNC, LAST_HEAD, OTHER_PAGE, SENT], "111112", id="sync before the last frame"),
        pytest.param([HEAD, PAGE, LAST_HEAD, PAGE_BEGUN, SYNC, PAGE_ENDED, SENT], "1111312", id="sync begun too soon"),
        pytest.param([HEAD, PAGE, SYNC, SENT], "1112", id="no commit"),
        pytest.param([*COMMITTED, SYNC_FAILED, SENT], "111112", id="sync failed"),
        pytest.param([*COMMITTED, SYNC_OF_OTHER, SENT], "111112", id="other file"),
        pytest.param([*COMMITTED, SYNC], "11111", id="never seen to leave"),
        pytest.param([SYNC, SENT], "12", id="never seen to be written"),
    ],
)
def test_a_reply_that_is_early_or_unproven_is_found(calls: list[str], threads: str) -> None:
    """Whatever of the four steps is missing, unfinished, failed or out of order."""
    assert _is_early(calls, [int(thread) for thread in threads])


def test_replies_of_one_commit_are_a_group() -> None:
    """Two values before one commit frame, a third before the next."""
    pages = [_call("pwrite64", WAL, f"page {value};".encode() + bytes(64)) for value in ("a", "b", "c")]
    lines = [HEAD, pages[0], LAST_HEAD, pages[1], SYNC, LAST_HEAD, pages[2], SYNC]
    calls = list(parse(f"1 {line}" for line in lines))
    assert groups(judge(calls, {"1": "a;", "2": "b;", "3": "c;"})) == [2, 1]
