"""Repetitions of a dear test: `make test` runs some, others for each seed; `make test-long` with that seed the rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from tests.support.seed import randomness

__all__ = ["one_in"]


def one_in(count: int, cases: Iterable[Any], purpose: str) -> list[ParameterSet]:
    """For `parametrize`: of these cases one in so many, rounded up; the rest are `long`. A tuple: several params."""
    cases = list(cases)
    drawn = set(randomness(purpose).sample(range(len(cases)), -(-len(cases) // count)))
    found = []
    for number, case in enumerate(cases):
        params = case if isinstance(case, tuple) else (case,)
        found.append(pytest.param(*params, marks=[] if number in drawn else [pytest.mark.long]))
    return found
