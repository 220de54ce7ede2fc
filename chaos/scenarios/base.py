"""What a scenario is: a fault, when it strikes, how patient the clients are, and which cells must come out red.

Of every cell it says whether its promise must hold, must break or may break. A cell that must be red is a control: if
it stays green, the fault missed, and the run says so instead of praising the others. What may break is a control that
the fault hits now and then: a server that keeps its records in memory, say, wherever it restarts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from chaos.evidence import MAY_BREAK, MUST_BREAK, MUST_HOLD, Expected
from chaos.faults.base import Fault
from chaos.runtime.base import Serving
from chaos.workload.generators.appends import Appends
from chaos.workload.generators.base import Generator

__all__ = ["AT_LEAST_ONCE", "AT_MOST_ONCE", "EXACTLY_ONCE", "IDENTIFIED", "KEY", "MAYBE", "MEMORY", "Scenario"]

MAYBE = "maybe"
AT_LEAST_ONCE = "at-least-once"
MEMORY = "at-most-once/memory"
AT_MOST_ONCE = "at-most-once"
EXACTLY_ONCE = "exactly-once"
KEY = "idempotency-key"
"""By an ordinary view; what a scenario says of at-most-once it says of this as well."""
IDENTIFIED = frozenset({MEMORY, AT_MOST_ONCE, EXACTLY_ONCE})


@dataclass(frozen=True)
class Scenario:
    """One row of the table. Times in seconds.

    order: where a lecture tells it. teaches: its lesson, for `list` and the report.
    quick: it is in the quick selection, that of `make demo`.
    strikes_at: fractions of the workload after which the fault goes in, each time held for `hold_s` (some faults:
    until it has done its work). endless: the clients call until the last strike is over, however many calls that is.
    call_timeout_s: the deadline of one call, but under exactly-once, which has none.

    must_be_red: columns in which some call must come out with two effects or more. may_break: columns whose promise
    this fault may break, by doubled calls. must_break: those that it surely breaks, controls too. may_say_unknown,
    must_say_unknown: columns whose callers may, or must, be told "unknown", because the fault outlasts their deadline
    or goes past the limit of their semantics; `maybe` always may.

    generator: what the clients call. delivery: of the server, where it is not the column's. own_clock: the server has
    a clock that the fault can set. lease_ms: of the sessions.
    spare_link: clients have a second link. proxy: clients go through message proxies, which know where a message ends.
    own_process: each client is a process of its own. runtimes: where it can be had; empty means everywhere.
    spare_server: there is a second server on the same store, where the clients' second links lead.
    store: the fault breaks the store, and needs one of this kind of `chaos.runtime.base`; two servers share it. Empty:
    whichever there is. stores: the engines that can have it, by their names in `--store`; empty: every one that servers
    share.
    must_lose: columns in which calls that were told ok must be gone with their records, and none be doubled.
    breaks_disk: it destroys what a server itself keeps, which is nothing where its store is shared. teaches_shared:
    what that teaches instead. needs_file: the store is a file of the server's own.
    """

    name: str
    order: int
    teaches: str
    fault: Callable[[], Fault]
    quick: bool = False
    strikes_at: tuple[float, ...] = (0.25,)
    hold_s: float = 0.7
    endless: bool = False
    attempt_timeout_s: float = 0.25
    call_timeout_s: float = 90.0
    must_be_red: frozenset[str] = frozenset()
    may_break: frozenset[str] = frozenset()
    must_break: frozenset[str] = frozenset()
    may_say_unknown: frozenset[str] = frozenset()
    must_say_unknown: frozenset[str] = frozenset()
    generator: Callable[[], Generator] = Appends
    delivery: str | None = None
    own_clock: bool = False
    lease_ms: int | None = None
    spare_link: bool = False
    proxy: bool = False
    own_process: bool = False
    runtimes: frozenset[str] = frozenset()
    spare_server: bool = False
    store: str = ""
    stores: frozenset[str] = frozenset()
    must_lose: frozenset[str] = frozenset()
    breaks_disk: bool = False
    teaches_shared: str = ""
    needs_file: bool = False

    def runs_on(self, runtime: str, store: str = Serving.store) -> bool:
        """Whether that runtime can have this fault, on that store."""
        if (self.runtimes and runtime not in self.runtimes) or (self.needs_file and store != Serving.store):
            return False
        return not self.needs_shared or (store != Serving.store and (not self.stores or store in self.stores))

    @property
    def needs_shared(self) -> bool:
        """Whether it has a second server, and so makes sense only where servers share a store."""
        return self.spare_server or bool(self.store)

    @property
    def both_serve(self) -> bool:
        """Whether every other client begins its calls at the second server: both are to meet a store that breaks."""
        return bool(self.store)

    @property
    def has_fault(self) -> bool:
        return bool(self.strikes_at)

    def on_shared_store(self) -> Scenario:
        """The same where the servers keep nothing themselves: what broke for the disk's sake holds."""
        if not self.breaks_disk:
            return self
        return replace(
            self, must_break=frozenset(), may_break=frozenset({MEMORY}), teaches=self.teaches_shared or self.teaches
        )

    def expects(self, column: str, calls: int | None = None, *, refuses: bool = False) -> Expected:
        """What is to come out in that column; calls: of how many, if that is known before. refuses: as in `Service`."""
        column = AT_MOST_ONCE if column == KEY else column
        return Expected(
            fault=self.has_fault,
            red=column in self.must_be_red,
            broken=column in self.must_break,
            excused=column in self.may_break | self.must_break,
            unknown="may" if refuses and column == AT_LEAST_ONCE else self._unknown(column),
            calls=None if self.endless else calls,
            calm=not self.has_fault,
            lost=column in self.must_lose,
            promise=self.promise(column),
        )

    def promise(self, column: str) -> str:
        """Whether that column's promise must hold, must break or may break."""
        column = AT_MOST_ONCE if column == KEY else column
        if column in self.must_break | (self.must_be_red - {AT_LEAST_ONCE}):  # doubled, it is broken, but for that one
            return MUST_BREAK
        return MAY_BREAK if column in self.may_break else MUST_HOLD

    def _unknown(self, column: str) -> str:
        if column in self.must_say_unknown:
            return "must"
        return "may" if column in {MAYBE} | self.may_say_unknown | self.must_break else "never"
