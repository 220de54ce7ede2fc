"""The steady state: what must be true of the healthy system, before a fault goes in and after it has been taken out.

Each hypothesis is a function that returns what is wrong, or nothing. They are asked through a link, as a client would,
with sessions and keys of their own, and by methods that no workload uses, so that they disturb no count.

Some calls are settled before the fault and sent again after it: what the server recorded of them must have lasted.

Limit: they say that the system is well in calm weather. What it does in the storm the workload shows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from chaos.runner.environment import Environment, Settled

__all__ = ["HYPOTHESES", "unsteady"]

_NUMBERS = itertools.count(1)


def unsteady(env: Environment, *, identified: bool) -> list[str]:
    """Which hypotheses do not hold; those about identities are asked only where the column has them.

    Raises WorldError when the server does not answer.
    """
    return [wrong for hypothesis, about in HYPOTHESES if identified or not about for wrong in hypothesis(env)]


def _every_link_leads_to_the_server(env: Environment) -> Iterator[str]:
    boot = env.ask("server.info")["boot"]
    for link in env.links:
        if env.ask_at(link.url, "server.info")["boot"] != boot:
            yield f"link {link.name} leads elsewhere"


def _no_toxic_is_left(env: Environment) -> Iterator[str]:
    for link in env.links:
        for toxic in link.toxics():
            yield f"link {link.name} still has toxic {toxic}"


def _a_write_is_read_back(env: Environment) -> Iterator[str]:
    url, key = env.links[0].url, _key()
    env.ask_at(url, "kv.put", key=key, value="here")
    found = env.ask_at(url, "kv.list", prefix=key, limit=1)["items"]
    if found != [{"key": key, "value": "here", "version": 1}]:
        yield f"a write was read back as {found}"


def _a_settled_call_is_replayed(env: Environment) -> Iterator[str]:
    key, meta = _key(), _identity(env)
    first = _reply(env, key, "once", meta)
    again = _reply(env, key, "once", meta)
    if again.get("result", {}).pop("_meta", None) != {"replayed": True} or again != first:
        yield f"a call sent again was answered {again}, first {first}"
    found = env.ask("kv.list", prefix=key, limit=1)["items"]
    if [item["version"] for item in found] != [1]:
        yield f"a call sent again ran again: {found}"


def _an_identity_stands_for_one_call(env: Environment) -> Iterator[str]:
    key, meta = _key(), _identity(env)
    _reply(env, key, "mine", meta)
    other = _reply(env, key, "other", meta)
    if _name(other) != "identity_reused":
        yield f"another call under the same identity was answered {other}"


def _an_error_of_the_application_is_replayed(env: Environment) -> Iterator[str]:
    key, meta = _key(), _identity(env)
    first = _reply(env, key, "conditional", meta, if_version=1)
    env.ask("kv.put", key=key, value="now the condition would hold")
    again = _reply(env, key, "conditional", meta, if_version=1)
    if _name(first) != "version_mismatch" or _name(again) != "version_mismatch":
        yield f"a call that had failed was answered {again}, first {first}"


def _what_was_settled_stays_settled(env: Environment) -> Iterator[str]:
    """Of an earlier check, an error as much as a result; where the server keeps records for its life alone, not asked.

    An unknown session is not a lie: its disk may be gone, or its lease. A call that runs again, or is told another
    thing, is one.
    """
    if env.ask("server.info")["delivery"] != "persisted":
        return
    for params, first in env.settled:
        again = _put(env, params)
        if _name(again) != "session_unknown" and (not _unmark(again) or again != first):
            yield f"a call of before was answered {again}, first {first}"
    fine: dict[str, Any] = {"key": _key(), "value": "settled", "_meta": _identity(env)}
    refused: dict[str, Any] = {"key": _key(), "value": "refused", "if_version": 1, "_meta": _identity(env)}
    env.settled = [Settled(params, _put(env, params)) for params in (fine, refused)]
    if _name(env.settled[1].reply) != "version_mismatch":
        yield f"a condition that does not hold was answered {env.settled[1].reply}"
    env.ask("kv.put", key=refused["key"], value="now the condition would hold")


def _an_unknown_session_is_refused(env: Environment) -> Iterator[str]:
    reply = _reply(env, _key(), "forged", {"session": "A" * 22, "seq": 1})
    if _name(reply) != "session_unknown":
        yield f"a session that was never opened was answered {reply}"


def _sessions_are_strangers(env: Environment) -> Iterator[str]:
    one, other = _identity(env), _identity(env)
    if one["session"] == other["session"]:
        yield "two sessions have one name"
    key, other_key = _key(), _key()
    _reply(env, key, "one", one)
    reply = _reply(env, other_key, "other", other)
    if reply.get("result") != {"version": 1}:
        yield f"the first call of a fresh session was answered {reply}"


Hypothesis = Callable[[Environment], Iterator[str]]
HYPOTHESES: tuple[tuple[Hypothesis, bool], ...] = (
    (_every_link_leads_to_the_server, False),
    (_no_toxic_is_left, False),
    (_a_write_is_read_back, False),
    (_a_settled_call_is_replayed, True),
    (_an_identity_stands_for_one_call, True),
    (_an_error_of_the_application_is_replayed, True),
    (_what_was_settled_stays_settled, True),
    (_an_unknown_session_is_refused, True),
    (_sessions_are_strangers, True),
)


def _key() -> str:
    return f"steady/{next(_NUMBERS)}/"


def _identity(env: Environment) -> dict[str, Any]:
    return {"session": env.ask_at(env.links[0].url, "session.open")["session"], "seq": 1}


def _reply(env: Environment, key: str, value: str, meta: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The whole reply to a put through the first link."""
    return _put(env, {"key": key, "value": value, "_meta": meta, **more})


def _put(env: Environment, params: dict[str, Any]) -> dict[str, Any]:
    reply = env.reply_at(env.links[0].url, "kv.put", params)
    return {member: reply[member] for member in ("result", "error") if member in reply}


def _unmark(reply: dict[str, Any]) -> bool:
    """Take the replay's mark off a reply; whether it had one."""
    marked = reply["error"]["data"] if "error" in reply else reply["result"]
    return bool(marked.pop("_meta", None) == {"replayed": True})


def _name(reply: dict[str, Any]) -> str:
    return str(reply.get("error", {}).get("data", {}).get("name", ""))
