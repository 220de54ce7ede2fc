"""And when the server never comes back? With a disk of its own all is lost; on a store that servers share, another one
goes on.
"""

from chaos.live.scene_run import Scene, SceneRun

__all__ = ["ALONE", "SHARED"]


def play_alone(run: SceneRun) -> None:
    """The only disk is lost."""
    run.do("semantics", semantics="at-most-once")
    call = run.call()
    run.claim("the call is done", run.told(call)["told"] == "ok")
    run.claim_effects(call, 1)
    run.say(
        f"{call} is done, and its effect stands in the store. Now we take the server away, and its disk with it.",
        client=f"{call} is done.", server="The store holds its effect.",
    )  # fmt: skip
    run.do("server", server="s0", do="kill")
    run.claim_effects(call, 1)
    run.say(
        "The server is down. So far its disk still holds the effect and the record: a restart would find both, as in"
        " the scene before. Now the disk goes too.",
        client=f"{call} is done.", server="It is not there; its disk holds the effect.",
    )  # fmt: skip
    run.do("server", server="s0", do="lose-disk")
    run.claim_effects(call, 0)
    run.say(
        "The server and its disk are gone. A new server with an empty disk takes its address: it has neither the effect"
        " nor the record.",
        client=f"It still believes that {call} is done.", server="It has never heard of any call.",
        nobody="From the store alone: that something is missing.",
    )  # fmt: skip
    after = run.call()
    told = run.told(after)
    run.claim("a call after it is answered", told["told"] == "ok")
    run.say(
        "The new server does not know the client's session, so the client opened another and went on. What must outlive"
        " a server must not stand in it alone: `make live LIVE_ARGS='--store postgres'` has two servers on one store"
        " (it needs PostgreSQL).",
        client=f"{after} is done.", server=f"The store holds {after}, and not {call}.",
    )  # fmt: skip


def play_shared(run: SceneRun) -> None:
    """One of two servers dies after the commit, for good."""
    run.do("semantics", semantics="at-most-once")
    run.say("Two servers share one store. The first one will die after it has committed a call, and stay dead.")
    run.arm("after_commit", "crash")
    call = run.call()
    run.wait(lambda event: event["type"] == "server" and event["state"] == "down", "the server is dead")
    run.say(
        "The first server is dead for good. What it committed stands in the shared store: the effect, and its record.",
        client="Its connection has ended without a reply.", server="The other server has not heard of the call.",
        nobody="To the client: whether it ran.",
    )  # fmt: skip
    told = run.told(call)
    run.claim("another server answers from the record", told["told"] == "ok" and told["replayed"])
    run.claim_effects(call, 1)
    run.say(
        "The client asked the other server, which found the record in the store they share: one effect, and a reply.",
        client=f"{call} is done.", server="I never ran it; somebody did, and here is the reply.",
    )  # fmt: skip


_TITLE = "And when the server never comes back"
ALONE = Scene("never-comes-back", _TITLE, "No dedup record outlives the disk that it stands on.", 4, play_alone)
SHARED = Scene(
    "never-comes-back", _TITLE, "What stands in a store that servers share outlives any one of them.", 3, play_shared
)
