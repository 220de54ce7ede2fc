"""`flask once …`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.support.shop import Shop


def once(shop: Shop, *words: str) -> tuple[int, str]:
    """A command's exit code and output."""
    done = shop.app.test_cli_runner().invoke(args=["once", *words])
    return done.exit_code, done.output


def tea(shop: Shop, **policy: Any) -> None:
    """A view that sells tea."""
    shop.view(lambda: (shop.sell("tea"), {"secret": 1}, 201)[1:], **policy)


def test_a_key_is_shown_without_its_body(shop: Shop) -> None:
    """Status, when, until when; the body only when it is asked for."""
    tea(shop)
    shop.post("k", headers={"Authorization": "me"})
    shop.post("k")
    code, output = once(shop, "show", "k")
    assert code == 0
    assert output.count("status: 201 CREATED") == 2
    assert "expires:" in output
    assert "secret" not in output
    code, output = once(shop, "show", "k", "--scope", "", "--body")
    assert output.count("key: k") == 1
    assert "secret" in output
    assert once(shop, "show", "nobody")[0] == 1


def test_a_forgotten_key_runs_again(shop: Shop) -> None:
    """In one scope, or in all."""
    tea(shop)
    shop.post("k")
    shop.post("k", headers={"Authorization": "me"})
    assert once(shop, "forget", "k", "--scope", "") == (0, "forgotten: 1\n")
    assert not shop.post("k").replayed
    assert shop.post("k", headers={"Authorization": "me"}).replayed
    assert once(shop, "forget", "k") == (0, "forgotten: 2\n")
    assert once(shop, "forget", "k")[0] == 1
    assert len(shop.sold()) == 3


def test_only_what_has_expired_is_pruned(shop: Shop) -> None:
    """Keys whose time is over, sessions whose lease is, with their records; in portions, all of it."""
    tea(shop)
    shop.once.method("shop.order")(lambda tx: {})
    shop.post("kept")
    kept, gone = shop.session(), shop.session(lease_ms=400)
    for session in (kept, gone):
        shop.call("shop.order", session=session, seq=1)
    with shop.engine.begin() as connection:
        row = "SELECT scope, key || :n, fingerprint, attempt, failed, reply, 0, 1 FROM once_key WHERE key = 'kept'"
        connection.execute(text("INSERT INTO once_key " + row), [{"n": str(n)} for n in range(1200)])
    time.sleep(0.8)
    shop.call("shop.order", session=kept, seq=2)
    assert once(shop, "prune") == (0, "pruned: 1201\n")
    assert once(shop, "prune") == (0, "pruned: 0\n")
    assert shop.post("kept").replayed
    assert shop.call("shop.order", session=kept, seq=1)["_meta"]["replayed"]


def test_pruning_happens_in_passing(shop: Shop) -> None:
    """A request finds out that it is time, and takes a portion along; none that has not expired."""
    tea(shop, ttl_s=0.2)
    shop.post("k")
    time.sleep(0.4)
    shop.app.extensions["oncerpc"].pruner._due_s = 0.0
    shop.post("other")
    assert once(shop, "show", "k")[0] == 1
    assert once(shop, "show", "other")[0] == 0


def test_init_makes_the_tables_and_no_more(database: str, tmp_path: Path) -> None:
    """As a real command; twice is harmless."""
    (tmp_path / "app.py").write_text(
        "from flask import Flask\nfrom sqlalchemy import create_engine\nfrom oncerpc.flask import OnceRPC\n"
        f"app = Flask('app')\nOnceRPC(app, engine=create_engine({database!r}))\n"
    )
    words = [sys.executable, "-m", "flask", "--app", "app", "once", "init"]
    for _ in range(2):
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
        assert "once_key" in done.stdout
