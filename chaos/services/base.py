"""What a service is to a scenario: how it is called, what its healthy state is, and how its store is read in the end.

The fault, the links, the order of a cell and the judge are the same for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from chaos.workload.generators.base import Generator

if TYPE_CHECKING:
    from chaos.evidence import StoreRecord
    from chaos.runner.environment import Environment
    from chaos.scenarios.base import Scenario
    from chaos.workload.clients import ClientPlan
    from chaos.workload.workload import WorkloadClient
    from oncekv.client import History

__all__ = ["Ask", "Column", "Hypothesis", "Probe", "Service"]

Ask = tuple[str, dict[str, Any]]
"""A call: its method and params."""
Hypothesis = Callable[["Environment"], Iterator[str]]
"""Yields what is wrong."""


@dataclass(frozen=True)
class Column:
    """A semantics, and the delivery of the server that it talks to."""

    name: str
    semantics: str
    delivery: str = "persisted"

    @property
    def identified(self) -> bool:
        """Whether the attempts of a call have an identity."""
        return self.semantics in ("at-most-once", "exactly-once")


class Probe(Protocol):
    """The calls by which the steady state is looked at: of methods that no workload uses, on a key of their own."""

    refusal: str
    """The name of the error that `refused` is answered with."""

    def leads_to(self, env: Environment, server_url: str, url: str) -> bool:
        """Whether what answers at `url`, a link's, is the server at `server_url`."""
        ...

    def fine(self, key: str, text: str) -> Ask:
        """A write that succeeds; with another text it is another call."""
        ...

    def is_written_once(self, env: Environment, key: str, text: str) -> str | None:
        """What is there instead, if `fine` has not run exactly once."""
        ...

    def refused(self, key: str) -> Ask:
        """A write that the application refuses."""
        ...

    def allow(self, key: str) -> Ask:
        """After this `refused` would succeed."""
        ...


@dataclass(frozen=True)
class Service:
    """One service. databases: those that it can be run on, the default first; none where there is no choice.

    counted: what the workload calls, as the server's counters name it. scenarios: those that it can have; None: all.
    prepare: puts there what the generator begins with. dump: the store in the end. client: of the workload. more:
    hypotheses of its own about the steady state, where the column has identities. refuses: its calls may be refused for
    what they ask, and such a refusal after an attempt that got no answer leaves at-least-once with an unknown.
    """

    name: str
    columns: Sequence[Column]
    counted: Sequence[str]
    probe: Probe
    generator: Callable[[Scenario], Generator]
    prepare: Callable[[Environment, Generator, History], None]
    dump: Callable[[Environment], StoreRecord]
    client: Callable[[ClientPlan, Column], AbstractContextManager[WorkloadClient]]
    more: Sequence[Hypothesis] = ()
    refuses: bool = False
    databases: Sequence[str] = ()
    scenarios: frozenset[str] | None = None

    def can_have(self, scenario: str) -> bool:
        """Whether that scenario makes sense here."""
        return self.scenarios is None or scenario in self.scenarios
