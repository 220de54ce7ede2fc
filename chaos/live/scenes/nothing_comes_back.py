"""A call, and nothing comes back. Once the request was lost and once the reply: the caller sees the same both times."""

from chaos.live.scene_run import Scene, SceneRun

__all__ = ["SCENE"]


def play(run: SceneRun) -> None:
    """Lose a request, then a reply, under `maybe`."""
    run.do("semantics", semantics="maybe")
    run.say("A client calls a server: a request goes there, a reply comes back. Here it sends each request once.")
    first = run.call()
    request = run.message(first, "request")
    run.say(f"The request of {first} is on its way. We take it away.", client="It has sent the call, and waits.")
    run.lose(request)
    run.claim("the caller is told unknown", run.told(first)["told"] == "unknown")
    run.claim_effects(first, 0)
    run.say(
        "Nothing came back, and the client says what is true: unknown.", client="No reply came in time.",
        server="Nothing: it never saw the call, and the store holds no effect.",
    )  # fmt: skip
    second = run.call()
    reply = run.message(second, "reply")
    run.say(
        f"Once more. The server has run {second}, and its reply is on its way. This time we take that away.",
        client="It has sent the call, and waits.", server="The call ran; the store holds its effect.",
    )  # fmt: skip
    run.lose(reply)
    run.claim("the caller is told unknown", run.told(second)["told"] == "unknown")
    run.claim_effects(second, 1)
    run.say(
        "The client sees exactly the same, and the store holds one effect. Would it help to send again?",
        client="No reply came in time.", server="It ran the call and answered.",
        nobody="To the client: whether the request or the reply was lost.",
    )  # fmt: skip


SCENE = Scene(
    "nothing-comes-back", "Nothing comes back",
    "A lost request and a lost reply look the same to the caller, and only one of them ran.", 5, play,
)  # fmt: skip
