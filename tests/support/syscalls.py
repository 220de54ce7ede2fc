"""What a server asked of the kernel, as `strace` saw it, and whether a reply left before its commit was on the disk.

    pwrite64 kv.db-wal  … the call's value …     written: the frame that holds its effect
    pwrite64 kv.db-wal  … commit frame …         committed: SQLite's mark that the transaction is whole
    fdatasync kv.db-wal            = 0           durable: begun after the commit frame, and returned
    sendto socket       HTTP/1.1 … the call's id the reply: its first byte, which may leave before its body does

These four must come in this order, for every reply. A line of the trace is written when the kernel has been stopped
at a call, so what stands above in the file happened before: that is the only clock here.

Limit: `fdatasync` returned is all that a program can know; what the disk does with it is the disk's promise.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Found", "Syscall", "early", "groups", "judge", "parse", "strace"]

WRITES = ("pwrite64", "pwritev", "write", "writev", "sendto", "sendmsg", "sendmmsg")
SYNCS = ("fsync", "fdatasync")
FRAME_HEAD_BYTES = 24
STRING_BYTES_MAX = 16_384  # of a page, or a reply; what is longer would be cut off
_LINE = re.compile(r"(\d+) +(.*)")
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(.*)")
_CALL = re.compile(r"(\w+)\(\d+<([^>]*)>(.*)\) += (-?\d+)")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_UNFINISHED = " <unfinished ...>"


class Syscall(NamedTuple):
    """One call that returned. path: of the file, or the socket's name. began, ended: lines of the trace."""

    name: str
    path: str
    data: bytes
    result: int
    began: int
    ended: int


class Found(NamedTuple):
    """Where in the trace one reply's way was seen, each by its line; None where it was not."""

    reply: str
    written: int | None
    committed: int | None
    durable: int | None
    sent: int | None

    @property
    def is_early(self) -> bool:
        """Whether it left before its effect was durable, or cannot be shown not to have."""
        return self.durable is None or self.sent is None or self.sent <= self.durable


def strace(output: Path) -> list[str]:
    """The words before a command that is to be watched, threads and children included."""
    watched = ",".join((*WRITES, *SYNCS))
    return ["strace", "--follow-forks", "--seccomp-bpf", "--decode-fds=path", "--quiet=all", "--signal=none",
            "--strings-in-hex=all", f"--string-limit={STRING_BYTES_MAX}", f"--trace={watched}",
            f"--output={output}"]  # fmt: skip


def parse(lines: Iterable[str]) -> Iterator[Syscall]:
    """The calls in the order in which they returned. One that was cut in two by another thread's is put together."""
    begun: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(lines):
        found = _LINE.match(line)
        if not found:
            continue
        thread, text = found[1], found[2]
        if text.endswith(_UNFINISHED):
            begun[thread] = (number, text.removesuffix(_UNFINISHED))
            continue
        began, head = number, ""
        if resumed := _RESUMED.match(text):
            (began, head), text = begun.pop(thread), resumed[1]
        if call := _CALL.match(head + text):
            data = b"".join(_bytes(string) for string in _STRING.findall(call[3]))
            yield Syscall(call[1], _bytes(call[2]).decode(), data, int(call[4]), began, number)


def judge(calls: Sequence[Syscall], values: Mapping[str, str]) -> list[Found]:
    """Each reply's way. values: the value that a call wrote, by the id of the reply that says so.

    Several replies may tell of one write: the first, and its replays.
    """
    to_log = [
        call for call in calls if call.path.endswith("-wal") and call.name.startswith("pwrite") and call.result > 0
    ]
    commits = list(_commits(to_log))
    syncs = [call for call in calls if call.path.endswith("-wal") and call.name in SYNCS and call.result == 0]
    sent = _sent(calls, values)
    found = []
    for reply, value in values.items():
        written = next((call.ended for call in to_log if value.encode() in call.data), None)
        committed = None if written is None else next((line for line in commits if line >= written), None)
        after = [] if committed is None else [call.ended for call in syncs if call.began > committed]
        found.append(Found(reply, written, committed, min(after, default=None), sent.get(reply)))
    return found


def early(found: Iterable[Found]) -> list[Found]:
    """The replies that left too early, or that were not seen to leave."""
    return [one for one in found if one.is_early]


def groups(found: Iterable[Found]) -> list[int]:
    """How many of the replies each commit stands for."""
    return list(Counter(one.committed for one in found if one.committed is not None).values())


def _commits(to_log: Iterable[Syscall]) -> Iterator[int]:
    """The lines at which a transaction's last frame was written: its head says how many pages the file then has."""
    is_last = False
    for call in to_log:
        if len(call.data) == FRAME_HEAD_BYTES:
            is_last = any(call.data[4:8])
        elif is_last:
            is_last = False
            yield call.ended


def _sent(calls: Iterable[Syscall], replies: Iterable[str]) -> Mapping[str, int]:
    """By reply, where its first byte left: a head that goes ahead of its body has told that the call was done."""
    wanted = {reply: f'"{reply}"'.encode() for reply in replies}
    sent: dict[str, int] = {}
    first: dict[str, int] = {}
    for call in sorted(calls, key=lambda call: call.began):
        if not call.path.startswith("socket:") or call.result <= 0:
            continue
        if call.data.startswith(b"HTTP/1."):
            first[call.path] = call.began
        if call.path in first:
            sent |= {reply: first[call.path] for reply, mark in wanted.items() if mark in call.data}
    return sent


def _bytes(hexadecimal: str) -> bytes:
    return bytes.fromhex(hexadecimal.replace("\\x", ""))
