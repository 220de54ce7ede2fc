"""A type checker follows a user's code through the decorators, and finds what is wrong in it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

GOOD = """
from typing import Annotated, Any

from flask import Flask, Response
from msgspec import Meta
from sqlalchemy import Connection, create_engine, text

from oncerpc import RpcError, connect
from oncerpc.flask import OnceRPC

app = Flask("typed")
once = OnceRPC(app, engine=create_engine("sqlite://"))


@once.method("shop.order", errors={2001: "sold_out"})
def order(tx: Connection, thing: str, pieces: Annotated[int, Meta(gt=0)] = 1) -> dict[str, int]:
    if pieces > 9:
        raise RpcError(2001, "sold_out", "no", left=9)
    tx.execute(text("SELECT 1"))
    return {"pieces": pieces}


@once.method("shop.count", reads=True)
async def count(tx: Connection) -> int:
    return 1


@app.post("/buy/<int:number>")
@once.idempotent(required=True, ttl_s=5.0, replay_headers=["X-Kept"])
def buy(number: int) -> tuple[dict[str, int], int]:
    once.tx.execute(text("SELECT 1"))
    return {"number": number}, 201


def by_hand(tx: Connection) -> int:
    found: dict[str, int] = order(tx, "tea", pieces=2)
    reply: Response = buy(3)
    return found["pieces"] + reply.status_code


with connect("http://127.0.0.1:1", semantics="at-most-once") as client:
    answer: Any = client.call("shop.order", {"thing": "tea"})
"""
ROOT = Path(__file__).parents[2]
BAD = """
order(1, "tea")
order(tx=None, thing=3)
buy("three")
buy()
once.method(5)
once.idempotent(required="yes")
OnceRPC(app, engine="sqlite://")
once.tx.nothing()
number: str = order(once.tx, "tea")
"""


def mypy(folder: Path, code: str) -> list[str]:
    """The lines in which it finds an error."""
    (folder / "app.py").write_text(code)
    words = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache"), "app.py"]
    environment = {**os.environ, "MYPYPATH": str(ROOT / "services")}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, check=False, env=environment)
    return [line for line in done.stdout.splitlines() if ": error:" in line]


def test_types_follow_through_the_decorators(tmp_path: Path) -> None:
    """Strictly typed user code passes; each of nine mistakes is found in its line."""
    assert mypy(tmp_path, GOOD) == []
    found = mypy(tmp_path, GOOD + BAD)
    first = len(GOOD.splitlines()) + 2
    assert {int(line.split(":")[1]) for line in found} == set(range(first, first + 9)), found


def test_the_wheel_says_that_it_is_typed(tmp_path: Path) -> None:
    """Without py.typed a type checker would pass over an installed package."""
    words = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        ".",
    ]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"oncerpc/py.typed", "oncekv/py.typed"} <= set(names)
    assert "bank/app.py" in names
