"""The bank: transfers in the service's own database, by the client of any such service and by an ordinary view.

    maybe … exactly-once   `oncerpc.connect(…)`, then `outcome("bank.transfer", …)`
    idempotency-key        POST /transfers, each attempt of a transfer under the same Idempotency-Key

Every transfer has a token of its caller's, which stands in the ledger once an effect. The dump is the ledger and the
balances, through the service's reads. Limit: its workers and their master die here, its database does not.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import oncerpc
from chaos.evidence import Row, StoreRecord, TransferRecord
from chaos.scenarios.base import AT_LEAST_ONCE, AT_MOST_ONCE, EXACTLY_ONCE, KEY, MAYBE, Scenario
from chaos.services.bank_views import HYPOTHESES
from chaos.services.base import Ask, Column, Service
from chaos.workload.clients import ClientPlan, options_of
from chaos.workload.generators.base import Generator
from chaos.workload.generators.transfers import LEDGER, Transfers
from chaos.workload.view_client import ViewClient
from chaos.workload.workload import WorkloadClient
from oncekv.client import History

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

__all__ = ["SERVICE"]

COLUMNS = (
    Column(MAYBE, MAYBE),
    Column(AT_LEAST_ONCE, AT_LEAST_ONCE),
    Column(AT_MOST_ONCE, AT_MOST_ONCE),
    Column(EXACTLY_ONCE, EXACTLY_ONCE),
    Column(KEY, AT_MOST_ONCE),
)
SCENARIOS = frozenset(
    [
        "healthy", "lost-request", "reset-before", "cut-mid-request", "lost-reply", "reset-after", "cut-mid-reply",
        "aimed-loss", "partition", "one-way-partition-up", "one-way-partition-down", "flapping-link",
        "partition-past-deadline", "slow-network", "trickle", "crash-before-execute", "crash-after-execute",
        "crash-after-commit", "restart-keeps", "delayed-duplicate", "late-after-ack", "stale-after-restart",
        "duplicate-in-flight", "duplicate-while-running", "slow-server", "pause", "crash-storm",
    ]
)  # fmt: skip
_NUMBERS = itertools.count(1)


class BankProbe:
    """Accounts are opened and closed; no workload does that."""

    refusal = "no_such_account"

    def leads_to(self, env: Environment, server_url: str, url: str) -> bool:
        """Each process of the bank has its own count of starts, so an account is opened and looked for."""
        name = f"steady/link/{next(_NUMBERS)}"
        env.ask_at(server_url, "bank.open", name=name, balance=1)
        return env.reply_at(url, "bank.balance", {"name": name}).get("result") == 1

    def fine(self, key: str, text: str) -> Ask:
        return "bank.open", {"name": key, "balance": len(text)}

    def is_written_once(self, env: Environment, key: str, text: str) -> str | None:
        found = env.reply_at(env.links[0].url, "bank.balance", {"name": key}).get("result")
        return None if found == len(text) else str(found)

    def refused(self, key: str) -> Ask:
        return "bank.close", {"name": key}

    def allow(self, key: str) -> Ask:
        return "bank.open", {"name": key}


def generator(scenario: Scenario) -> Transfers:
    """Where something breaks, one account has so little that transfers from it are refused at times."""
    return Transfers(poor=scenario.has_fault)


def prepare(env: Environment, generator: Generator, history: History) -> None:
    """Open the accounts."""
    for name, balance in generator.initial.items():
        operation = history.invoke("setup", "open", name, balance)
        env.ask("bank.open", name=name, balance=int(balance))
        operation.ok(balance)


def dump(env: Environment) -> StoreRecord:
    """The ledger in the order of its numbers, and the balances of the accounts that it is about."""
    transfers = list(_ledger(env))
    balances = env.ask("bank.accounts")["accounts"]
    rows = {name: Row(str(balances[name]), 0) for name in Transfers.accounts if name in balances}
    rows[LEDGER] = Row("".join(transfer.token for transfer in transfers), 0)
    return StoreRecord(env.ask("server.info")["boot"], rows, transfers)


def _ledger(env: Environment) -> Iterator[TransferRecord]:
    """All but the steady state's own."""
    after: int | None = 0
    while after is not None:
        page: dict[str, Any] = env.ask("bank.ledger", after=after)
        for row in page["transfers"]:
            if row["source"] in Transfers.accounts:
                yield TransferRecord(**row)
        after = page["next"]


def client(plan: ClientPlan, column: Column) -> AbstractContextManager[WorkloadClient]:
    """The generic client of `oncerpc`; in the last column one that any HTTP library can be."""
    if column.name == KEY:
        return ViewClient(plan)
    return oncerpc.connect(plan.links, **options_of(plan))


SERVICE = Service(
    name="bank",
    columns=COLUMNS,
    counted=("bank.transfer", "POST /transfers", "bank.accounts"),
    probe=BankProbe(),
    generator=generator,
    prepare=prepare,
    dump=dump,
    client=client,
    more=HYPOTHESES,
    refuses=True,
    databases=("sqlite", "postgresql"),
    scenarios=SCENARIOS,
)
