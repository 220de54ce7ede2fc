"""The protocol as a state machine: calls that Hypothesis draws, on a real server, each answer held against the model.

    open, close, renew            sessions
    call, keyed, plain, read      with every kind of identity: new, known, out of order, acknowledged, far ahead
    retry                         what was answered must be answered again, or is stale; with other params it is refused
    batch                         several of these in one request
    twice_at_once                 a copy arrives while the first runs
    watched                       a transaction, while others read
    lost                          the server dies, or closes, before the commit or behind it; then the call is retried
    restart                       SIGKILL, and all that was answered is asked for again

Keys and sessions are of one example alone, so that many examples share a server. Limit: no lease runs out here.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from tests.fuzz.calls import calls, lags, seqs, whiches
from tests.fuzz.model import Call, Identity, Session
from tests.fuzz.talk import Talk
from tests.support.caller import LOST
from tests.support.replies import Answer
from tests.support.seed import SEED, unique
from tests.support.server import Node

__all__ = ["ProtocolMachine", "explore"]

SESSIONS_MAX = 3
STEPS = 30
HOLD_MS = 40
FAR = 1000
STARTS_MAX = 1
"""Of one example: a start takes as long as a thousand calls."""


class ProtocolMachine(Talk):
    """One example."""

    names: set[str] = set()  # noqa: RUF012 of all examples: no name is given out twice

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.starts = 0

    @initialize()
    def begin(self) -> None:
        """Keys of its own, and two sessions, whose calls have the same numbers."""
        self.prefix = unique("m")
        self.keys = [f"{self.prefix}-key-{number}" for number in range(2)]
        self.open(is_keyed=False)
        self.open(is_keyed=True)

    @precondition(lambda self: len(self.sessions) < SESSIONS_MAX)
    @rule(is_keyed=st.booleans())
    def open(self, *, is_keyed: bool) -> None:
        """Under a key, a second attempt opens no second session."""
        if is_keyed:
            key = f"{self.prefix}-open-{len(self.sessions)}"
            name = self.node.kv.keyed(key, "session.open").ok["session"]
            again = self.node.kv.keyed(key, "session.open")
            assert again.ok["session"] == name, "session.open under a key opened two"
            assert again.replayed
        else:
            name = self.node.kv.ok("session.open")["session"]
        assert name not in self.names, "a session's name was given out twice"
        self.names.add(name)
        self.sessions.append(name)
        self.model.sessions[name] = Session()

    @rule(which=st.integers(0, SESSIONS_MAX - 1))
    def close(self, which: int) -> None:
        """What is closed stays closed; its name is still used."""
        name = self._name(which)
        answer = self.node.kv.call("session.close", _meta={"session": name})
        assert answer.code == (None if name in self.model.sessions else 1001), answer
        self.model.sessions.pop(name, None)

    @rule(which=st.integers(0, SESSIONS_MAX), acked=st.integers(0, 3))
    def renew(self, which: int, acked: int) -> None:
        """It may acknowledge."""
        name = self._name(which)
        answer = self.node.kv.call("session.renew", _meta={"session": name, "acked": acked})
        session = self.model.sessions.get(name)
        assert answer.code == (None if session else 1001), answer
        if session:
            session.acknowledge(acked)

    @rule(call=calls, which=whiches, seq=seqs, lag=lags, comes_late=st.integers(0, 1))
    def call(self, call: tuple[str, dict[str, Any]], which: int, seq: int, lag: int | None, comes_late: int) -> None:
        """Under a session: a new call, a known one with the same params or others, a stale one, one far ahead; now and
        then it is acknowledged, and a copy of it comes late.
        """
        name, made = self._name(which), self._call(call)
        self._send([(made, Identity(name, seq, 0 if lag is None else max(0, seq - lag)))])
        if not comes_late and seq < FAR:
            self.renew(which, seq)
            self._send([(made, Identity(name, seq))])

    @rule(call=calls, which=st.integers(0, 1))
    def keyed(self, call: tuple[str, dict[str, Any]], which: int) -> None:
        """Under an Idempotency-Key."""
        self._send([(self._call(call), Identity(key=self.keys[which]))])

    @rule(call=calls)
    def plain(self, call: tuple[str, dict[str, Any]]) -> None:
        """Without an identity it runs each time."""
        self._send([(self._call(call), Identity())] * 2)

    @rule(which=st.none() | st.integers(0, SESSIONS_MAX), acked=st.integers(0, 2))
    def read(self, which: int | None, acked: int) -> None:
        """All keys; under a session it may acknowledge."""
        identity = Identity() if which is None else Identity(self._name(which), None, acked)
        self._send([(Call("kv.list", {"prefix": self.prefix}), identity)])

    @rule(number=st.integers(0, 12), other=calls, is_same=st.booleans())
    def retry(self, number: int, other: tuple[str, dict[str, Any]], *, is_same: bool) -> None:
        """A call that was answered before, be it acknowledged meanwhile."""
        if not self.ever:
            return
        call, identity = self.ever[-1 - number % len(self.ever)]
        self._send([(call if is_same else self._call(other), identity)])

    @rule(parts=st.lists(st.tuples(calls, whiches, seqs), min_size=2, max_size=5))
    def batch(self, parts: Sequence[tuple[tuple[str, dict[str, Any]], int, int]]) -> None:
        """In one request, in order, each seeing those before it."""
        self._send([(self._call(call), Identity(self._name(which), seq)) for call, which, seq in parts])

    @rule(call=calls, which=st.integers(0, 1), where=st.sampled_from(["before", "after"]))
    def twice_at_once(self, call: tuple[str, dict[str, Any]], which: int, where: str) -> None:
        """Two copies of a new call: one of them runs, both have its reply."""
        identity = self._new(which)
        if identity is None:
            return
        made = self._call(call)
        self._arm(f"{where}_execute", f"sleep:{HOLD_MS}", made)
        answers: list[Answer] = []
        threads = [threading.Thread(target=lambda: answers.append(self._post(made, identity))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.node.arm(f"{where}_execute", f"sleep:{HOLD_MS}", count=0)
        expected = self.model.answer(made, identity)
        assert len(answers) == 2, "a copy was not answered"
        answers.sort(key=lambda answer: answer.replayed)
        self._compare(answers[0], expected, identity)
        self._compare(answers[1], expected._replace(is_replay=True), identity)

    @rule(text=st.text("xyz", min_size=1, max_size=3))
    def watched(self, text: str) -> None:
        """Whoever looks on meanwhile sees all of a transaction or none of it."""
        ops = [{"op": "append", "key": name, "value": text} for name in ("a", "b", "c")]
        made = self._call(("kv.txn", {"checks": [], "ops": ops}))
        look = Call("kv.list", {"prefix": self.prefix})
        is_over = threading.Event()
        seen: list[Answer] = []

        def watch() -> None:
            while not is_over.is_set():
                seen.append(self._post(look, Identity()))

        before = self.model.answer(look, Identity()).result
        watcher = threading.Thread(target=watch)
        watcher.start()
        self._send([(made, Identity())])
        is_over.set()
        watcher.join()
        after = self.model.answer(look, Identity()).result
        assert all(answer.ok in (before, after) for answer in seen), "half a transaction was seen"

    @rule(
        call=calls, which=st.integers(0, 1), action=st.sampled_from(["drop", "crash"]),
        name=st.sampled_from(["before_execute", "after_execute", "after_commit"]),
    )  # fmt: skip
    def lost(self, call: tuple[str, dict[str, Any]], which: int, action: str, name: str) -> None:
        """Its reply does not come; the retry has it, and the effect is there once."""
        identity = self._new(which)
        if identity is None:
            return
        if self.starts == STARTS_MAX:
            action = "drop"
        made = self._call(call)
        self._arm(name, action, made)
        try:
            answer = self._post(made, identity)
        except LOST:
            pass
        else:
            raise AssertionError(f"answered although {name} was to {action}: {answer}")
        if action == "crash":
            self.node.server.wait_dead(15.0)
            self.starts += 1
            self.node.server.start()
        expected = self.model.answer(made, identity)
        retried = self._post(made, identity)
        self._compare(retried, expected._replace(is_replay=name == "after_commit"), identity)
        self._look()

    @precondition(lambda self: self.starts < STARTS_MAX)
    @rule()
    def restart(self) -> None:
        """It is killed, and nobody can tell."""
        self.starts += 1
        self.node.server.kill()
        self.node.server.start()
        self._ask_again()

    def teardown(self) -> None:
        """All that was answered is answered again."""
        if self.prefix:
            self._ask_again()
            for name in self.model.sessions:
                self.node.kv.call("session.close", _meta={"session": name})


def explore(node: Node, examples: int, draws: int = SEED, *, shrinks: bool = True) -> None:
    """Run that many examples. Raises AssertionError, or Hypothesis's Flaky, for what is not as the model has it."""

    class Machine(ProtocolMachine):
        """On that server."""

        def __init__(self) -> None:
            super().__init__(node)

    phases = [Phase.generate, Phase.shrink] if shrinks else [Phase.generate]
    run_state_machine_as_test(
        seed(draws)(Machine),
        settings=settings(
            max_examples=examples, stateful_step_count=STEPS, deadline=None, database=None, phases=phases,
            suppress_health_check=list(HealthCheck), report_multiple_bugs=False, print_blob=False,
        ),
    )  # fmt: skip
