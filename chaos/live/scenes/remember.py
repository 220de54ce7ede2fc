"""Remember: the request says who calls and which call it is, and the server keeps its reply beside the effect."""

from chaos.live.stage import Scene, Stage

__all__ = ["SCENE"]


def play(stage: Stage) -> None:
    """Lose a reply under at-most-once."""
    stage.do("semantics", semantics="at-most-once")
    stage.say(
        "Now each call has an identity: who calls (the client's session), and the how-manieth call it is. Every attempt"
        " carries the same. The server keeps a dedup record of each: this identity, this reply."
    )
    call = stage.call()
    reply = stage.message(call, "reply")
    stage.wait(lambda event: event["type"] == "record" and event["call"] == call and event["change"] == "added")
    stage.say(
        f"{call} ran, and its dedup record stands in the store beside its effect; both were written in one"
        " transaction. We take the reply away.",
        client="It waits, and will send again.", server="It ran the call, and has its reply kept.",
    )  # fmt: skip
    stage.lose(reply)
    again = stage.message(call, "reply", attempt=2)
    stage.say(
        f"The client has sent {call} again. The server found the record and did not run it: what comes back is the"
        " first reply, from the record.",
        client="It still waits.", server="This identity ran before; here is its reply.",
    )  # fmt: skip
    stage.claim("the second reply arrives", stage.end_of(again) == "arrived")
    told = stage.told(call)
    stage.claim("the caller is told ok by a replay", told["told"] == "ok" and told["replayed"])
    stage.claim_effects(call, 1)
    stage.say(
        "One call, one effect, and the client knows it. But for how long must the server keep the record?",
        client=f"{call} is done.", server="It ran the call once, and still keeps the record.",
        nobody="To the server: whether this reply arrived.",
    )  # fmt: skip


SCENE = Scene(
    "remember", "Remember",
    "A record beside the effect tells a retry from a new call, and answers it.", 4, play,
)  # fmt: skip
