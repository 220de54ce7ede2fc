"""The shell's calls: made, shown with their attempts, and the last one made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from oncekv.terminal.last_request import LastRequest, Sent, has_identity
from oncerpc.client.api.command_words import TIMEOUT_S, kind_of, read_params, words_of
from oncerpc.client.api.stub import Client, check_semantics
from oncerpc.client.outcome import Attempt, Failed, Ok, Outcome
from oncerpc.client.semantics import Semantics
from oncerpc.client.session.outbox import OutboxError
from oncerpc.client.transport.attempt_result import Answered, Errored

__all__ = ["CallFailed", "Calls", "Shown", "WrongLine"]

COMMANDS = ("exit", "help", "methods", "retry", "semantics")


class WrongLine(Exception):
    """The line cannot be understood; nothing was done."""


class CallFailed(Exception):
    """The call surely was not sent; the message says why."""


@dataclass(frozen=True)
class Shown:
    """What is shown of a call: its outcome (ok, failed or unknown), the result or the reason, and its attempts."""

    method: str
    outcome: str
    text: str
    attempts: Sequence[Attempt]
    result: Any = None
    is_replayed: bool = False
    is_retry: bool = False
    note: str = ""

    def as_json(self) -> str:
        """The same for machines, in one line."""
        ended = {"result": self.result} if self.outcome == "ok" else {"error": self.text}
        attempts = [
            {"number": one.number, "link": one.link, "result": one.result, "took_ms": round(one.took_s * 1000, 3)}
            for one in self.attempts
        ]
        shown = {"method": self.method, "outcome": self.outcome, **ended, "replayed": self.is_replayed}
        return msgspec.json.encode({**shown, "retry": self.is_retry, "attempts": attempts}).decode()


@dataclass
class _Last:
    method: str
    sent: Sent
    attempt: Attempt


class Calls:
    """One client's."""

    def __init__(self, client: Client, transport: LastRequest, semantics: str, timeout_s: float | None) -> None:
        self._client = client
        self._transport = transport
        self._semantics = Semantics(semantics)
        self._timeout_s = timeout_s
        self._last: _Last | None = None
        self._methods: Mapping[str, Mapping[str, str]] = {}

    def choose(self, name: str | None = None) -> str:
        """The semantics of further calls. Raises WrongLine for one that there is not."""
        try:
            if name is not None:
                self._semantics = check_semantics(name, has_outbox=self._client.has_outbox)
        except ValueError as error:
            raise WrongLine(f"{error} (--session-file)" if "outbox" in str(error) else str(error)) from None
        return str(self._semantics)

    def methods(self) -> Mapping[str, Mapping[str, str]]:
        """Method → param → "string" or "json", as the server's `rpc.discover` has them. Raises CallFailed."""
        if not self._methods:
            outcome = self._client.outcome("rpc.discover", semantics=Semantics.AT_LEAST_ONCE, timeout_s=self._bound_s())
            if not isinstance(outcome, Ok):
                raise CallFailed(f"the server's methods could not be asked for: {words_of(outcome)}")
            self._methods = {
                one["name"]: {param["name"]: kind_of(param.get("schema", {})) for param in one.get("params", ())}
                for one in outcome.result.get("methods", ())
            }
        return self._methods

    def call(self, method: str, words: list[str]) -> Shown:
        """Make a call. Raises WrongLine or CallFailed where nothing was sent."""
        methods = self.methods()
        if method not in methods:
            raise WrongLine(f"there is no method {method}; `methods` lists them, `help` the rest")
        try:
            params = read_params(words, methods[method])
        except ValueError as error:
            raise WrongLine(str(error)) from None
        self._last = None
        try:
            outcome = self._client.outcome(method, params, semantics=self._semantics, timeout_s=self._left_s())
        except OutboxError as error:
            raise CallFailed(str(error)) from None
        except KeyboardInterrupt:
            self._keep(method, ())
            raise
        self._keep(method, outcome.attempts)
        return _shown(method, outcome)

    def retry(self) -> Shown:
        """Send the last call once more. Raises WrongLine where there is none."""
        if self._last is None:
            raise WrongLine("there is no call to retry: none was sent yet")
        last = self._last
        last.attempt, result = self._transport.again(last.sent, last.attempt.number + 1, last.attempt.link)
        note = "" if has_identity(last.sent) else "it has no identity: whoever answered has run it anew"
        attempts = (last.attempt,)
        if isinstance(result, Answered):
            text = msgspec.json.encode(result.result).decode()
            return Shown(last.method, "ok", text, attempts, result.result, result.replayed, is_retry=True, note=note)
        if isinstance(result, Errored) and (result.error.definite or result.replayed):
            text = f"{result.error.name}: {result.error.message}"
            return Shown(last.method, "failed", text, attempts, None, result.replayed, is_retry=True, note=note)
        return Shown(last.method, "unknown", f"unknown: {last.attempt.result}", attempts, is_retry=True)

    def completions(self, before: str) -> Sequence[str]:
        """What may stand at the end of this line: commands and methods, then the params of the method."""
        try:
            methods = self.methods()
        except CallFailed:
            methods = {}
        words = before.split(" ")
        if len(words) == 1:
            return [f"{name} " for name in sorted([*COMMANDS, *methods])]
        if words[0] == "semantics":
            return [str(one) for one in Semantics] if len(words) == 2 else []
        given = {word.partition("=")[0] for word in words[1:-1]}
        return [f"{param}=" for param in methods.get(words[0], ()) if param not in given]

    def _keep(self, method: str, attempts: Sequence[Attempt]) -> None:
        sent = self._transport.of(method)
        if sent is not None:
            self._last = _Last(
                method, sent, attempts[-1] if attempts else Attempt(1, sent.url, 0.0, 0.0, "interrupted")
            )

    def _bound_s(self) -> float:
        return self._timeout_s or TIMEOUT_S

    def _left_s(self) -> float | None:
        return self._timeout_s if self._semantics is Semantics.EXACTLY_ONCE else self._bound_s()


def _shown(method: str, outcome: Outcome) -> Shown:
    if isinstance(outcome, Ok):
        text = msgspec.json.encode(outcome.result).decode()
        return Shown(method, "ok", text, outcome.attempts, outcome.result, outcome.replayed)
    if isinstance(outcome, Failed):
        return Shown(method, "failed", words_of(outcome), outcome.attempts, is_replayed=outcome.replayed)
    return Shown(method, "unknown", f"unknown: {outcome.reason}", outcome.attempts)
