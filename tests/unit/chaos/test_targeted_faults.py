"""The faults that tell message proxies what to do: their choices, and what they take for proof."""

from __future__ import annotations

from collections import Counter
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from chaos.evidence import Counts
from chaos.faults import refused_retry
from chaos.faults.base import Fault
from chaos.faults.delayed_request import DelayedRequest
from chaos.faults.duplicate_request import DuplicateRequest, is_doubled, unlike
from chaos.faults.late_duplicate import LateDuplicate, late, untrue
from chaos.faults.refused_retry import RefusedRetry
from chaos.faults.targeted_loss import PLANS, Plans, TargetedLoss, plan_for
from chaos.net.message_proxy import (
    DUPLICATE,
    HOLD,
    KEEP_COPY,
    LOSE_REPLY,
    LOSE_REQUEST,
    PASS,
    REFUSE_413,
    REFUSE_503,
    Delivered,
)
from chaos.net.replies import NO_ANSWER, ReplySummary

CALLS = [f"c0-{number}" for number in range(1000)]
NOTHING = Counts()
IDENTIFIED = Counts(identified=True)
RESULT, OTHER = {"version": 1}, {"version": 2}
BOTH_PLANS = pytest.mark.parametrize("plans", [PLANS, refused_retry.PLANS], ids=["aimed-loss", "refused-retry"])


def _env(**more: Any) -> Any:
    proxies = [
        SimpleNamespace(
            name=f"proxy{number}",
            rule=None,
            lost_requests=1,
            lost_replies=2,
            doubled=4,
            refused=8,
            refused_retries=5,
            pairs=list,
        )
        for number in range(2)
    ]
    usual = {
        "workload": SimpleNamespace(settled=0, told=[], running=lambda: False),
        "wait_until": lambda holds, _timeout_s, _what: holds(),
    }
    return SimpleNamespace(
        seed="7", proxies=proxies, revive=lambda: None, wait=lambda seconds: None, **{**usual, **more}
    )


def test_which_messages_are_lost_depends_on_the_seed_alone() -> None:
    """The same seed, message proxy and call give the same plan; another seed or message proxy gives others."""
    first = [plan_for("1", "a", call) for call in CALLS]
    assert first == [plan_for("1", "a", call) for call in CALLS]
    assert first != [plan_for("2", "a", call) for call in CALLS]
    assert first != [plan_for("1", "b", call) for call in CALLS]


@BOTH_PLANS
def test_every_plan_is_drawn_about_as_often_as_it_says(plans: Plans) -> None:
    """Of a thousand calls, each kind of loss hits its share, and most calls none."""
    drawn = Counter(plan_for("1", "a", call, plans) for call in CALLS)
    assert set(drawn) == {(), *(plan for _, plan in plans)}
    for share, plan in plans:
        assert drawn[plan] == pytest.approx(share * len(CALLS), rel=0.4)


@pytest.mark.parametrize(("fault", "plans"), [(TargetedLoss(), PLANS), (RefusedRetry(), refused_retry.PLANS)])
def test_no_call_loses_more_than_its_first_attempts(fault: Fault, plans: Plans) -> None:
    """The rule follows the plan attempt by attempt and then lets pass, so that every retry ends."""
    env = _env()
    fault.inject(env)
    proxy = env.proxies[1]
    for call in CALLS:
        plan = plan_for(env.seed, proxy.name, call, plans)
        asked = tuple(proxy.rule(call, attempt) for attempt in range(1, 6))
        assert asked == (*plan, *[PASS] * (5 - len(plan)))


def test_a_doubled_request_is_a_first_attempt() -> None:
    """About half of the calls, always the same ones; retries are sent once."""
    env = _env()
    DuplicateRequest().inject(env)
    rule = env.proxies[0].rule
    doubled = [call for call in CALLS if rule(call, 1) == DUPLICATE]
    assert doubled == [call for call in CALLS if is_doubled(env.seed, "proxy0", call)]
    assert 400 < len(doubled) < 600
    assert {rule(call, 2) for call in CALLS} == {PASS}


@pytest.mark.parametrize(
    ("fault", "counts", "count"),
    [
        (TargetedLoss(), NOTHING, 6),
        (DuplicateRequest(), NOTHING, 8),
        (RefusedRetry(), NOTHING, 16),
        (RefusedRetry(), IDENTIFIED, 10),
    ],
    ids=["aimed-loss", "twice", "refused", "refused-retry"],
)
def test_the_proof_is_the_couriers_count(fault: Fault, counts: Counts, count: int) -> None:
    """What was done counts, over all message proxies; before the fault is in, nothing."""
    assert fault.fired(counts) == 0
    fault.inject(_env())
    assert fault.fired(counts) == count


