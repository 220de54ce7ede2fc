"""One step in words: what happened, and what each side knows and does not know now. Pure.

What the sides know is not what has happened: a client knows only what came back to it, a server only what came to it
and what its store holds. The sentence says the difference, which is the whole matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chaos.live.pace import Waiter

if TYPE_CHECKING:
    from chaos.live.world import World

__all__ = ["facts", "sentence"]


def sentence(head: Waiter, events: Sequence[dict[str, Any]], world: World) -> dict[str, str]:
    """The facts of a `step` event."""
    told = next((event for event in events if event["type"] == "told"), None)
    end = next((event for event in events if event["type"] == "message-end"), None)
    if told is not None:
        return _told(told, world)
    if head.message is not None and end is not None:
        reply = next((event for event in events if event["type"] == "message" and event["kind"] == "reply"), None)
        return _ended(head, end, reply)
    return _waited(head, events)


def facts(text: str, client: str = "", server: str = "", nobody: str = "") -> dict[str, str]:
    """Of a `step` event: what happened, and what the sides know."""
    return {"text": text, "client_knows": client, "server_knows": server, "nobody_knows": nobody}


def _told(told: dict[str, Any], world: World) -> dict[str, str]:
    call, client = told["call"], told["client"]
    world.effect_counts.count()
    counted = world.effect_counts.find(call)
    effects = counted.effects if counted else 0
    store = f"The store holds {effects} effect{'' if effects == 1 else 's'} of {call}."
    if told["told"] == "ok":
        how = " from the dedup record, not by running it again" if told["replayed"] else ""
        extra = f"To {client}: that it ran {effects} times." if effects > 1 else ""
        return facts(
            f"{client} has its reply: {call} is done{how}.",
            f"{client} knows that {call} ran at least once.",
            store,
            extra,
        )
    if told["told"] == "definite":
        return facts(f"{client} is refused: {told['error']}.", f"{client} knows that {call} did not run.", store)
    return facts(
        f"{client} gives up and says what is true: the outcome of {call} is unknown.",
        f"{client} knows only that no reply came.", store, f"To {client}: whether {call} ran.",
    )  # fmt: skip


def _ended(head: Waiter, end: dict[str, Any], reply: dict[str, Any] | None) -> dict[str, str]:
    what = head.what[0].upper() + head.what[1:]
    is_request = " request of" in f" {head.what}"
    if head.what.startswith("a late copy") and end["end"] == "arrived":
        return _copy_arrived(what, reply if is_request else None, is_request=is_request)
    if end["end"] == "arrived" and is_request:
        if reply is None:
            return facts(f"{what} has arrived, and nothing comes back.", "The client knows nothing yet.",
                          "The server has the request.", "To the client: whether it ran.")  # fmt: skip
        how = "finds a record and answers from it" if reply.get("replayed") else f"answers: {reply.get('outcome')}"
        return facts(f"{what} has arrived; the server {how}.", "The client still waits; it knows nothing yet.",
                      "The server knows that it has answered, and not whether the reply will arrive.",
                      "To the client: that it was answered.")  # fmt: skip
    if end["end"] == "arrived":
        return facts(f"{what} has arrived.", "The client has the reply.", "The server does not know that it arrived.")
    if end["end"] == "refused":
        return facts(f"{what} finds no server.", "The client's connection ends without a reply.", "It is not there.",
                      "To the client: whether the server died before or after it ran.")  # fmt: skip
    where = {"blocked": "is swallowed by the link", "lost": "comes to nobody", "reset": "is cut off"}
    return facts(
        f"{what} {where.get(end['end'], 'ends')}.", "The client hears nothing, whichever way was lost.",
        "The server never saw it." if is_request else "The server thinks that it has answered.",
        "To the client: whether the request or the reply was lost.",
    )  # fmt: skip


def _copy_arrived(what: str, reply: dict[str, Any] | None, *, is_request: bool) -> dict[str, str]:
    if not is_request:
        return facts(f"{what} has arrived, and nobody waits for it.", "The client ignores it.")
    if reply is None:
        return facts(f"{what} has arrived.", "", "To the server it looks like any other request.")
    outcome = reply.get("outcome")
    if reply.get("replayed"):
        return facts(f"{what} has arrived; the server finds a record and answers from it.", "", "It ran before.")
    if outcome == "ok":
        return facts(
            f"{what} has arrived, and runs.", "The client knows nothing of it.", "It ran a call.",
            "To the client: that it ran again. To the server: that it was no new call.",
        )  # fmt: skip
    return facts(f"{what} has arrived, and is refused: {outcome}.", "", "The server knows that it is too old to run.")


def _waited(head: Waiter, events: Sequence[dict[str, Any]]) -> dict[str, str]:
    out = next((event for event in events if event["type"] == "message"), None)
    text = f"{head.what[0].upper()}{head.what[1:]}."
    if "gives up" in head.what:
        return facts(text, "The client knows that it has heard nothing.",
                      nobody="To the client: whether the request or the reply was lost, or is slow.")  # fmt: skip
    if out is not None and out["kind"] == "request":
        again = f"attempt {out['attempt']}" if out["attempt"] > 1 else "the first attempt"
        return facts(f"{text[:-1]}: {again} of {out['call']} sets out.", "The client has sent it and waits.",
                      "The server knows nothing of it yet.")  # fmt: skip
    return facts(text)
