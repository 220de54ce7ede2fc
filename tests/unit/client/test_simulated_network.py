"""The promise of each semantics, over hundreds of seeded bad networks, with effects counted at the server.

A run that fails names its seed; `run(seed)` repeats it exactly.
"""

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from oncekv.client import RetryPolicy, Semantics, connect
from oncerpc.client.outcome import Failed, Ok, Outcome, Unknown
from oncerpc.client.retry import chunks, retry_loop
from oncerpc.client.retry.decision import decide
from oncerpc.client.session.ledger import Ledger
from oncerpc.client.session.outbox import Outbox
from oncerpc.client.transport.attempt_result import Lost

from .simulation import CrashedError, ModelServer, Network

MAYBE, AT_LEAST, AT_MOST, EXACTLY = Semantics
POLICY = RetryPolicy(first_delay_s=0.05, delay_max_s=0.5, attempt_timeout_s=0.3)
BAD = {
    "ok": 10, "refused": 2, "lost_request": 2, "lost_reply": 3, "reset": 2, "cut": 2, "held": 2, "twice": 2,
    "overloaded": 1, "fails_before": 1, "fails_after": 1, "bad_gateway": 1,
}  # fmt: skip
# TCP does not duplicate, and a client without identities relies on that; a proxy that repeats requests would break it.
FATES = {semantics: {**BAD, "twice": 2 if semantics.identifies else 0} for semantics in Semantics}
CALLS = 16
SEEDS = range(80)


def a_call(rng, number):
    """An append, or a put that may find another version; its value is a token of its own."""
    token = f"[{number}]"
    kind = rng.choice(["append", "append", "put", "put_conflict"])
    if kind == "append":
        return "kv.append", {"key": "k", "value": token}
    return "kv.put", {"key": f"k{number}", "value": token, "if_version": 0 if kind == "put" else 5}


def run(seed, semantics, *, server=None, fates=None, batch_of=0):
    """One client's calls over one bad network: the server afterwards, and what the client was told of each call."""
    rng = random.Random(f"{seed}-{semantics}")
    server = server or ModelServer()
    network = Network(server, rng, fates or FATES[semantics])
    told: dict[str, Outcome] = {}
    with connect(
        "kv=http://kv", semantics=semantics, timeout_s=2.5, retry=POLICY, environment=network.environment
    ) as kv:
        numbers = iter(range(CALLS))
        for number in numbers:
            chunk = [number, *(next(numbers) for _ in range(batch_of - 1))]
            calls = [a_call(rng, one) for one in chunk]
            if batch_of:
                with kv.batch() as batch:
                    later = [batch.call(*call) for call in calls]
                outcomes = [one.outcome for one in later]
            else:
                outcomes = [kv.outcome(*calls[0])]
            told |= {call[1]["value"]: outcome for call, outcome in zip(calls, outcomes, strict=True)}
    network.settle()
    return server, told


def broken_promises(semantics, server, told):
    """The calls whose effects, or whose results, are not what their client was told."""
    broken = []
    for token, outcome in told.items():
        effects = server.effects[token]
        kept = effects <= 1 or semantics is AT_LEAST
        match outcome:
            case Ok():
                kept = effects >= 1 if semantics is AT_LEAST else effects == 1
                at = server.values.get("k", "").find(token)
                if at >= 0 and semantics is not AT_LEAST:
                    kept = kept and outcome.result["offset"] == at
            case Failed():
                kept = effects == 0
        if not kept:
            broken.append((token, outcome, effects))
    return broken


@pytest.mark.parametrize(("batch_of", "chunk"), [(0, 1), (4, 4), (8, 3)], ids=["single", "batch", "chunks"])
@pytest.mark.parametrize("semantics", [MAYBE, AT_LEAST, AT_MOST])
def test_every_promise_holds_on_every_network(monkeypatch, semantics, batch_of, chunk):
    """Ok, failed and unknown mean exactly what docs/protocol.md says, whatever the network did."""
    monkeypatch.setattr(chunks, "CALLS_MAX", chunk)
    kinds = set()
    for seed in SEEDS:
        server, told = run(seed, semantics, batch_of=batch_of)
        assert not broken_promises(semantics, server, told), f"seed {seed}"
        kinds |= {type(outcome) for outcome in told.values()}
    assert kinds == {Ok, Failed, Unknown}, "the network was too kind, or too cruel, to show anything"


