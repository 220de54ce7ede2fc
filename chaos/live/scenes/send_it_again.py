"""Send it again until a reply comes. It helps if the request was lost, and doubles the effect if the reply was."""

from chaos.live.scene_run import Scene, SceneRun

__all__ = ["SCENE"]


def play(run: SceneRun) -> None:
    """Lose a request, then a reply, under at-least-once."""
    run.do("semantics", semantics="at-least-once")
    run.say("Now the client sends again until it has a reply: at-least-once.")
    first = run.call()
    request = run.message(first, "request")
    run.say(f"We take the first request of {first} away; the client will wait, and send it again.")
    run.lose(request)
    told = run.told(first)
    run.claim("the second attempt is answered", told["told"] == "ok" and told["attempts"] > 1)
    run.claim_effects(first, 1)
    run.say(
        "The second request came through: one call, one effect. Sending again has helped.",
        client=f"{first} is done.", server="It saw one request.",
    )  # fmt: skip
    second = run.call()
    reply = run.message(second, "reply")
    run.say(
        f"The same with {second}, but the server has run it already, and we take its reply away.",
        client="It waits, and will send again.", server="It ran the call and answered.",
    )  # fmt: skip
    run.lose(reply)
    told = run.told(second)
    run.claim("the caller is told ok", told["told"] == "ok")
    run.claim_effects(second, 2)
    run.say(
        "The client is content: one call, done. But the store holds two effects of it. To the server the second"
        " request was simply another call. How could it know better?",
        client=f"{second} is done.", server="Two requests came, and it ran both.",
        nobody="To the client: that it ran twice. To the server: that the two were one call.",
    )  # fmt: skip


SCENE = Scene(
    "send-it-again", "Send it again",
    "At-least-once: no call is forgotten, and a lost reply doubles its effect.", 5, play,
)  # fmt: skip
