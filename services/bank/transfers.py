"""What a transfer does, in whatever transaction it is given."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from bank.models import Account, Letter, Transfer
from oncerpc import RpcError

__all__ = ["INSUFFICIENT", "NO_ACCOUNT", "move"]

INSUFFICIENT, NO_ACCOUNT = 2001, 2002


def move(tx: Connection, source: str, target: str, amount: int, token: str) -> dict[str, Any]:
    """One transfer, in the transaction that it is given."""
    with Session(tx) as session:
        accounts = select(Account).where(Account.name.in_([source, target])).order_by(Account.name).with_for_update()
        found = {account.name: account for account in session.scalars(accounts)}
        if source not in found or target not in found:
            raise RpcError(NO_ACCOUNT, "no_such_account", "there is no such account")
        if found[source].balance < amount:
            raise RpcError(INSUFFICIENT, "insufficient_funds", "not enough money", balance=found[source].balance)
        found[source].balance -= amount
        found[target].balance += amount
        transfer = Transfer(source=source, target=target, amount=amount, token=token)
        session.add_all([transfer, Letter(account=target, text=f"{amount} came from {source}")])
        session.flush()
        return {"transfer": transfer.id, "balance": found[source].balance}