@pytest.mark.parametrize(
    "fault",
    [TargetedLoss(), RefusedRetry(), DuplicateRequest(), LateDuplicate(restart=True), DelayedRequest()],
    ids=lambda fault: type(fault).__name__,
)
def test_healed_everything_passes(fault: Fault) -> None:
    """After `heal`, also without `inject`, every message proxy lets every attempt through."""
    for is_in in (False, True):
        env = _env()
        if is_in:
            fault.inject(env)
        fault.heal(env)
        assert {proxy.rule(call, 1) for proxy in env.proxies for call in CALLS} == {PASS}


@pytest.mark.parametrize("restart", [False, True])
def test_copies_come_after_the_acknowledgement_and_the_restart(restart: bool) -> None:
    """Kept first, then let go on, then delivered; nothing of the clients comes between a restart and the copies."""
    done: list[str] = []
    server = SimpleNamespace(kill=lambda: done.append("kill"), restart=lambda: done.append("restart"))
    env = _env(server=server, ask=lambda _method: {"delivery": "persisted"})
    env.wait = lambda seconds: done.append(env.proxies[0].rule("c0-1", 1))
    env.workload = SimpleNamespace(settled=0, running=lambda: True)
    env.wait_until = lambda holds, _timeout_s, _what: settle(holds)
    copy = Delivered("c0-1", 1, 200, ReplySummary("stale_call"))

    def settle(holds: Any) -> None:
        """So many calls must have ended that those that were kept are acknowledged."""
        assert not holds()
        env.workload.settled += 16
        assert holds()

    def deliver(proxy: Any, *, forget: bool) -> list[Delivered]:
        done.append(f"deliver/{proxy.rule('c0-1', 1)}/{forget}")
        return [copy]

    for proxy in env.proxies:
        proxy.deliver_kept = partial(deliver, proxy)
    fault = LateDuplicate(restart=restart)
    fault.inject(env)
    fault.hold(env, 0.5)
    action = LOSE_REQUEST if restart else PASS
    assert done == [KEEP_COPY, PASS, *(["kill", "restart"] if restart else []), *[f"deliver/{action}/True"] * 2]
    assert fault.delivered == [copy] * 2
    assert fault.fired(NOTHING) == 2


@pytest.mark.parametrize(
    "fault", [TargetedLoss(), RefusedRetry(), DuplicateRequest()], ids=lambda fault: type(fault).__name__
)
@pytest.mark.parametrize("ends_by", ["its effect", "the last call"])
def test_aimed_faults_stay_until_they_are_felt(fault: Fault, ends_by: str) -> None:
    """On a busy machine few calls come in its time: it stays until what must come of it has come, or cannot."""
    calls: list[Any] = [SimpleNamespace(told="ok")]
    is_over: list[bool] = []
    env = _env(workload=SimpleNamespace(told=calls, running=lambda: not is_over))
    looks: list[bool] = []

    def wait_until(holds: Any, _timeout_s: float, _what: str) -> None:
        looks.append(holds())
        if ends_by == "its effect":
            calls.append(SimpleNamespace(told="unknown"))
            env.proxies[0].lost_replies = env.proxies[0].doubled = 1
        else:
            is_over.append(True)
        looks.append(holds())

    env.wait_until = wait_until
    for proxy in env.proxies:
        proxy.lost_replies = proxy.doubled = 0
    fault.inject(env)
    fault.hold(env, 0.5)
    assert looks == [False, True]


def test_what_was_held_back_comes_when_its_clients_have_gone() -> None:
    """Held first, then let pass, and only then delivered; what the server did not answer is no proof."""
    done: list[str] = []
    env = _env()
    env.wait = lambda _seconds: done.append(env.proxies[0].rule("c0-1", 1))

    def deliver(proxy: Any, *, forget: bool) -> list[Delivered]:
        done.append(f"deliver/{proxy.rule('c0-1', 1)}/{forget}")
        return [Delivered("c0-1", 1, 200, ReplySummary("stale_call")), Delivered("c0-2", 1, 0, NO_ANSWER)]

    for proxy in env.proxies:
        proxy.deliver_kept = partial(deliver, proxy)
    fault = DelayedRequest()
    fault.inject(env)
    fault.hold(env, 0.5)
    assert done == [HOLD, PASS, *["deliver/pass/True"] * 2]
    assert fault.fired(NOTHING) == 2
    assert len(fault.proof()) == 2


