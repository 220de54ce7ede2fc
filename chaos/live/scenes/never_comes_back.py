"""And when the server never comes back? With a disk of its own all is lost; on a store that servers share, another one
goes on.
"""

from chaos.live.stage import Scene, Stage

__all__ = ["ALONE", "SHARED"]


def play_alone(stage: Stage) -> None:
    """The only disk is lost."""
    stage.do("semantics", semantics="at-most-once")
    call = stage.call()
    stage.claim("the call is done", stage.told(call)["told"] == "ok")
    stage.claim_effects(call, 1)
    stage.say(
        f"{call} is done, and its effect stands in the store. Now we take the server away, and its disk with it.",
        client=f"{call} is done.", server="The store holds its effect.",
    )  # fmt: skip
    stage.do("server", server="s0", do="kill")
    stage.claim_effects(call, 1)
    stage.say(
        "The server is down. So far its disk still holds the effect and the record: a restart would find both, as in"
        " the scene before. Now the disk goes too.",
        client=f"{call} is done.", server="It is not there; its disk holds the effect.",
    )  # fmt: skip
    stage.do("server", server="s0", do="lose-disk")
    stage.claim_effects(call, 0)
    stage.say(
        "The server and its disk are gone. A new server with an empty disk takes its address: it has neither the effect"
        " nor the record.",
        client=f"It still believes that {call} is done.", server="It has never heard of any call.",
        nobody="From the store alone: that something is missing.",
    )  # fmt: skip
    after = stage.call()
    told = stage.told(after)
    stage.claim("a call after it is answered", told["told"] == "ok")
    stage.say(
        "The new server does not know the client's session, so the client opened another and went on. What must outlive"
        " a server must not stand in it alone: `make live LIVE_ARGS='--store postgres'` has two servers on one store"
        " (it needs PostgreSQL).",
        client=f"{after} is done.", server=f"The store holds {after}, and not {call}.",
    )  # fmt: skip


def play_shared(stage: Stage) -> None:
    """One of two servers dies after the commit, for good."""
    stage.do("semantics", semantics="at-most-once")
    stage.say("Two servers share one store. The first one will die after it has committed a call, and stay dead.")
    stage.arm("after_commit", "crash")
    call = stage.call()
    stage.wait(lambda event: event["type"] == "server" and event["state"] == "down", "the server is dead")
    stage.say(
        "The first server is dead for good. What it committed stands in the shared store: the effect, and its record.",
        client="Its connection has ended without a reply.", server="The other server has not heard of the call.",
        nobody="To the client: whether it ran.",
    )  # fmt: skip
    told = stage.told(call)
    stage.claim("another server answers from the record", told["told"] == "ok" and told["replayed"])
    stage.claim_effects(call, 1)
    stage.say(
        "The client asked the other server, which found the record in the store they share: one effect, and a reply.",
        client=f"{call} is done.", server="I never ran it; somebody did, and here is the reply.",
    )  # fmt: skip


_TITLE = "And when the server never comes back"
ALONE = Scene("never-comes-back", _TITLE, "No dedup record outlives the disk that it stands on.", 4, play_alone)
SHARED = Scene(
    "never-comes-back", _TITLE, "What stands in a store that servers share outlives any one of them.", 3, play_shared
)
