"""Judging without an order: a client's own order in a log, and totals that are kept."""

from __future__ import annotations

import pytest

from chaos.judging.checker.counts import out_of_order, total_not_conserved

OK, UNKNOWN = True, False


@pytest.mark.parametrize(
    ("log", "tokens"),
    [
        ("a b c", [("a", OK), ("b", OK), ("c", OK)]),
        ("a x b", [("a", OK), ("b", OK)]),
        ("b a", [("a", UNKNOWN), ("b", OK)]),
        ("b", [("a", UNKNOWN), ("b", OK)]),
        ("a b a", [("a", OK), ("b", OK)]),
        ("", [("a", UNKNOWN)]),
    ],
)
def test_a_clients_order_that_may_be_passes(log: str, tokens: list[tuple[str, bool]]) -> None:
    """Tokens of others between them, lost ones, late ones and repeated ones break no order."""
    assert out_of_order(log.split(), {"c0": tokens}) == []


@pytest.mark.parametrize(
    ("log", "tokens"),
    [
        ("b a", [("a", OK), ("b", OK)]),
        ("b a", [("a", OK), ("b", UNKNOWN)]),
        ("a c b", [("a", OK), ("b", OK), ("x", UNKNOWN), ("c", OK)]),
    ],
)
def test_a_token_before_one_that_was_told_ok_earlier_is_named(log: str, tokens: list[tuple[str, bool]]) -> None:
    """What was appended after a reply stands behind what the reply was for."""
    [violation] = out_of_order(log.split(), {"c0": tokens, "c1": []})
    assert violation.startswith("c0: ")


def test_one_token_far_in_front_is_one_violation() -> None:
    """The rest of the order is judged as if it were not there."""
    tokens = [(token, OK) for token in "abcd"]
    assert len(out_of_order(list("dabc"), {"c0": tokens})) == 1


def test_a_kept_total_passes() -> None:
    """Transfers that move the money lose none of it."""
    assert total_not_conserved([("read 1", {"a": 5, "b": 5}), ("read 2", {"a": 7, "b": 3})], ["a", "b"], 10) == []


def test_a_lost_sum_and_a_missing_account_are_named() -> None:
    """A read that does not have the total, or not all accounts, is a violation each."""
    assert total_not_conserved([("read 1", {"a": 5, "b": 4}), ("read 2", {"a": 10})], ["a", "b"], 10) == [
        "read 1 found 9 in all accounts together, which is -1 of 10",
        "read 2 did not read b",
    ]
