"""How an application starts: with the switch for tests, in a forked process, and the line that `flask` shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sqlalchemy import text

from tests.support.postgres import Postgres
from tests.support.shop import Shop

TABLES = ["once_key", "once_meta", "once_record", "once_session"]


def test_flask_shows_the_line_and_no_traceback(tmp_path: Path) -> None:
    """`flask run` with a database that cannot be used ends with that line."""
    (tmp_path / "app.py").write_text(
        "from flask import Flask\nfrom sqlalchemy import create_engine\nfrom oncerpc.flask import OnceRPC\n"
        "app = Flask('app')\nOnceRPC(app, engine=create_engine('sqlite:////nowhere/shop.db'))\n"
    )
    words = [sys.executable, "-m", "flask", "--app", "app", "run", "--port", "0"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "/nowhere/shop.db" in done.stderr.strip().splitlines()[-1]


def test_switched_off_it_runs_every_request_and_says_so(database: str, monkeypatch, caplog) -> None:
    """ONCERPC_DISABLED=1: for tests; the log says it loudly at the start."""
    monkeypatch.setenv("ONCERPC_DISABLED", "1")
    shop = Shop(database)
    assert "EVERY REQUEST RUNS" in caplog.text
    shop.view(lambda: (shop.sell("tea"), {"ok": 1})[1], required=True)
    assert [shop.post().replayed for _ in range(2)] == [False, False]
    assert shop.post(None).status == 200

    @shop.once.method("shop.order")
    def order(tx) -> None:
        tx.execute(text("INSERT INTO sold VALUES ('tea')"))

    session = shop.session()
    for _ in range(2):
        assert shop.call("shop.order", session=session, seq=1) == {}
        assert shop.call("shop.order", key="k") == {}
    assert len(shop.sold()) == 7
    assert "Switched off" in shop.app.test_client().get("/rpc/policy").text
    shop.engine.dispose()


def test_a_forked_process_does_not_share_its_parents_connections(postgres: Postgres) -> None:
    """A server that forks after it has loaded the application (gunicorn --preload) works on."""
    shop = Shop(postgres.url(postgres.create()))
    shop.view(lambda: (shop.sell("tea"), {"ok": 1})[1])
    assert shop.post("before").status == 200
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if shop.post("in the child".replace(" ", "-")).status == 200 else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert shop.post("after").status == 200
    assert shop.sold() == ["tea"] * 3
    shop.engine.dispose()