def test_a_batch_takes_effect_in_its_order_on_every_network(monkeypatch):
    """Whichever chunks were lost, late, doubled or refused: what was appended stands in the order of the calls."""
    monkeypatch.setattr(chunks, "CALLS_MAX", 3)
    for seed in SEEDS:
        server, told = run(seed, AT_MOST, batch_of=CALLS)
        places = [server.values.get("k", "").find(token) for token, outcome in told.items() if isinstance(outcome, Ok)]
        places = [place for place in places if place >= 0]
        assert places == sorted(places), f"seed {seed}"


@pytest.mark.parametrize("semantics", [MAYBE, AT_LEAST, AT_MOST])
def test_a_session_that_is_gone_breaks_no_promise(semantics):
    """Leases that run out at the worst moments make calls unknown at most, never double."""
    for seed in SEEDS:
        server, told = run(seed, semantics, fates={**FATES[semantics], "expired": 3})
        assert not broken_promises(semantics, server, told), f"seed {seed}"


def test_an_abandoned_call_is_settled_by_the_next_answer():
    """At-most-once: once a later call was answered, no late arrival changes what became of an unknown one."""
    unknown_ones = 0
    for seed in SEEDS:
        rng = random.Random(seed)
        network = Network(ModelServer(), rng, BAD)
        with connect("kv=http://kv", timeout_s=0.9, retry=POLICY, environment=network.environment) as kv:
            frozen: dict[str, int] = {}
            waiting: list[str] = []
            for number in range(CALLS):
                token = f"[{number}]"
                outcome = kv.outcome("kv.append", {"key": "k", "value": token})
                if isinstance(outcome, Unknown):
                    waiting.append(token)
                elif isinstance(outcome, Ok):
                    frozen |= {token: network.server.effects[token] for token in waiting}
                    waiting = []
        network.settle()
        unknown_ones += len(frozen)
        assert {token: network.server.effects[token] for token in frozen} == frozen, f"seed {seed}"
    assert unknown_ones > 30


def live(seed, server, directory, fates=BAD, crash_chance=0.02, timeout_s=None):
    """An exactly-once application that dies again and again, and each time goes on where it was."""
    rng = random.Random(f"{seed}-live")
    network = Network(server, rng, fates, crash_chance)
    path = Path(directory) / f"{seed}.db"
    reported, crashes = [], 0
    while True:
        box = None
        try:
            kv = connect(
                "kv=http://kv",
                semantics=EXACTLY,
                timeout_s=timeout_s,
                outbox=path,
                retry=POLICY,
                environment=network.environment,
            )
            box = kv._core.outbox
            crash_around_commits(box, network)
            reported += [found.outcome for found in kv.resume()]
            for number in range(kv.calls_begun, CALLS):
                reported.append(kv.outcome("kv.append", {"key": "k", "value": f"[{number}]"}))
            if not kv.has_unanswered:
                break
        except CrashedError:
            crashes += 1
        finally:
            if box is not None:
                box.close()
    network.settle()
    return reported, crashes


def crash_around_commits(box, network):
    """The process may also die just before or just after the outbox's own transaction."""
    write = box._write

    def dying_write(work):
        network.maybe_crash()
        result = write(work)
        network.maybe_crash()
        return result

    box._write = dying_write


