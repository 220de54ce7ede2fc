"""The service that the tests run on real servers; DATABASE says where."""

from __future__ import annotations

import os
import time

from flask import Flask
from sqlalchemy import create_engine, text

from oncerpc.flask import OnceRPC

app = Flask("notes")
engine = create_engine(os.environ["DATABASE"], pool_size=20)
once = OnceRPC(app, engine=engine)


def note(tx, word, wait_ms):
    """Write when it began and when it ended."""
    began = time.monotonic()
    tx.execute(text("INSERT INTO note (text, at) VALUES (:word, :at)"), {"word": word, "at": began})
    time.sleep(wait_ms / 1000)
    ended = text("INSERT INTO note (text, at) VALUES (:word, :at)")
    tx.execute(ended, {"word": f"{word} ended", "at": time.monotonic()})
    return {"word": word, "pid": os.getpid()}


@once.method("note.write")
def write_note(tx, word: str, wait_ms: int = 0) -> dict:
    """Write a note."""
    return note(tx, word, wait_ms)


@app.post("/notes/<word>")
@once.idempotent(required=True)
def post_note(word):
    """The same as a view."""
    return note(once.tx, word, 0), 201
