"""The steady state of the bank's views: what holds for a request with an Idempotency-Key, asked through a link.

By views that no workload uses, but for the one failure that is planned: its failpoint is armed for this key alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.services.base import Hypothesis

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

__all__ = ["HYPOTHESES"]

DEPOSITS_MAX = 1_000_000
_NUMBERS = itertools.count(1)


class _Said(NamedTuple):
    status: int
    body: str
    replayed: bool

    def __str__(self) -> str:
        return f"{self.status} {self.body[:80]!r}" + (", a replay" if self.replayed else "")


def _account(env: Environment, balance: int = 0) -> str:
    name = f"steady-{next(_NUMBERS)}"
    env.ask("bank.open", name=name, balance=balance)
    return name


def _deposit(env: Environment, account: str, key: str, amount: int = 5, caller: str = "") -> _Said:
    return _post(env, f"/accounts/{account}/deposits", key, {"amount": amount}, caller)


def _post(env: Environment, path: str, key: str, body: dict[str, Any], caller: str = "") -> _Said:
    headers = {"Idempotency-Key": key, **({"Authorization": f"Bearer {caller}"} if caller else {})}
    reply = env.post(f"{env.links[0].url}{path}", body, headers)
    return _Said(reply.status_code, reply.text, reply.headers.get("Idempotent-Replayed") == "true")


def _balance(env: Environment, account: str) -> int:
    return int(env.ask("bank.balance", name=account))


def _key() -> str:
    return f"steady-key-{next(_NUMBERS)}"


def _a_request_sent_again_is_replayed(env: Environment) -> Iterator[str]:
    account, key = _account(env), _key()
    first, again = _deposit(env, account, key), _deposit(env, account, key)
    if first.status != 201 or first.replayed or again != first._replace(replayed=True):
        yield f"a request sent again was answered {again}, first {first}"
    if _balance(env, account) != 5:
        yield f"a request sent again left {_balance(env, account)} on the account, not 5"


def _a_key_stands_for_one_request(env: Environment) -> Iterator[str]:
    """Another body is another request, and so is another path."""
    account, other, key = _account(env), _account(env), _key()
    _deposit(env, account, key)
    for what, said in (("body", _deposit(env, account, key, 6)), ("path", _deposit(env, other, key))):
        if said.status != 422:
            yield f"the same key with another {what} was answered {said}"


def _callers_are_strangers(env: Environment) -> Iterator[str]:
    """Two callers may choose the same key."""
    account, key = _account(env), _key()
    said = [_deposit(env, account, key, caller=caller) for caller in ("one", "other")]
    if any(reply.status != 201 or reply.replayed for reply in said):
        yield f"two callers with one key were answered {said[0]} and {said[1]}"
    if _balance(env, account) != 10:
        yield f"two callers with one key put {_balance(env, account)} on the account, not 10"


def _a_refusal_leaves_nothing_and_is_replayed(env: Environment) -> Iterator[str]:
    """A 4xx that comes after a write: the write is gone, and the answer stays, whatever has become possible since."""
    account, key = _account(env, DEPOSITS_MAX), _key()
    first = _deposit(env, account, key)
    if first.status != 409 or _balance(env, account) != DEPOSITS_MAX:
        yield f"a refused deposit was answered {first} and left {_balance(env, account)} on the account"
    empty = _account(env)
    env.ask("bank.transfer", source=account, target=empty, amount=DEPOSITS_MAX // 2, token="")
    again = _deposit(env, account, key)
    if again != first._replace(replayed=True):
        yield f"a request that was refused was answered {again}, first {first}"


def _a_failure_of_the_server_is_not_the_answer(env: Environment) -> Iterator[str]:
    """A 5xx is no outcome: the next attempt runs."""
    account, key = _account(env), _key()
    view = "POST /accounts/<name>/deposits"
    env.ask("debug.failpoint", name="after_execute", action="error", match={"method": view, "key": key})
    first, again = _deposit(env, account, key), _deposit(env, account, key)
    if first.status < 500:
        yield f"a request that failed in the server was answered {first}"
    if again.status != 201 or again.replayed or _balance(env, account) != 5:
        yield f"after a failure of the server ({first}) the same request was answered {again}"


HYPOTHESES: tuple[Hypothesis, ...] = (
    _a_request_sent_again_is_replayed,
    _a_key_stands_for_one_request,
    _callers_are_strangers,
    _a_refusal_leaves_nothing_and_is_replayed,
    _a_failure_of_the_server_is_not_the_answer,
)
