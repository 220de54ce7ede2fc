"""How much is measured: rounds, seconds and sizes; the full run stays below ten minutes, the quick one below two."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EFFORTS", "BenchEffort"]


@dataclass(frozen=True)
class BenchEffort:
    """The size of a run. A round is one run of wrk for each of those that are compared, one after the other."""

    name: str
    rounds: int = 7
    seconds: int = 1
    """A round's length; wrk knows whole seconds."""
    pairs: int = 16
    """Rounds of identity on and off: a difference of few per cent needs more of them."""
    connections: tuple[int, ...] = (1, 32, 128)
    keys: tuple[int, ...] = (1_000, 100_000, 1_000_000)
    sessions: tuple[int, ...] = (10, 10_000, 100_000)
    calls_a_session: int = 10
    restarts: int = 5
    latency_seconds: int = 2
    growth_rounds: int = 5
    client_rounds: int = 5
    fairness_rounds: int = 2
    depths: tuple[int, ...] = (1_000, 10_000)
    """Calls in the batches of the client that the others must not feel."""
    time_max_s: float = 540.0
    """What begins after it is cut short (`Run.rounds`)."""


EFFORTS = {
    effort.name: effort
    for effort in (
        BenchEffort("full"),
        BenchEffort(
            "quick",
            rounds=3,
            pairs=5,
            connections=(32,),
            keys=(1_000, 100_000),
            sessions=(10, 10_000),
            restarts=3,
            growth_rounds=3,
            client_rounds=2,
            fairness_rounds=1,
            depths=(10_000,),
            calls_a_session=5,
            time_max_s=98.0,
            latency_seconds=1,
        ),
        BenchEffort(
            "smoke",
            rounds=1,
            pairs=1,
            connections=(4,),
            keys=(100, 1_000),
            sessions=(10, 100),
            calls_a_session=2,
            restarts=1,
            growth_rounds=1,
            client_rounds=1,
            fairness_rounds=1,
            depths=(1_000,),
            latency_seconds=1,
        ),
    )
}
