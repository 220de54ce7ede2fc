"""One cell of the table: one scenario against one semantics, from a healthy start to the evidence of what came out.

The order is always the same: a fresh server and fresh links; the steady state is checked; clients begin; the fault
strikes, holds, is healed; clients finish; everything held back arrives; the steady state is checked again; the store
is dumped. Whatever goes wrong, Ctrl-C included, the fault is taken out, nothing is left running, and the evidence so
far is written. Judging is done from the written evidence alone (`verdict`).
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos import evidence
from chaos.evidence import CallRecord, CellRecord, Counts, StoreRecord
from chaos.faults.base import Fault
from chaos.judging.cell_verdict import DUMP, Cell, judge_cell
from chaos.judging.judge import found_in
from chaos.net.message_proxy import MessageProxy
from chaos.runner.environment import Environment, EnvironmentFailed, FaultMissed, Interrupted
from chaos.runner.steady_state import unsteady
from chaos.runtime.base import Runtime, ServerError
from chaos.scenarios.base import Scenario
from chaos.services import services
from chaos.services.base import Column
from chaos.workload.client_process import ClientProcess
from chaos.workload.clients import ClientPlan
from chaos.workload.workload import Plan, Workload
from oncekv.client import History

__all__ = ["COLUMNS", "CellEffort", "Column", "Task", "try_cell"]

FINISH_MAX_S = 120.0  # beyond the deadline of any call
KEPT_BACK = 0.4  # of the calls, for the last strike; the latest strike is due after half of them
CALL_MAX_S = 0.1  # on the average, its reads and pauses included
TRACEBACK = "traceback.txt"
ABANDON_MAX_S = 10.0
OUR_OWN = "steady/"  # keys of the steady state's, which no client has seen


COLUMNS = services()["kv"].columns


@dataclass(frozen=True)
class CellEffort:
    """How much work a cell gets, and what its choices are drawn from."""

    seed: int
    clients: int = 4
    calls: int = 25


@dataclass(frozen=True)
class Task:
    """A cell to be measured."""

    scenario: Scenario
    column: Column
    effort: CellEffort

    @property
    def name(self) -> str:
        """Of its folder, and the first part of its links' names."""
        return f"{self.scenario.name}--{self.column.name.replace('/', '-')}"

    @property
    def seed(self) -> str:
        return f"{self.effort.seed}/{self.scenario.name}/{self.column.name}"

    @property
    def delivery(self) -> str:
        return self.scenario.delivery or self.column.delivery

    def record(self, runtime: Runtime) -> CellRecord:
        """What there is to say of it before it is measured."""
        effort, serving = self.effort, runtime.serving
        where = [*([] if runtime.name == "local" else ["--runtime", runtime.name]), *serving.words]
        return CellRecord(
            scenario=self.scenario.name,
            column=self.column.name,
            semantics=self.column.semantics,
            delivery=self.delivery,
            runtime=runtime.name,
            seed=effort.seed,
            clients=effort.clients,
            calls=effort.calls,
            repeat=f"python -m chaos run {' '.join([self.scenario.name, '--semantics', self.column.name, *where])}"
            f" --seed {effort.seed} --clients {effort.clients} --calls {effort.calls}",
            teaches=" ".join(self.scenario.teaches.split()),
            expected=self.scenario.expects(
                self.column.name, effort.clients * effort.calls, refuses=services()[serving.service].refuses
            ),
            model=serving.model,
            workers=serving.workers,
            service=serving.service,
            database=serving.database,
            store=serving.store,
        )


def try_cell(
    runtime: Runtime,
    task: Task,
    place: Path,
    stop: threading.Event,
    say: Callable[[str], None],
    keep: Callable[[Environment], None],
    inconclusive: Sequence[str],
) -> Cell:
    """Run and judge one cell; its evidence goes to the folder `place`. When `stop` is set it ends early and says so.

    say: told how far it is, line by line. keep: called with the world when everything is measured, before it ends.
    inconclusive: of each earlier try, why it told nothing.
    """
    record = task.record(runtime)
    record.inconclusive = [*inconclusive]
    began_s = time.monotonic()
    measured = _Measured()
    try:
        _measure(runtime, task, place, stop, say, keep, record, measured)
    except Interrupted:
        record.hindrance = f"interrupted after {len(measured.calls)} calls"
    except FaultMissed as error:
        record.hindrance = f"not measured, for the fault found nothing to strike: {error}"
        record.missed = True
    except (EnvironmentFailed, ServerError) as error:
        record.hindrance = f"not measured: {error}"
    except Exception as error:
        record.hindrance = f"not measured: {error!r}; see {TRACEBACK}"
        (place / TRACEBACK).write_text(traceback.format_exc(), encoding="utf-8")
    record.took_s = round(time.monotonic() - began_s, 2)
    evidence.write(place, record, [*measured.calls], measured.store)
    return judge_cell(place)


