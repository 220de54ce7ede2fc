"""Copies of requests turn up again, long after their calls were settled, answered and acknowledged.

    keep copies ──► let the clients go on ──► (kill and restart the server) ──► deliver the copies

By then the clients have acknowledged those calls with later ones, so the records are gone; after the restart, memory is
gone too. What is left to tell a copy from a new call is the watermark, if it was kept where it lasts.

What a copy is told is held against what its client was told: stale, or the same reply again, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault, wait_felt
from chaos.judging.judge import shortened
from chaos.net.message_proxy import KEEP_COPY, LOSE_REQUEST, PASS, Delivered

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

__all__ = ["LateDuplicate", "late", "untrue"]

CALLS_MIN = 16  # with the usual effort two of each lane
ACKNOWLEDGE_S = 0.4  # several calls of each client: each acknowledges all before it


class LateDuplicate(Fault):
    """`restart`: the server is killed and started again before the copies come."""

    def __init__(self, *, restart: bool) -> None:
        self._restart = restart
        self._forgets = False
        self.delivered: list[Delivered] = []

    def inject(self, env: Environment) -> None:
        _tell_all(env, lambda call, attempt: KEEP_COPY)

    def hold(self, env: Environment, hold_s: float) -> None:
        _go_on(env, hold_s)
        _tell_all(env, lambda call, attempt: PASS)
        _go_on(env, ACKNOWLEDGE_S)
        if self._restart:
            # A client's next call would acknowledge anew, and tell a server that forgot the watermark what it was. It
            # must come after the copies, as it may in any network.
            _tell_all(env, lambda call, attempt: LOSE_REQUEST)
            env.server.kill()
            env.server.restart()
            self._forgets = env.ask("server.info")["delivery"] != "persisted"
        for proxy in env.proxies:
            self.delivered += proxy.deliver_kept(forget=True)

    def heal(self, env: Environment) -> None:
        _tell_all(env, lambda call, attempt: PASS)
        env.revive()

    def fired(self, counts: Counts) -> int:
        """Copies that the server took for new calls, or refused as acknowledged ones."""
        return late(self.delivered, may_run=self._may_run(counts))

    def proof(self) -> list[str]:
        answers = Counter(copy.answer for copy in self.delivered)
        return [f"{count} late copies were answered {answer}" for answer, count in answers.most_common()]

    def wrong(self, counts: Counts) -> list[str]:
        """What copies were told that was not so."""
        if self._may_run(counts):
            return []
        return shortened(wrong for copy in self.delivered if (wrong := untrue(copy)))

    def _may_run(self, counts: Counts) -> bool:
        """Whether nobody can know that a copy is one: it has no identity, or the server has forgotten them all."""
        return self._forgets or not counts.identified


def late(delivered: Sequence[Delivered], *, may_run: bool) -> int:
    """How many copies were late for certain. Pure.

    One that got a replay came before the acknowledgement; one without an answer proves nothing; and where no copy may
    run, one that ran is not a proof but wrong. Under an Idempotency-Key nothing is acknowledged: there a replay is late
    when the client had its reply before.
    """
    answers = Counter(copy.answer for copy in delivered)
    replays = sum(1 for copy in delivered if copy.said.by_key and copy.answer == "replayed" and copy.first is not None)
    return answers["stale_call"] + replays + (answers["ok"] if may_run else 0)


def untrue(copy: Delivered) -> str | None:
    """What is wrong with the answer to a copy that has an identity, if anything. Pure.

    A call that no reply was seen of may be running for the first time: "ok" is then no lie.
    """
    if copy.answer in ("stale_call", "no answer") or (copy.said.settles and copy.first is None):
        return None
    if copy.answer != "replayed":
        return f"a late copy of {copy.call} was answered {copy.answer}"
    if copy.first is not None and copy.said.content != copy.first:
        return f"a late copy of {copy.call} was replayed {copy.said.content}, first {copy.first}"
    return None


def _go_on(env: Environment, seconds: float) -> None:
    """So long, and until some calls have ended meanwhile: each acknowledges those before it."""
    assert env.workload is not None
    workload, due = env.workload, env.workload.settled + CALLS_MIN
    env.wait(seconds)
    wait_felt(env, lambda: workload.settled >= due)


def _tell_all(env: Environment, rule: Callable[[str, int], str]) -> None:
    for proxy in env.proxies:
        proxy.rule = rule
