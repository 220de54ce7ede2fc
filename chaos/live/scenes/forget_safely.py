"""Forget safely: the client says up to which call it has the replies, and what is older is refused instead of run."""

from chaos.live.scene_run import Scene, SceneRun

__all__ = ["SCENE"]


def play(run: SceneRun) -> None:
    """Two calls, then a late copy of the first."""
    run.do("semantics", semantics="at-most-once")
    run.say(
        "Keep every record for ever, and the store grows without end. Drop one too early, and a late retry runs again."
    )
    first = run.call()
    run.claim("the first call is done", run.told(first)["told"] == "ok")
    run.say(
        f"{first} is done, and its record still stands: nothing has told the server that the reply arrived.",
        client=f"{first} is done.", server="It has answered.", nobody="To the server: whether its reply arrived.",
    )  # fmt: skip
    second = run.call()
    gone = run.wait(lambda event: event["type"] == "record" and event["call"] == first and event["change"] == "gone")
    run.claim("the record goes because it is acknowledged", gone["why"] == "acknowledged")
    run.say(
        f"The request of {second} says: I have the replies of all calls before. So the record of {first} goes.",
        client=f"It has the reply of {first}.", server=f"Nobody will ask for {first} again.",
    )  # fmt: skip
    run.claim("the second call is done", run.told(second)["told"] == "ok")
    run.do("late-copy", call=first)
    copy = run.wait(
        lambda event: (
            event["type"] == "message" and event["copy"] and event["kind"] == "reply" and event["call"] == first
        )
    )
    run.claim("the late copy is refused", copy["outcome"] != "ok" and not copy["replayed"])
    run.claim_effects(first, 1)
    run.say(
        f"An old copy of {first} has come late out of the network. Its record is gone, and still it does not run. Its"
        f" number is not above the last one that {run.cast} acknowledged, so the server knows that it is old, and"
        f" refuses it ({copy['outcome']}). But what if the server dies in the middle?",
        client="It does not even know of the copy.", server="A call as old as this one is refused.",
    )  # fmt: skip


SCENE = Scene(
    "forget-safely", "Forget safely",
    "What the client acknowledges may be forgotten: a call as old as that is refused, not run.", 4, play,
)  # fmt: skip
