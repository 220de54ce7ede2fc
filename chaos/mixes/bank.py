"""A bank: transfers between accounts, each one `kv.txn`, and reads of all accounts at once.

A transfer takes from one account, gives to another, and writes its token into the ledger, all or nothing: whatever is
lost or doubled, no money comes into being or goes, and every read of all accounts sums up to the same total.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from chaos.mixes.base import Ask, Wanted, token_of

__all__ = ["Bank"]

ACCOUNTS = [f"account/{number}" for number in range(5)]
LEDGER = "ledger"
BALANCE = 1000


class Bank:
    """Accounts and a ledger."""

    total = BALANCE * len(ACCOUNTS)

    def prepare(self, ask: Ask) -> None:
        """Everybody starts with the same balance."""
        for account in ACCOUNTS:
            ask("kv.put", key=account, value=str(BALANCE))

    def call(self, name: str, rng: random.Random) -> Wanted:
        """A transfer."""
        (giver, taker), amount, token = rng.sample(ACCOUNTS, 2), rng.randrange(1, 50), token_of(name)
        ops = [
            {"op": "increment", "key": giver, "by": -amount},
            {"op": "increment", "key": taker, "by": amount},
            {"op": "append", "key": LEDGER, "value": token},
        ]
        return Wanted("kv.txn", {"ops": ops}, "transfer", LEDGER, [giver, taker, amount], token)

    def read(self, rng: random.Random) -> Wanted:  # noqa: ARG002 there is only one thing to look at
        """All accounts in one transaction."""
        ops = [{"op": "get", "key": account} for account in ACCOUNTS]
        return Wanted("kv.txn", {"ops": ops}, "balances", LEDGER, None, None, _balances)


def _balances(result: Mapping[str, Any]) -> dict[str, int]:
    return {account: int(row["value"]) for account, row in zip(ACCOUNTS, result["results"], strict=True)}
