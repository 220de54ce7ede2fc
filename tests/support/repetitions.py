"""Repetitions of a dear test: `make test` runs some, others for each seed; `make test-long` with that seed the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, TypeVar

import pytest
from _pytest.mark import ParameterSet

from tests.support.seed import randomness

__all__ = ["drawn", "long_unless", "one_in"]

T = TypeVar("T")


def drawn(count: int, cases: Iterable[T], purpose: str) -> list[T]:
    """Of these cases one in so many, rounded up: those that `make test` runs."""
    cases = list(cases)
    return randomness(purpose).sample(cases, -(-len(cases) // count))


def long_unless(short: Collection[Any], cases: Iterable[Any]) -> list[ParameterSet]:
    """For `parametrize`: all cases, and those that are not among `short` are long. Tuples are several params."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=[] if case in short else [pytest.mark.long])
        for case in cases
    ]


def one_in(count: int, cases: Iterable[Any], purpose: str) -> list[ParameterSet]:
    """For `parametrize`: of these cases one in so many is drawn, and the rest are long."""
    cases = list(cases)
    return long_unless(drawn(count, cases, purpose), cases)