class _Measured:
    """What there is to write when it ends, early or not."""

    def __init__(self) -> None:
        self.calls: Sequence[CallRecord] = ()
        self.store: StoreRecord | None = None


def _measure(
    runtime: Runtime,
    task: Task,
    place: Path,
    stop: threading.Event,
    say: Callable[[str], None],
    keep: Callable[[Environment], None],
    record: CellRecord,
    measured: _Measured,
) -> None:
    scenario, identified = task.scenario, task.column.identified
    fault = scenario.fault()
    with contextlib.ExitStack() as stack:
        env, workload, history = _open(stack, runtime, task, place, stop, record)
        measured.calls = workload.told
        record.unsteady = [f"before: {wrong}" for wrong in unsteady(env, identified=identified)]
        say("steady state checked; clients begin")
        workload.start()
        _strike(scenario, fault, env, workload, history, say)
        if scenario.endless:
            workload.stop()
        finish_max_s = FINISH_MAX_S + task.effort.calls * CALL_MAX_S
        env.wait_until(lambda: not workload.running(), finish_max_s, "all clients have finished")
        if workload.failure:
            raise EnvironmentFailed(f"a client failed: {workload.failure!r}")
        _take_stock(fault, env, workload, record, identified=identified)
        say(f"{len(workload.told)} calls have ended; steady state checked")
        measured.store = env.dump()
        measured.calls = _with_effects(measured.store, workload)
        _read_last(history, measured.store)
        keep(env)


def _take_stock(fault: Fault, env: Environment, workload: Workload, record: CellRecord, *, identified: bool) -> None:
    """When everything that was held back is through: the counts, the fault's proof, the steady state."""
    env.wait_healthy()
    env.wait_quiet()
    record.counts = _counts(env, [*workload.told, *workload.reads], identified=identified)
    record.fired, record.proof = fault.fired(record.counts), fault.proof()
    record.unsteady += [f"meanwhile: {wrong}" for wrong in fault.wrong(record.counts)]
    record.unsteady += [f"after: {wrong}" for wrong in unsteady(env, identified=identified)]


def _open(
    stack: contextlib.ExitStack,
    runtime: Runtime,
    task: Task,
    place: Path,
    stop: threading.Event,
    record: CellRecord,
) -> tuple[Environment, Workload, History]:
    """Server, links, message proxies and clients, none of which outlives `stack`."""
    scenario, effort = task.scenario, task.effort
    env = _world(stack, runtime, task, place, stop)
    first, spare = env.first_links, env.links[effort.clients :]
    if scenario.proxy:
        copies_to = spare if scenario.needs_shared else first
        env.proxies = [
            _proxy(stack, f"c{number}", link.url, copies_to[number].url) for number, link in enumerate(first)
        ]
    generator = env.service.generator(scenario)
    record.accounts = {account: int(generator.initial[account]) for account in generator.accounts}
    history = stack.enter_context(History(place / evidence.HISTORY))
    env.service.prepare(env, generator, history)
    clients = list(_clients(task, env, place))
    calls = None if scenario.endless else effort.calls
    plan = Plan(effort.clients, calls, scenario.attempt_timeout_s, task.seed, holds(scenario.strikes_at))
    workload = env.workload = Workload(plan, generator, clients, history)
    stack.callback(workload.abandon, ABANDON_MAX_S)
    return env, workload, history


