"""Transfers of the bank service, and reads of all its accounts at once.

Each transfer's token stands in the ledger once an effect, so an effect can be counted where it happened; whatever is
lost or doubled, every read of all accounts sums up to the same.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import ClassVar

from chaos.workload.generators.base import Request, token_of

__all__ = ["LEDGER", "Transfers"]

LEDGER = "ledger"
BALANCE, LITTLE = 10_000, 60
AMOUNT_MAX = 50


class Transfers:
    """Five accounts. poor: the last has so little that a transfer from it may be refused."""

    accounts: ClassVar[Sequence[str]] = [f"account-{number}" for number in range(5)]

    def __init__(self, *, poor: bool = False) -> None:
        self.initial: Mapping[str, str] = dict.fromkeys(self.accounts, str(BALANCE))
        if poor:
            self.initial = {**self.initial, self.accounts[-1]: str(LITTLE)}

    def call(self, name: str, rng: random.Random) -> Request:
        """A transfer."""
        (source, target), amount, token = rng.sample(self.accounts, 2), rng.randrange(1, AMOUNT_MAX), token_of(name)
        params = {"source": source, "target": target, "amount": amount, "token": token}
        return Request("bank.transfer", params, LEDGER, token, (("transfer", LEDGER, [source, target, amount]),))

    def read(self, rng: random.Random) -> Request:  # noqa: ARG002 there is only one thing to look at
        """All accounts in one statement."""
        return Request("bank.accounts", {}, LEDGER, None, (("accounts", LEDGER, None),))
