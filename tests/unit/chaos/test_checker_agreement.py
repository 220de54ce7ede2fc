"""The checker against trying every order: on small histories both must say the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.judging.checker import Operation
from tests.support.brute_force import is_linearizable
from tests.support.checking import verdict_of
from tests.support.simulated_store import Event, Store, effect, mutate, simulate

FUNCTIONS = [
    None,
    ("get", "append"),
    ("get", "put"),
    ("append",),
    ("get", "put", "delete"),
    ("get", "append", "delete"),
    ("get", "increment", "delete"),
]


@st.composite
def histories(draw: st.DrawFn, model: str, lies: int) -> list[Event]:
    """A history of the simulated store, with so many lies in it."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    events = simulate(
        rng,
        model,
        clients=draw(st.integers(2, 5)),
        calls=draw(st.integers(2, 7)),
        keys=draw(st.integers(1, 2)),
        unknown=draw(st.sampled_from([0.0, 0.2, 0.5])),
        facts=draw(st.booleans()),
        functions=draw(st.sampled_from(FUNCTIONS)) if model == "kv" else None,
    )
    for _ in range(lies):
        events = mutate(rng, events)
    return _with_gaps(events, rng) if draw(st.booleans()) else events


def _with_gaps(events: list[Event], rng: random.Random) -> list[Event]:
    """Some replies tell their version and offset, and some do not."""
    return [
        {name: value for name, value in event.items() if name not in ("version", "offset") or rng.random() < 0.5}
        for event in events
    ]


@pytest.mark.parametrize("model", ["kv", "register"])
@given(data=st.data())
def test_what_a_right_store_did_is_linearizable(model: str, data: st.DataObject) -> None:
    """A history that was made by a store which does one call at a time passes, with calls of unknown outcome too."""
    assert verdict_of(data.draw(histories(model, lies=0)), model).holds is True


@pytest.mark.parametrize("model", ["kv", "register"])
@pytest.mark.parametrize("lies", [1, 2])
@given(data=st.data())
def test_agrees_with_trying_every_order(model: str, lies: int, data: st.DataObject) -> None:
    """With a reply changed, the verdict is that of all orders tried without any shortcut: no miss, no false alarm."""
    events = data.draw(histories(model, lies))
    assert verdict_of(events, model).holds is is_linearizable(events)


@pytest.mark.parametrize("model", ["kv", "register"])
@given(data=st.data())
def test_the_beginning_that_it_blames_is_the_shortest_wrong_one(model: str, data: st.DataObject) -> None:
    """Up to the line that the counterexample names, no order fits; one line less, and one does."""
    events = data.draw(histories(model, lies=1))
    examples = [key.counterexample for key in verdict_of(events, model).keys if key.counterexample]
    if not examples:
        return
    assert all(example.is_shortest for example in examples)
    line = min(example.line for example in examples)
    assert not is_linearizable(events[:line])
    assert is_linearizable(events[: line - 1])


@pytest.mark.parametrize("model", ["kv", "register"])
@given(data=st.data())
def test_the_order_that_it_gives_explains_every_reply(model: str, data: st.DataObject) -> None:
    """Run one at a time in that order, the operations give the told replies, and each lies in its interval."""
    for key in verdict_of(data.draw(histories(model, lies=1)), model).keys:
        if key.holds:
            _replay(key.order)
            completed = {o.invoked for o in key.order if not o.is_pending}
            assert len(completed) == key.operations - key.pending - key.failed


def _replay(order: Sequence[Operation]) -> None:
    store: Store = {}
    latest = 0
    for operation in order:
        told, store = effect(store, operation.f, operation.key, operation.argument)
        assert told is not None
        latest = max(latest, operation.invoked)
        if operation.completed is not None:
            assert operation.completed > latest
            _compare(operation, told)


def _compare(operation: Operation, told: dict[str, Any]) -> None:
    if operation.f in ("get", "read", "increment", "delete"):
        assert operation.result == told["value"]
    if operation.version is not None and "version" in told:
        assert operation.version == told["version"]
    if operation.offset is not None:
        assert operation.offset == told["offset"]
