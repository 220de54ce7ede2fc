"""The faults that tell couriers what to do: their choices, and what they take for proof."""

from __future__ import annotations

from collections import Counter
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from chaos.courier import KEEP, LOSE_REPLY, LOSE_REQUEST, PASS, TWICE, Delivered
from chaos.faults.aimed_loss import PLANS, AimedLoss, plan_for
from chaos.faults.base import Fault
from chaos.faults.late_copies import LateCopies, late
from chaos.faults.twice import Twice, is_doubled

CALLS = [f"c0-{number}" for number in range(1000)]
NOTHING: Any = None


def _world(**more: Any) -> Any:
    couriers = [
        SimpleNamespace(name=f"courier{number}", rule=None, lost_requests=1, lost_replies=2, doubled=4)
        for number in range(2)
    ]
    return SimpleNamespace(seed="7", couriers=couriers, revive=lambda: None, wait=lambda seconds: None, **more)


def test_which_messages_are_lost_depends_on_the_seed_alone() -> None:
    """The same seed, courier and call give the same plan; another seed or courier gives others."""
    first = [plan_for("1", "a", call) for call in CALLS]
    assert first == [plan_for("1", "a", call) for call in CALLS]
    assert first != [plan_for("2", "a", call) for call in CALLS]
    assert first != [plan_for("1", "b", call) for call in CALLS]


def test_every_plan_is_drawn_about_as_often_as_it_says() -> None:
    """Of a thousand calls, each kind of loss hits its share, and most calls none."""
    drawn = Counter(plan_for("1", "a", call) for call in CALLS)
    assert set(drawn) == {(), *(plan for _, plan in PLANS)}
    for share, plan in PLANS:
        assert drawn[plan] == pytest.approx(share * len(CALLS), rel=0.4)


def test_no_call_loses_more_than_its_first_attempts() -> None:
    """The rule follows the plan attempt by attempt and then lets pass, so that every retry ends."""
    world = _world()
    AimedLoss().inject(world)
    courier = world.couriers[1]
    for call in CALLS:
        plan = plan_for(world.seed, courier.name, call)
        asked = tuple(courier.rule(call, attempt) for attempt in range(1, 6))
        assert asked == (*plan, *[PASS] * (5 - len(plan)))


def test_a_doubled_request_is_a_first_attempt() -> None:
    """About half of the calls, always the same ones; retries are sent once."""
    world = _world()
    Twice().inject(world)
    rule = world.couriers[0].rule
    doubled = [call for call in CALLS if rule(call, 1) == TWICE]
    assert doubled == [call for call in CALLS if is_doubled(world.seed, "courier0", call)]
    assert 400 < len(doubled) < 600
    assert {rule(call, 2) for call in CALLS} == {PASS}


@pytest.mark.parametrize(("fault", "count"), [(AimedLoss(), 6), (Twice(), 8)], ids=["aimed-loss", "twice"])
def test_the_proof_is_the_couriers_count(fault: Fault, count: int) -> None:
    """What was done counts, over all couriers; before the fault is in, nothing."""
    assert fault.fired(NOTHING) == 0
    fault.inject(_world())
    assert fault.fired(NOTHING) == count


@pytest.mark.parametrize(
    "fault", [AimedLoss(), Twice(), LateCopies(restart=True)], ids=lambda fault: type(fault).__name__
)
def test_healed_everything_passes(fault: Fault) -> None:
    """After `heal`, also without `inject`, every courier lets every attempt through."""
    for is_in in (False, True):
        world = _world()
        if is_in:
            fault.inject(world)
        fault.heal(world)
        assert {courier.rule(call, 1) for courier in world.couriers for call in CALLS} == {PASS}


@pytest.mark.parametrize("restart", [False, True])
def test_copies_come_after_the_acknowledgement_and_the_restart(restart: bool) -> None:
    """Kept first, then let go on, then delivered; nothing of the clients comes between a restart and the copies."""
    done: list[str] = []
    server = SimpleNamespace(kill=lambda: done.append("kill"), restart=lambda: done.append("restart"))
    world = _world(server=server)
    world.wait = lambda seconds: done.append(world.couriers[0].rule("c0-1", 1))
    copy = Delivered("c0-1", 1, 200, "stale_call")

    def deliver(courier: Any, *, forget: bool) -> list[Delivered]:
        done.append(f"deliver/{courier.rule('c0-1', 1)}/{forget}")
        return [copy]

    for courier in world.couriers:
        courier.deliver_kept = partial(deliver, courier)
    fault = LateCopies(restart=restart)
    fault.inject(world)
    fault.hold(world, 0.5)
    action = LOSE_REQUEST if restart else PASS
    assert done == [KEEP, PASS, *(["kill", "restart"] if restart else []), *[f"deliver/{action}/True"] * 2]
    assert fault.delivered == [copy] * 2
    assert fault.fired(NOTHING) == 2


def test_only_late_copies_are_proof() -> None:
    """A replay came too early, silence says nothing, and another error is none of a late copy's."""
    answers = ["ok", "stale_call", "replayed", "no answer", "session_unknown"]
    assert late([Delivered("c0-1", 1, 200, answer) for answer in answers]) == 2


def test_the_plans_name_losses_alone() -> None:
    """A plan is made of lost requests and lost replies, and leaves most calls alone."""
    assert {action for _, plan in PLANS for action in plan} == {LOSE_REQUEST, LOSE_REPLY}
    assert sum(share for share, _ in PLANS) < 0.5
