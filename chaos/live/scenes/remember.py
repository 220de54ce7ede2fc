"""Remember: the request says who calls and which call it is, and the server keeps its reply beside the effect."""

from chaos.live.scene_run import Scene, SceneRun

__all__ = ["SCENE"]


def play(run: SceneRun) -> None:
    """Lose a reply under at-most-once."""
    run.do("semantics", semantics="at-most-once")
    run.say(
        "Now each call has an identity: who calls (the client's session), and the how-manieth call it is. Every attempt"
        " carries the same. The server keeps a dedup record of each: this identity, this reply."
    )
    call = run.call()
    reply = run.message(call, "reply")
    run.wait(lambda event: event["type"] == "record" and event["call"] == call and event["change"] == "added")
    run.say(
        f"{call} ran, and its dedup record stands in the store beside its effect; both were written in one"
        " transaction. We take the reply away.",
        client="It waits, and will send again.", server="It ran the call, and has its reply kept.",
    )  # fmt: skip
    run.lose(reply)
    again = run.message(call, "reply", attempt=2)
    run.say(
        f"The client has sent {call} again. The server found the record and did not run it: what comes back is the"
        " first reply, from the record.",
        client="It still waits.", server="This identity ran before; here is its reply.",
    )  # fmt: skip
    run.claim("the second reply arrives", run.end_of(again) == "arrived")
    told = run.told(call)
    run.claim("the caller is told ok by a replay", told["told"] == "ok" and told["replayed"])
    run.claim_effects(call, 1)
    run.say(
        "One call, one effect, and the client knows it. But for how long must the server keep the record?",
        client=f"{call} is done.", server="It ran the call once, and still keeps the record.",
        nobody="To the server: whether this reply arrived.",
    )  # fmt: skip


SCENE = Scene(
    "remember", "Remember",
    "A record beside the effect tells a retry from a new call, and answers it.", 4, play,
)  # fmt: skip
