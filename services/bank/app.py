"""The bank as a Flask service: accounts, transfers and statements, by JSON-RPC methods and by ordinary views.

BANK_DATABASE=postgresql+psycopg://bank@db/bank flask --app bank.app run
"""

from __future__ import annotations

import os
from typing import Annotated, Any

from flask import Flask, Response, abort, jsonify, request
from msgspec import Meta
from sqlalchemy import Connection, create_engine, select
from sqlalchemy.orm import Session

from bank.models import Account, Base, Letter, Transfer
from oncerpc import RpcError
from oncerpc.flask import OnceRPC

Amount = Annotated[int, Meta(gt=0)]
INSUFFICIENT, NO_ACCOUNT, EXISTS = 2001, 2002, 2003
ERRORS = {INSUFFICIENT: "insufficient_funds", NO_ACCOUNT: "no_such_account"}

app = Flask("bank")
engine = create_engine(os.environ.get("BANK_DATABASE", "sqlite:///bank.db"))
once = OnceRPC(app, engine=engine)
with once.exclusive(app) as connection:
    Base.metadata.create_all(connection)


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


@once.method("bank.open", errors={EXISTS: "account_exists"})
def open_account(tx: Connection, name: str, balance: Annotated[int, Meta(ge=0)] = 0) -> dict[str, Any]:
    """Open an account."""
    with Session(tx) as session:
        if session.get(Account, name) is not None:
            raise RpcError(EXISTS, "account_exists", f"{name} is there already")
        session.add(Account(name=name, balance=balance))
        session.flush()
    return {"name": name, "balance": balance}


@once.method("bank.transfer", errors=ERRORS)
def transfer(tx: Connection, source: str, target: str, amount: Amount, token: str = "") -> dict[str, Any]:
    """Move money from one account to another."""
    return move(tx, source, target, amount, token)


@once.method("bank.balance", reads=True, errors={NO_ACCOUNT: "no_such_account"})
def balance(tx: Connection, name: str) -> int:
    """What is on an account."""
    found = tx.execute(select(Account.balance).where(Account.name == name)).scalar()
    if found is None:
        raise RpcError(NO_ACCOUNT, "no_such_account", "there is no such account")
    return int(found)


@app.post("/transfers")
@once.idempotent(required=True)
def post_transfer() -> tuple[dict[str, Any], int, dict[str, str]] | Response:
    """The same transfer as an ordinary view."""
    order = request.get_json()
    try:
        made = move(once.tx, order["source"], order["target"], int(order["amount"]), order.get("token", ""))
    except RpcError as error:
        return Response(error.message, 409, mimetype="text/plain")
    return made, 201, {"Location": f"/transfers/{made['transfer']}"}


@app.get("/accounts/<name>/statement")
def statement(name: str) -> Response:
    """Every transfer of an account, and what is on it."""
    with Session(engine) as session:
        account = session.get(Account, name) or abort(404)
        rows = session.scalars(select(Transfer).where((Transfer.source == name) | (Transfer.target == name)))
        lines = [{"source": row.source, "target": row.target, "amount": row.amount, "token": row.token} for row in rows]
        return jsonify(name=name, balance=account.balance, transfers=lines)
