"""Crash: the server dies after it has committed a call, before it has said so. The record was on the disk with it."""

from chaos.live.scene_run import Scene, SceneRun

__all__ = ["SCENE"]


def play(run: SceneRun) -> None:
    """A failpoint kills the server after the commit; it starts again and is asked again."""
    run.do("semantics", semantics="at-most-once")
    for link in run.other_links:  # of one store's servers another would answer; that is the last scene
        run.do("link", link=link, state="cut")
    run.say("The server will be killed at the worst moment: the call is committed, its reply not yet sent.")
    run.arm("after_commit", "crash")
    call = run.call()
    request = run.message(call, "request")
    run.claim("the request arrives", run.end_of(request) == "arrived")
    run.wait(lambda event: event["type"] == "server" and event["state"] == "down", "the server is dead")
    run.claim_effects(call, 1)
    run.say(
        "The server is dead. Effect and record were written in one transaction, so the disk has both.",
        client="Its connection has ended without a reply.", server="It is not there; its disk holds the effect.",
        nobody="To the client: whether the server died before or after the commit.",
    )  # fmt: skip
    run.do("server", server="s0", do="restart")
    told = run.told(call)
    run.claim("the retry is answered from the record", told["told"] == "ok" and told["replayed"])
    run.claim_effects(call, 1)
    run.say(
        "The server is back on the same disk, found the record there, and answered the retry with it: one effect. And"
        " if the server, or its disk, never comes back?",
        client=f"{call} is done.",
        server="Since its restart it has not run the call; the record says that it ran before.",
    )  # fmt: skip


SCENE = Scene(
    "crash", "Crash",
    "Effect and record are committed together, so a server that comes back knows what it did.", 3, play,
)  # fmt: skip
