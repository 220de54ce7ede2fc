"""The steady state: what must be true of the healthy system, before a fault goes in and after it has been taken out.

Each hypothesis is a function that returns what is wrong, or nothing. They are asked through a link, as a client would,
with sessions and keys of their own, and by methods that no workload uses, so that they disturb no count.

Some calls are settled before the fault and sent again after it: what the server recorded of them must have lasted.

Limit: they say that the system is well in calm weather. What it does in the storm the workload shows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from chaos.runner.environment import Environment, Settled
from chaos.services.base import Ask, Hypothesis

__all__ = ["HYPOTHESES", "unsteady"]

_NUMBERS = itertools.count(1)


def unsteady(env: Environment, *, identified: bool) -> list[str]:
    """Which hypotheses do not hold, the service's own included; those about identities where the column has them alone.

    Raises EnvironmentFailed when the server does not answer.
    """
    asked = [hypothesis for hypothesis, about in HYPOTHESES if identified or not about]
    return [wrong for hypothesis in [*asked, *(env.service.more if identified else ())] for wrong in hypothesis(env)]


def _every_link_leads_to_the_server(env: Environment) -> Iterator[str]:
    for link in env.links:
        if not env.service.probe.leads_to(env, env.server_behind(link).url, link.url):
            yield f"link {link.name} leads elsewhere"


def _no_toxic_is_left(env: Environment) -> Iterator[str]:
    for link in env.links:
        for toxic in link.toxics():
            yield f"link {link.name} still has toxic {toxic}"


def _a_write_is_read_back(env: Environment) -> Iterator[str]:
    key = _key()
    method, params = env.service.probe.fine(key, "here")
    env.ask_at(env.links[0].url, method, **params)
    if found := env.service.probe.is_written_once(env, key, "here"):
        yield f"a write was read back as {found}"


def _a_settled_call_is_replayed(env: Environment) -> Iterator[str]:
    key, meta = _key(), _identity(env)
    first = _reply(env, key, "once", meta)
    again = _reply(env, key, "once", meta)
    if again.get("result", {}).pop("_meta", None) != {"replayed": True} or again != first:
        yield f"a call sent again was answered {again}, first {first}"
    if found := env.service.probe.is_written_once(env, key, "once"):
        yield f"a call sent again ran again: {found}"


def _an_identity_stands_for_one_call(env: Environment) -> Iterator[str]:
    key, meta = _key(), _identity(env)
    _reply(env, key, "mine", meta)
    other = _reply(env, key, "other", meta)
    if _name(other) != "identity_reused":
        yield f"another call under the same identity was answered {other}"


def _an_error_of_the_application_is_replayed(env: Environment) -> Iterator[str]:
    key, meta, probe = _key(), _identity(env), env.service.probe
    first = _ask(env, probe.refused(key), meta)
    _allow(env, key)
    again = _ask(env, probe.refused(key), meta)
    if _name(first) != probe.refusal or _name(again) != probe.refusal:
        yield f"a call that had failed was answered {again}, first {first}"


def _what_was_settled_stays_settled(env: Environment) -> Iterator[str]:
    """Of an earlier check, an error as much as a result; where the server keeps records for its life alone, not asked.

    An unknown session is not a lie: its disk may be gone, or its lease. A call that runs again, or is told another
    thing, is one.
    """
    if env.ask("server.info")["delivery"] != "persisted":
        return
    probe = env.service.probe
    for settled in env.settled:
        first, again = settled.reply, _ask(env, settled.call, settled.meta)
        if _name(again) != "session_unknown" and (not _unmark(again) or again != first):
            yield f"a call of before was answered {again}, first {first}"
    refused = _key()
    calls = [(probe.fine(_key(), "settled"), _identity(env)), (probe.refused(refused), _identity(env))]
    env.settled = [Settled(call, meta, _ask(env, call, meta)) for call, meta in calls]
    if _name(env.settled[1].reply) != probe.refusal:
        yield f"a condition that does not hold was answered {env.settled[1].reply}"
    _allow(env, refused)


def _an_unknown_session_is_refused(env: Environment) -> Iterator[str]:
    reply = _reply(env, _key(), "forged", {"session": "A" * 22, "seq": 1})
    if _name(reply) != "session_unknown":
        yield f"a session that was never opened was answered {reply}"


def _a_closed_session_is_closed_everywhere(env: Environment) -> Iterator[str]:
    """Also at a server that has just answered under it; with records in memory it knows its own sessions alone."""
    if env.ask("server.info")["delivery"] != "persisted":
        return
    meta = _identity(env)
    _reply(env, _key(), "open", meta)
    env.reply_at(env.links[-1].url, "session.close", {"_meta": {"session": meta["session"]}})
    reply = _reply(env, _key(), "late", {**meta, "seq": 2})
    if _name(reply) != "session_unknown":
        yield f"a session that was closed was answered {reply}"


def _sessions_are_strangers(env: Environment) -> Iterator[str]:
    one, other = _identity(env), _identity(env)
    if one["session"] == other["session"]:
        yield "two sessions have one name"
    key, other_key = _key(), _key()
    _reply(env, key, "one", one)
    reply = _reply(env, other_key, "other", other)
    if "result" not in reply or "_meta" in reply["result"]:
        yield f"the first call of a fresh session was answered {reply}"


HYPOTHESES: tuple[tuple[Hypothesis, bool], ...] = (
    (_every_link_leads_to_the_server, False),
    (_no_toxic_is_left, False),
    (_a_write_is_read_back, False),
    (_a_settled_call_is_replayed, True),
    (_an_identity_stands_for_one_call, True),
    (_an_error_of_the_application_is_replayed, True),
    (_what_was_settled_stays_settled, True),
    (_an_unknown_session_is_refused, True),
    (_a_closed_session_is_closed_everywhere, True),
    (_sessions_are_strangers, True),
)


def _key() -> str:
    return f"steady/{next(_NUMBERS)}/"


def _identity(env: Environment) -> dict[str, Any]:
    return {"session": env.ask_at(env.links[0].url, "session.open")["session"], "seq": 1}


def _reply(env: Environment, key: str, text: str, meta: dict[str, Any]) -> dict[str, Any]:
    """The whole reply to a write through the first link."""
    return _ask(env, env.service.probe.fine(key, text), meta)


def _allow(env: Environment, key: str) -> None:
    method, params = env.service.probe.allow(key)
    env.ask(method, **params)


def _ask(env: Environment, call: Ask, meta: dict[str, Any]) -> dict[str, Any]:
    method, params = call
    reply = env.reply_at(env.links[0].url, method, {**params, "_meta": meta})
    return {member: reply[member] for member in ("result", "error") if member in reply}


def _unmark(reply: dict[str, Any]) -> bool:
    """Take the replay's mark off a reply; whether it had one."""
    marked = reply["error"]["data"] if "error" in reply else reply["result"]
    return bool(marked.pop("_meta", None) == {"replayed": True})


def _name(reply: dict[str, Any]) -> str:
    return str(reply.get("error", {}).get("data", {}).get("name", ""))
