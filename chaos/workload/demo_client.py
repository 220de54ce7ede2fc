"""A client for people to watch: seeded appends and increments over several servers, or transfers, one line a call.

What `docker compose up` runs, until it is told to stop. Keys are spread over the servers by `oncekv.client.shard_for`;
each server has a session, and under exactly-once an outbox, of its own. Break its links and read along: what was lost
is retried, what was settled is replayed, and under at-most-once what got no answer in time is called unknown. Servers
of one store (`--one-store`) are one service: a call that one does not answer is sent to the next.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import oncerpc
from oncekv.client import BindingError, Client, Failed, Ok, OutboxError, Outcome, connect, shard_for

__all__ = ["configure", "run"]

KEYS = 6
CALL_TIMEOUT_S = 10.0
ACCOUNTS = ("ann", "bob", "cy")
BALANCE = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    add = parser.add_argument
    add("--service", choices=["kv", "bank"], default="kv", help="what it calls (default: %(default)s)")
    add("--servers", metavar="NAMES", help="names of the links file, with commas, or one URL (default: kv-1, or bank)")
    add("--one-store", action="store_true", help="the servers share a store: any of them may answer any call")
    add("--client", metavar="NAME", help="only this client's links")
    add("--semantics", default="at-most-once", choices=["maybe", "at-least-once", "at-most-once", "exactly-once"])
    add("--outbox", type=Path, metavar="DIR", help="where exactly-once keeps its outboxes")
    add("--seed", type=int, default=1, help="fixes keys and kinds of calls")
    add("--pace-ms", type=int, default=1000, metavar="N", help="between two calls")
    add("--calls", type=int, metavar="N", help="stop after so many; the default is never")


def run(args: argparse.Namespace, stop: threading.Event) -> int:
    """Call until told to stop; the exit code."""
    if args.semantics == "exactly-once" and args.outbox is None:
        print("client: exactly-once needs --outbox DIR, where its calls outlive it", file=sys.stderr)
        return 2
    names = (args.servers or {"kv": "kv-1"}.get(args.service, args.service)).split(",")
    services = [names] if args.one_store else [[name] for name in names]
    with contextlib.ExitStack() as stack:
        try:
            if args.service == "bank":
                _transfer(stack.enter_context(oncerpc.connect(services[0], **_options(names[0], args))), args, stop)
                return 0
            clients = {"+".join(service): stack.enter_context(_connect(service, args)) for service in services}
        except BindingError as error:
            print(f"client: {error}", file=sys.stderr)
            return 2
        except (OutboxError, OSError) as error:
            print(f"client: {error}", file=sys.stderr)
            return 1
        _call(clients, args, stop)
    return 0


def _connect(servers: Sequence[str], args: argparse.Namespace) -> Client:
    return connect(servers, **_options("+".join(servers), args))


def _options(name: str, args: argparse.Namespace) -> dict[str, Any]:
    exactly_once = args.semantics == "exactly-once"
    if exactly_once:
        args.outbox.mkdir(parents=True, exist_ok=True)
    return {
        "client": args.client,
        "semantics": args.semantics,
        "timeout_s": None if exactly_once else CALL_TIMEOUT_S,
        "outbox": args.outbox / f"{name}.outbox" if exactly_once else None,
    }


def _transfer(bank: oncerpc.Client, args: argparse.Namespace, stop: threading.Event) -> None:
    """Open the accounts where they are missing, and move money between them."""
    for account in ACCOUNTS:
        bank.outcome("bank.open", {"name": account, "balance": BALANCE})
    rng = random.Random(args.seed)
    number = 0
    while not stop.wait(args.pace_ms / 1000) and number != args.calls:
        number += 1
        name = f"{args.client or 'client'}-{number}"
        (source, target), amount = rng.sample(ACCOUNTS, 2), rng.randrange(1, 10)
        params = {"source": source, "target": target, "amount": amount, "token": f"{name};"}
        outcome = bank.outcome("bank.transfer", params)
        print(f"{name} bank.transfer {amount} from {source} to {target}: {_in_words(outcome)}", flush=True)


def _call(clients: dict[str, Client], args: argparse.Namespace, stop: threading.Event) -> None:
    rng = random.Random(args.seed)
    number = 0
    while not stop.wait(args.pace_ms / 1000) and number != args.calls:
        number += 1
        name = f"{args.client or 'client'}-{number}"
        method, key = rng.choice(
            [("kv.append", f"log/{rng.randrange(KEYS)}"), ("kv.increment", f"n/{rng.randrange(KEYS)}")]
        )
        server = shard_for(key, list(clients))
        params = {"key": key, "value": f"{name};"} if method == "kv.append" else {"key": key}
        outcome = clients[server].outcome(method, params)
        print(f"{name} {method} {key} on {server}: {_in_words(outcome)}", flush=True)


def _in_words(outcome: Outcome) -> str:
    attempts = "; ".join(str(attempt) for attempt in outcome.attempts) if len(outcome.attempts) > 1 else ""
    if isinstance(outcome, Ok):
        said = ", ".join(f"{name} {value}" for name, value in outcome.result.items() if name != "_meta")
        told = f"ok, {said}" + (" (a replay: it had run before)" if outcome.replayed else "")
    elif isinstance(outcome, Failed):
        told = f"failed for sure, {outcome.error.name}"
    else:
        told = f"unknown, {outcome.reason}"
    return f"{told} [{attempts}]" if attempts else told