def test_only_late_copies_are_proof() -> None:
    """A replay came too early, silence says nothing, and another error is none of a late copy's."""
    answers = ["ok", "ok", "stale_call", "replayed", "no answer", "session_unknown"]
    delivered = [Delivered("c0-1", 1, 200, ReplySummary(answer)) for answer in answers]
    assert late(delivered, may_run=True) == 3
    assert late(delivered, may_run=False) == 1


@pytest.mark.parametrize(
    ("said", "first", "is_true"),
    [
        (ReplySummary("stale_call"), RESULT, True),
        (ReplySummary("no answer"), RESULT, True),
        (ReplySummary("replayed", RESULT), RESULT, True),
        (ReplySummary("replayed", OTHER), RESULT, False),
        (ReplySummary("replayed", {}), RESULT, False),
        (ReplySummary("replayed", RESULT), None, True),
        (ReplySummary("ok", RESULT), None, True),
        (ReplySummary("ok", RESULT), RESULT, False),
        (ReplySummary("internal_error"), RESULT, False),
        (ReplySummary("internal_error"), None, False),
        (ReplySummary("session_unknown"), RESULT, False),
        (ReplySummary("not JSON-RPC"), RESULT, False),
    ],
    ids=str,
)
def test_a_late_copy_is_stale_or_told_what_its_client_was(said: ReplySummary, first: Any, is_true: bool) -> None:
    """Nothing else is true of it, even if nothing runs; a call whose reply nobody saw may run for the first time."""
    assert (untrue(Delivered("c0-1", 1, 200, said, first)) is None) == is_true


@pytest.mark.parametrize(
    ("delivery", "counts", "is_wrong"),
    [("persisted", IDENTIFIED, True), ("memory", IDENTIFIED, False), ("persisted", NOTHING, False)],
)
def test_copies_may_run_where_nobody_can_know_them(delivery: str, counts: Counts, is_wrong: bool) -> None:
    """Without an identity, or after a restart that forgot it, a copy that ran is the control's proof, and no lie."""
    env = _env(server=SimpleNamespace(kill=list, restart=list), ask=lambda _method: {"delivery": delivery})
    for proxy in env.proxies:
        proxy.deliver_kept = lambda forget: [Delivered("c0-1", 1, 200, ReplySummary("ok", OTHER), RESULT)]
    fault = LateDuplicate(restart=True)
    fault.hold(env, 0.5)
    assert (len(fault.wrong(counts)), fault.fired(counts)) == ((2, 0) if is_wrong else (0, 2))


@pytest.mark.parametrize(
    ("one", "other", "is_fine"),
    [
        (ReplySummary("ok", RESULT), ReplySummary("replayed", RESULT), True),
        (ReplySummary("replayed", RESULT), ReplySummary("replayed", RESULT), True),
        (ReplySummary("ok", RESULT), ReplySummary("stale_call"), True),
        (ReplySummary("version_mismatch", RESULT), ReplySummary("replayed", RESULT), True),
        (ReplySummary("ok", RESULT), ReplySummary("ok", RESULT), False),
        (ReplySummary("ok", RESULT), ReplySummary("replayed", OTHER), False),
        (ReplySummary("ok", RESULT), ReplySummary("internal_error"), False),
        (ReplySummary("session_unknown"), ReplySummary("session_unknown"), False),
    ],
    ids=str,
)
def test_both_copies_are_told_the_same(one: ReplySummary, other: ReplySummary, is_fine: bool) -> None:
    """One ran, the other is its replay or stale; in whichever order."""
    assert (unlike(one, other) is None) == (unlike(other, one) is None) == is_fine


def test_copies_without_an_identity_may_be_told_anything() -> None:
    """They are two calls to the server."""
    env = _env()
    for proxy in env.proxies:
        proxy.pairs = lambda: [("c0-1", ReplySummary("ok", RESULT), ReplySummary("ok", OTHER))]
    fault = DuplicateRequest()
    fault.inject(env)
    assert fault.wrong(NOTHING) == []
    assert fault.wrong(IDENTIFIED) == ["c0-1, sent twice, was run for both copies"] * 2


def test_the_plans_name_losses_and_refusals_alone() -> None:
    """A plan is made of lost messages, and of refusals where it says so, and leaves most calls alone."""
    assert {action for _, plan in PLANS for action in plan} == {LOSE_REQUEST, LOSE_REPLY}
    actions = {action for _, plan in refused_retry.PLANS for action in plan}
    assert actions == {LOSE_REQUEST, LOSE_REPLY, REFUSE_413, REFUSE_503}
    for plans in (PLANS, refused_retry.PLANS):
        assert sum(share for share, _ in plans) < 0.5
