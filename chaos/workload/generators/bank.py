"""A bank: transfers between accounts, each one `kv.txn`, and reads of all accounts at once.

A transfer takes from one account, gives to another, and writes its token into the ledger, all or nothing: whatever is
lost or doubled, no money comes into being or goes, and every read of all accounts sums up to the same total.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import ClassVar

from chaos.workload.generators.base import Request, token_of

__all__ = ["Bank"]

LEDGER = "ledger"
BALANCE = 1000


class Bank:
    """Accounts and a ledger."""

    accounts: ClassVar[Sequence[str]] = [f"account/{number}" for number in range(5)]
    initial: ClassVar[Mapping[str, str]] = dict.fromkeys(accounts, str(BALANCE))

    def call(self, name: str, rng: random.Random) -> Request:
        """A transfer."""
        (giver, taker), amount, token = rng.sample(self.accounts, 2), rng.randrange(1, 50), token_of(name)
        ops = [
            {"op": "increment", "key": giver, "by": -amount},
            {"op": "increment", "key": taker, "by": amount},
            {"op": "append", "key": LEDGER, "value": token},
        ]
        return Request("kv.txn", {"ops": ops}, LEDGER, token)

    def read(self, rng: random.Random) -> Request:  # noqa: ARG002 there is only one thing to look at
        """All accounts in one transaction."""
        return Request("kv.txn", {"ops": [{"op": "get", "key": account} for account in self.accounts]}, LEDGER, None)
