"""The trials: a transfer that a careful client sends until it is answered, and what happens to its first attempt.

    crash before execute, after execute, after commit   SIGKILL to the process that has it, at that moment (failpoint)
    slow first attempt                                  it takes SLOW_MS, the client waits ATTEMPT_S and sends it again
    lost reply                                          it runs, and the link (Toxiproxy) swallows what comes back
    duplicate on another process                        a copy reaches the other process while it runs

The client is the same for all: one Idempotency-Key, again and again until there is a final answer, or GIVE_UP_S are
over. Each transfer is valid, so the one right outcome is: told ok, and once in the table.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import requests
from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.orm import Session

from bank.models import Account, Base, Transfer
from chaos.runtime.bank_server import PROCESSES, BankServer
from chaos.runtime.links import Link, Links
from chaos.runtime.local_server import sqlite_url
from chaos.runtime.postgresql import PostgreSQL
from chaos.workload.clients import ClientPlan
from chaos.workload.view_client import ViewClient
from oncekv.client import Ok, Outcome
from tests.bugs.contrast.variants import Variant
from tests.support.waiting import until

__all__ = ["TRIALS", "Came", "World", "try_variant"]

SLOW_MS = 2500
OVERLAP_MS = 400
ATTEMPT_S = 0.4
COPY_AFTER_S = 0.15
SILENCE_S = 0.5
GIVE_UP_S = 6.0
ANSWER_MAX_S = 30.0
BALANCE = 100_000
LISTED_MAX = 8
VIEW = "POST /transfers"


@dataclass
class Came:
    """What came of the transfers of one trial."""

    transfers: int = 0
    doubled: int = 0
    lost: int = 0
    """Told ok, and not in the table."""
    refused: int = 0
    """Never told ok, however often it was sent."""

    @property
    def good(self) -> bool:
        return self.transfers > 0 and not (self.doubled or self.lost or self.refused)


@dataclass
class World:
    """A Toxiproxy, and a database for each variant. postgresql: None is SQLite."""

    folder: Path
    links: Links
    postgresql: PostgreSQL | None = None
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))


class _Bank:
    """One variant that is running, and how it is reached."""

    def __init__(self, server: BankServer, link: Link, engine: Engine, log: IO[str]) -> None:
        self.server, self.link, self.engine, self.log = server, link, engine, log

    def arm(self, name: str, action: str) -> None:
        """The next transfer that comes there."""
        params = {"name": name, "action": action, "match": {"method": VIEW}}
        body = {"jsonrpc": "2.0", "id": 1, "method": "debug.failpoint", "params": params}
        reply = requests.post(f"{self.server.url}/rpc", json=body, timeout=ANSWER_MAX_S)
        assert "result" in reply.json(), reply.text

    def send(self, token: str, url: str = "", attempt_s: float = ATTEMPT_S) -> Outcome:
        """As the client does, through the link if no other way is named."""
        plan = ClientPlan("at-most-once", [url or self.link.url], attempt_s, GIVE_UP_S, None, "", token)
        params = {"source": "from", "target": "to", "amount": 1, "token": token}
        with ViewClient(plan) as client:
            return client.outcome("bank.transfer", params)

    def effects(self, token: str) -> int:
        """How often it is in the table."""
        with Session(self.engine) as session:
            return session.scalar(select(func.count()).where(Transfer.token == token)) or 0


def _crash(moment: str) -> Callable[[_Bank, str], Outcome]:
    def trial(bank: _Bank, token: str) -> Outcome:
        before = bank.server.crashes
        bank.arm(moment, "crash")
        outcome = bank.send(token, attempt_s=3.0)
        until(lambda: bank.server.crashes > before, what="gunicorn says that a process died")
        until(lambda: bank.server.loaded() == PROCESSES, what="another one has taken its place")
        return outcome

    return trial


def _slow(bank: _Bank, token: str) -> Outcome:
    bank.arm("before_execute", f"sleep:{SLOW_MS}")
    began_s = time.monotonic()
    outcome = bank.send(token)
    time.sleep(max(0.0, began_s + SLOW_MS / 1000 + 0.5 - time.monotonic()))  # until it has ended as well
    return outcome


def _lost_reply(bank: _Bank, token: str) -> Outcome:
    bank.link.add("timeout", "downstream", timeout=0)
    with _beside(lambda: time.sleep(SILENCE_S), bank.link.heal):
        return bank.send(token)


def _duplicate(bank: _Bank, token: str) -> Outcome:
    """The copy goes past the link, so that nothing holds it back; both wait long enough to be answered."""
    bank.arm("before_execute", f"sleep:{OVERLAP_MS}")
    with _beside(lambda: time.sleep(COPY_AFTER_S), lambda: bank.send(token, bank.server.url, 3.0)):
        return bank.send(token, attempt_s=3.0)


@contextlib.contextmanager
def _beside(*steps: Callable[[], object]) -> Iterator[None]:
    """These, one after the other, on a thread of their own, which has ended when the block has."""
    thread = threading.Thread(target=lambda: [step() for step in steps], daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(ANSWER_MAX_S)


TRIALS: Mapping[str, Callable[[_Bank, str], Outcome]] = {
    "crash before execute": _crash("before_execute"),
    "crash after execute": _crash("after_execute"),
    "crash after commit": _crash("after_commit"),
    "slow first attempt": _slow,
    "lost reply": _lost_reply,
    "duplicate on another process": _duplicate,
}


def try_variant(variant: Variant, world: World, transfers: int) -> dict[str, Came]:
    """Put a variant through all trials, so many transfers each, on a database of its own."""
    name = f"{variant.application.rpartition('.')[0].rpartition('.')[2]}-{next(world.numbers)}"
    folder = world.folder / name
    folder.mkdir(parents=True)
    database = world.postgresql.make_database() if world.postgresql else sqlite_url(folder / "bank.db")
    engine = create_engine(database)
    server = BankServer(folder / "data", database=database, application=[variant.application], threads=0)
    with contextlib.ExitStack() as stack:
        stack.callback(engine.dispose)
        stack.callback(server.release)
        _prepare(engine)
        server.start()
        link = world.links.make(name, f"127.0.0.1:{server.port}")
        stack.callback(link.remove)
        bank = _Bank(server, link, engine, stack.enter_context((folder / "transfers.log").open("w")))
        came = {trial: _try(bank, trial, transfers) for trial in TRIALS}
        _check_total(engine)
    return came


def _try(bank: _Bank, trial: str, transfers: int) -> Came:
    came = Came()
    for number in range(transfers):
        token = f"{trial.replace(' ', '-')}-{number};"
        outcome = TRIALS[trial](bank, token)
        effects = bank.effects(token)
        attempts = "; ".join(str(attempt) for attempt in outcome.attempts[:LISTED_MAX])
        bank.log.write(f"{token} {type(outcome).__name__}, {effects} effects: {attempts}\n")
        counted = Counter(doubled=effects > 1, lost=isinstance(outcome, Ok) and not effects)
        came.transfers += 1
        came.doubled += counted["doubled"]
        came.lost += counted["lost"]
        came.refused += not isinstance(outcome, Ok)
    return came


def _prepare(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add_all([Account(name="from", balance=BALANCE), Account(name="to", balance=0)])


def _check_total(engine: Engine) -> None:
    """Whatever is doubled, money is conserved: each transfer by itself is one transaction, in all variants."""
    with Session(engine) as session:
        total = session.scalar(select(func.sum(Account.balance)))
    assert total == BALANCE, f"{total} in all accounts"
