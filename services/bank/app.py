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

from bank.models import Account, Base, Transfer
from bank.transfers import INSUFFICIENT, NO_ACCOUNT, move
from oncerpc import RpcError
from oncerpc.flask import OnceRPC

Amount = Annotated[int, Meta(gt=0)]
PAGE = 1000
EXISTS, NOT_EMPTY = 2003, 2004
DEPOSITS_MAX = 1_000_000
"""What may be on an account after a deposit."""
ERRORS = {INSUFFICIENT: "insufficient_funds", NO_ACCOUNT: "no_such_account"}

app = Flask("bank")
engine = create_engine(os.environ.get("BANK_DATABASE", "sqlite:///bank.db"))
once = OnceRPC(app, engine=engine)
with once.exclusive(app) as connection:
    Base.metadata.create_all(connection)


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


@once.method("bank.close", errors={NO_ACCOUNT: "no_such_account", NOT_EMPTY: "account_not_empty"})
def close_account(tx: Connection, name: str) -> dict[str, Any]:
    """Close an account that is empty and that no transfer names."""
    with Session(tx) as session:
        account = session.get(Account, name, with_for_update=True)
        if account is None:
            raise RpcError(NO_ACCOUNT, "no_such_account", "there is no such account")
        named = session.scalar(
            select(Transfer.id).where((Transfer.source == name) | (Transfer.target == name)).limit(1)
        )
        if account.balance or named is not None:
            raise RpcError(NOT_EMPTY, "account_not_empty", f"{name} has money, or transfers")
        session.delete(account)
        session.flush()
    return {"name": name}


@once.method("bank.accounts", reads=True)
def accounts(tx: Connection) -> dict[str, Any]:
    """What is on every account, as one statement sees them."""
    found = tx.execute(select(Account.name, Account.balance).order_by(Account.name))
    return {"accounts": {row.name: row.balance for row in found}}


@once.method("bank.ledger", reads=True)
def ledger(tx: Connection, after: int = 0, limit: Annotated[int, Meta(gt=0, le=PAGE)] = PAGE) -> dict[str, Any]:
    """The transfers that were made, in the order of their numbers: a page, and where the next one begins."""
    columns = (Transfer.id, Transfer.source, Transfer.target, Transfer.amount, Transfer.token)
    rows = tx.execute(select(*columns).where(Transfer.id > after).order_by(Transfer.id).limit(limit)).all()
    return {"transfers": [dict(row._mapping) for row in rows], "next": rows[-1].id if len(rows) == limit else None}


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


@app.post("/accounts/<name>/deposits")
@once.idempotent(required=True)
def post_deposit(name: str) -> tuple[dict[str, Any], int] | Response:
    """Cash for an account. Where there is too much on it then, the answer is no, and the write is rolled back."""
    with Session(once.tx) as session:
        account = session.get(Account, name, with_for_update=True) or abort(404)
        account.balance += int(request.get_json()["amount"])
        session.flush()
        if account.balance > DEPOSITS_MAX:
            return Response("too much on one account", 409, mimetype="text/plain")
        return {"balance": account.balance}, 201


@app.get("/accounts/<name>/statement")
def statement(name: str) -> Response:
    """Every transfer of an account, and what is on it."""
    with Session(engine) as session:
        account = session.get(Account, name) or abort(404)
        rows = session.scalars(select(Transfer).where((Transfer.source == name) | (Transfer.target == name)))
        lines = [{"source": row.source, "target": row.target, "amount": row.amount, "token": row.token} for row in rows]
        return jsonify(name=name, balance=account.balance, transfers=lines)