@pytest.fixture
def directory():
    """Memory, where there is some: a simulated crash needs no real disk."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as path:
        yield path


@pytest.mark.parametrize("timeout_s", [None, 0.5])
def test_exactly_once_is_exactly_once_over_the_clients_own_death(directory, timeout_s):
    """Whenever the client dies, each call that it ever began has one effect in the end, in the order of the calls."""
    crashes = 0
    for seed in range(60):
        server = ModelServer()
        reported, died = live(seed, server, directory, timeout_s=timeout_s)
        crashes += died
        assert server.values["k"] == "".join(f"[{number}]" for number in range(CALLS)) or timeout_s, f"seed {seed}"
        assert server.effects == {f"[{number}]": 1 for number in range(CALLS)}, f"seed {seed}"
        assert all(isinstance(one, Ok) or (isinstance(one, Unknown) and one.kept) for one in reported), f"seed {seed}"
        assert timeout_s or all(isinstance(one, Ok) for one in reported), f"seed {seed}"
    assert crashes > 60


def test_exactly_once_reports_what_a_lost_session_took_with_it(directory):
    """Where the server's session is gone, a call that may have run is reported as unknown, and none runs twice."""
    unknown_ones = 0
    for seed in range(60):
        server = ModelServer()
        reported, crashes = live(seed, server, directory, fates={**BAD, "expired": 2})
        assert max(server.effects.values()) == 1, f"seed {seed}"
        unknown = [one for one in reported if isinstance(one, Unknown)]
        missing = CALLS - sum(server.effects.values())
        # A client that dies between settling a call and handing over its outcome has nobody to tell.
        assert missing <= len(unknown) + crashes, f"seed {seed}"
        assert not any(one.kept for one in unknown), f"seed {seed}"
        unknown_ones += len(unknown)
    assert unknown_ones > 10


def test_a_server_that_forgets_its_records_is_caught():
    """The known-bad twin: without records a retry runs again, and this test bench sees it."""
    doubles = 0
    for seed in SEEDS:
        server, told = run(seed, AT_MOST, server=ModelServer(records=False))
        doubles += bool(broken_promises(AT_MOST, server, told))
    assert doubles > len(SEEDS) / 2


def test_at_least_once_does_repeat_effects():
    """The control: on these networks a client without identities runs calls twice."""
    repeated = sum(max(run(seed, AT_LEAST)[0].effects.values(), default=0) > 1 for seed in SEEDS)
    assert repeated > len(SEEDS) / 2


def test_a_client_that_takes_lost_for_failed_is_caught(monkeypatch):
    """The known-bad twin of the verdict: a lost attempt reported as a definite failure is a lie that shows."""

    def careless(kind, history, result):
        settled = decide(kind, history, result)
        return Failed(InterruptedError()) if isinstance(result, Lost) else settled  # type: ignore[arg-type]

    monkeypatch.setattr(retry_loop, "decide", careless)
    assert any(broken_promises(AT_MOST, *run(seed, AT_MOST)) for seed in range(20))


def test_a_client_that_acknowledges_too_early_is_caught(monkeypatch, directory):
    """The known-bad twin of the ledger: acknowledging an open call makes its retry stale."""

    def hasty(self, count):
        seqs = range(self.next_seq, self.next_seq + count)
        self.next_seq = seqs.stop
        self.acked = seqs[-1] - 1
        return seqs

    monkeypatch.setattr(Ledger, "begin", hasty)
    monkeypatch.setattr(Ledger, "finish", lambda self, seq: None)
    results = []
    for seed in range(20):
        server = ModelServer()
        network = Network(server, random.Random(seed), BAD)
        with connect("kv=http://kv", timeout_s=None, retry=POLICY, environment=network.environment) as kv:
            with kv.batch() as batch:
                later = [batch.append("k", f"[{number}]") for number in range(4)]
            results += [one.outcome for one in later]
    assert any(isinstance(outcome, Unknown) for outcome in results)


def test_an_outbox_that_settles_too_early_is_caught(monkeypatch, directory):
    """The known-bad twin of the outbox: one that forgets calls when they are put in loses effects."""
    monkeypatch.setattr(Outbox, "entries", lambda self: [])
    lost = 0
    for seed in range(20):
        server = ModelServer()
        live(seed, server, directory)
        lost += CALLS - sum(server.effects.values())
    assert lost > 0
