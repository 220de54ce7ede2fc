"""Send it again until a reply comes. It helps if the request was lost, and doubles the effect if the reply was."""

from chaos.live.stage import Scene, Stage

__all__ = ["SCENE"]


def play(stage: Stage) -> None:
    """Lose a request, then a reply, under at-least-once."""
    stage.do("semantics", semantics="at-least-once")
    stage.say("Now the client sends again until it has a reply: at-least-once.")
    first = stage.call()
    request = stage.message(first, "request")
    stage.say(f"We take the first request of {first} away; the client will wait, and send it again.")
    stage.lose(request)
    told = stage.told(first)
    stage.claim("the second attempt is answered", told["told"] == "ok" and told["attempts"] > 1)
    stage.claim_effects(first, 1)
    stage.say(
        "The second request came through: one call, one effect. Sending again has helped.",
        client=f"{first} is done.", server="It saw one request.",
    )  # fmt: skip
    second = stage.call()
    reply = stage.message(second, "reply")
    stage.say(
        f"The same with {second}, but the server has run it already, and we take its reply away.",
        client="It waits, and will send again.", server="It ran the call and answered.",
    )  # fmt: skip
    stage.lose(reply)
    told = stage.told(second)
    stage.claim("the caller is told ok", told["told"] == "ok")
    stage.claim_effects(second, 2)
    stage.say(
        "The client is content: one call, done. But the store holds two effects of it. To the server the second"
        " request was simply another call. How could it know better?",
        client=f"{second} is done.", server="Two requests came, and it ran both.",
        nobody="To the client: that it ran twice. To the server: that the two were one call.",
    )  # fmt: skip


SCENE = Scene(
    "send-it-again", "Send it again",
    "At-least-once: no call is forgotten, and a lost reply doubles its effect.", 5, play,
)  # fmt: skip