def _world(
    stack: contextlib.ExitStack, runtime: Runtime, task: Task, place: Path, stop: threading.Event
) -> Environment:
    """The store, where the scenario breaks it; the server or servers on it; the links to them."""
    scenario, clients = task.scenario, task.effort.clients
    name = f"{task.name}--{task.effort.seed}"
    store = runtime.store(name, scenario.store) if scenario.store else None
    if store is not None:
        stack.callback(store.close)
    server = runtime.server(place / "data", task.delivery, own_clock=scenario.own_clock, store=store)
    stack.callback(server.release)
    first = [runtime.link(f"{name}--c{number}", server) for number in range(clients)]
    behind = server
    if scenario.needs_shared:
        behind = runtime.server(place / "data-spare", task.delivery, beside=server)
        stack.callback(behind.release)
    has_spare = scenario.spare_link or scenario.needs_shared
    spare = [runtime.link(f"{name}--c{number}-spare", behind) for number in range(clients * has_spare)]
    env = Environment(services()[runtime.serving.service], server, first, spare, stop, task.seed, behind, store)
    stack.callback(env.close)
    return env


def _proxy(stack: contextlib.ExitStack, name: str, url: str, copies_to: str) -> MessageProxy:
    proxy = MessageProxy(name, url, copies_to)
    stack.callback(proxy.close)
    return proxy


def _clients(task: Task, env: Environment, place: Path) -> Iterator[AbstractContextManager[Any]]:
    scenario, clients = task.scenario, task.effort.clients
    nearest = [proxy.url for proxy in env.proxies] or [link.url for link in env.first_links]
    spare = [link.url for link in env.links[clients:]]
    for number in range(clients):
        links = [nearest[number], *spare[number : number + 1]]
        plan = ClientPlan(
            semantics=task.column.semantics,
            links=links[::-1] if scenario.both_serve and number % 2 else links,
            attempt_timeout_s=scenario.attempt_timeout_s,
            call_timeout_s=scenario.call_timeout_s,
            lease_ms=scenario.lease_ms,
            outbox=str(place / f"client-{number}.outbox"),
            seed=f"{task.seed}/retries-{number}",
        )
        yield ClientProcess(plan) if scenario.own_process else env.service.client(plan, task.column)


def holds(strikes_at: Sequence[float]) -> tuple[float, ...]:
    """The fractions of the workload at which clients wait for each of these strikes: no later than half way to the
    next, for a strike that takes long to go in must still find calls.
    """
    half_way = [sum(both) / 2 for both in itertools.pairwise(strikes_at)]
    return (*half_way, 1 - KEPT_BACK) if strikes_at else ()


def _strike(
    scenario: Scenario, fault: Fault, env: Environment, workload: Workload, history: History, say: Callable[[str], None]
) -> None:
    """Put the fault in and take it out, each time the workload has got far enough; healed whatever goes wrong."""
    for fraction in scenario.strikes_at:
        due = int(fraction * workload.total)
        env.wait_until(lambda: workload.settled >= due, FINISH_MAX_S, f"{due} calls are settled")  # noqa: B023 used at once
        say(f"{workload.settled} calls have ended; the fault goes in")
        try:
            history.nemesis("begin", scenario.name)
            fault.inject(env)
            workload.release()
            fault.hold(env, scenario.hold_s)
        finally:
            fault.heal(env)
            history.nemesis("end", scenario.name)
        say(f"{workload.settled} calls have ended; the fault is out")


def _counts(env: Environment, told: Sequence[CallRecord], *, identified: bool) -> Counts:
    attempts = [attempt for call in told for attempt in call.attempts if attempt.ending != "not sent"]
    return Counts(
        sent=len(attempts),
        answered=sum(1 for attempt in attempts if attempt.ending == "ok" or attempt.ending.startswith("refused")),
        arrived=env.arrived(),
        refused=dict(env.counters().get("oncekv_refusals", {})),
        failpoints=env.ask("debug.failpoints")["failpoints"],
        identified=identified,
    )


def _read_last(history: History, store: StoreRecord) -> None:
    """The dump as the last reads of the history: what is in the store at the end, all operations must explain."""
    for key, row in store.rows.items():
        if not key.startswith(OUR_OWN):
            history.invoke(DUMP, "get", key, call=DUMP).ok(row.value, version=row.version)


def _with_effects(store: StoreRecord, workload: Workload) -> list[CallRecord]:
    found = [evidence.with_effects(call, found_in(store, call).effects) for call in workload.told]
    return sorted([*found, *workload.reads], key=lambda call: call.began_ms + call.took_ms)
