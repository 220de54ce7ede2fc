"""Forget safely: the client says up to which call it has the replies, and what is older is refused instead of run."""

from chaos.live.stage import Scene, Stage

__all__ = ["SCENE"]


def play(stage: Stage) -> None:
    """Two calls, then a late copy of the first."""
    stage.do("semantics", semantics="at-most-once")
    stage.say(
        "Keep every record for ever, and the store grows without end. Drop one too early, and a late retry runs again."
    )
    first = stage.call()
    stage.claim("the first call is done", stage.told(first)["told"] == "ok")
    stage.say(
        f"{first} is done, and its record still stands: nothing has told the server that the reply arrived.",
        client=f"{first} is done.", server="It has answered.", nobody="To the server: whether its reply arrived.",
    )  # fmt: skip
    second = stage.call()
    gone = stage.wait(lambda event: event["type"] == "record" and event["call"] == first and event["change"] == "gone")
    stage.claim("the record goes because it is acknowledged", gone["why"] == "acknowledged")
    stage.say(
        f"The request of {second} says: I have the replies of all calls before. So the record of {first} goes.",
        client=f"It has the reply of {first}.", server=f"Nobody will ask for {first} again.",
    )  # fmt: skip
    stage.claim("the second call is done", stage.told(second)["told"] == "ok")
    stage.do("late-copy", call=first)
    copy = stage.wait(
        lambda event: (
            event["type"] == "message" and event["copy"] and event["kind"] == "reply" and event["call"] == first
        )
    )
    stage.claim("the late copy is refused", copy["outcome"] != "ok" and not copy["replayed"])
    stage.claim_effects(first, 1)
    stage.say(
        f"An old copy of {first} has come late out of the network. Its record is gone, and still it does not run. Its"
        f" number is not above the last one that {stage.cast} acknowledged, so the server knows that it is old, and"
        f" refuses it ({copy['outcome']}). But what if the server dies in the middle?",
        client="It does not even know of the copy.", server="A call as old as this one is refused.",
    )  # fmt: skip


SCENE = Scene(
    "forget-safely", "Forget safely",
    "What the client acknowledges may be forgotten: a call as old as that is refused, not run.", 4, play,
)  # fmt: skip
