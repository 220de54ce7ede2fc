"""What the rules of the state machine are made of: a call is sent, and its answer held against the model's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from tests.fuzz.model import WINDOW, Call, Expected, Identity, Model
from tests.support.caller import request
from tests.support.replies import Answer
from tests.support.server import Node

__all__ = ["Talk"]

RETRIED_MAX = 40
RETRIED_LAST = 8


class Talk(RuleBasedStateMachine):
    """One example on a server that is of many: its keys and sessions are its own."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node
        self.model = Model()
        self.prefix = ""
        self.sessions: list[str] = []
        """All that were opened; those that are open still, the model knows."""
        self.ever: list[tuple[Call, Identity]] = []
        """Calls with an identity that ran."""
        self.firsts: dict[Any, dict[str, Any]] = {}
        """The first reply of each identity, whole."""

    def _ask_again(self) -> None:
        """All that is kept, and the last of what was acknowledged meanwhile, which must be stale."""
        for call, identity in [*self._known()[:RETRIED_MAX], *self.ever[-RETRIED_LAST:]]:
            self._send([(call, identity)])
        self._look()

    def _look(self) -> None:
        self._send([(Call("kv.list", {"prefix": self.prefix}), Identity())])

    def _known(self) -> list[tuple[Call, Identity]]:
        found = [
            (call, Identity(name, seq))
            for name, session in self.model.sessions.items()
            for seq, (call, _) in session.told.items()
        ]
        return found + [(call, Identity(key=key)) for key, (call, _) in self.model.keyed.items()]

    def _name(self, which: int) -> str:
        """Of a session that was opened at some time; behind the last, one that never was."""
        return self.sessions[which] if which < len(self.sessions) else f"{self.prefix}-never"

    def _new(self, which: int) -> Identity | None:
        """The next one of that session's; None where there is no such session, or no room in its window."""
        name = self._name(which)
        session = self.model.sessions.get(name)
        if session is None:
            return None
        seq = max([session.acked, *session.told]) + 1
        return Identity(name, seq) if seq <= session.acked + WINDOW else None

    def _call(self, drawn: tuple[str, dict[str, Any]]) -> Call:
        """With keys of this example."""
        method, params = drawn
        made = dict(params)
        if "key" in made:
            made["key"] = f"{self.prefix}-{made['key']}"
        for part in ("checks", "ops"):
            if part in made:
                made[part] = [{**one, "key": f"{self.prefix}-{one['key']}"} for one in made[part]]
        return Call(method, made)

    def _arm(self, name: str, action: str, call: Call) -> None:
        keys = [call.params["key"]] if "key" in call.params else [call.params["ops"][0]["key"]]
        self.node.arm(name, action, match={"key": keys[0]})

    def _send(self, parts: Sequence[tuple[Call, Identity]]) -> None:
        self.ever += [(call, it._replace(acked=0)) for call, it in parts if it.key or it.seq]
        if len(parts) == 1 or parts[0][1].key:
            for call, identity in parts:
                self._compare(self._post(call, identity), self.model.answer(call, identity), identity)
            return
        numbers = itertools.count(1)
        answers = self.node.kv.send([_request(*part, next(numbers)) for part in parts]).answers
        for answer, (call, identity) in zip(answers, parts, strict=True):
            self._compare(answer, self.model.answer(call, identity), identity)

    def _post(self, call: Call, identity: Identity) -> Answer:
        headers = {"Idempotency-Key": identity.key} if identity.key else None
        return self.node.kv.send(_request(call, identity, 1), headers).answer

    def _compare(self, answer: Answer, expected: Expected, identity: Identity) -> None:
        assert answer.code == expected.code, f"{expected} was expected, not {answer}"
        assert answer.replayed == expected.is_replay, f"{expected} was expected, not {answer}"
        if expected.result is not None:
            assert answer.bare == {"result": expected.result}
        if expected.is_replay or expected.code in (22, 23):
            first = self.firsts.setdefault((identity.session, identity.seq, identity.key), answer.bare)
            is_known = identity.key is not None or identity.seq is not None
            assert not (expected.is_replay and is_known) or answer.bare == first, "a replay says something else"


def _request(call: Call, identity: Identity, number: int) -> dict[str, Any]:
    params = dict(call.params)
    if identity.session is not None:
        meta: dict[str, Any] = {"session": identity.session, "acked": identity.acked}
        params["_meta"] = meta | ({} if identity.seq is None else {"seq": identity.seq})
    return request(call.method, params, id=number)
