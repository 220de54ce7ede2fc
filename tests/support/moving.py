"""`oncekv migrate` for tests: what a store holds that must survive a move, and a judge that asks for all of it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from oncekv import cli
from oncekv.server.migration.items import KINDS, Item
from oncekv.server.migration.sides import open_side
from tests.support.caller import Caller, Session
from tests.support.replies import Answer, expect
from tests.support.seed import unique

__all__ = ["Calls", "content", "migrate", "refused"]

KEYS_MORE = 120
WINDOW = 40
ODD_KEYS = ("\0", "ü/ü", "z" * 1024, "a/b%_\\", "\U0010ffff")


def migrate(source: str, target: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Move in this process; the summary."""
    assert cli.main(["migrate", "--from", source, "--to", target, "--json"]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    summary: dict[str, Any] = json.loads(out)
    assert summary["verified"] is True
    return summary


def refused(source: str, target: str, capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """The last line that a move says which cannot be."""
    with contextlib.suppress(SystemExit):
        assert cli.main(["migrate", "--from", source, "--to", target]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    last = said.err.splitlines()[-1]
    assert re.match("oncekv migrate: .*(; | is given as )", last), last
    return last


def content(store: str) -> dict[str, list[Item]]:
    """All that a store holds, by kind."""
    with contextlib.closing(open_side(store, "--from")) as side:
        return {kind: list(side.items(kind)) for kind in KINDS}


@dataclass
class Calls:
    """Calls that were made at a server, with their replies; `make` makes them, `judge` retries them elsewhere."""

    made: list[tuple[Callable[[Caller], Answer], Answer]] = field(default_factory=list)
    session: str = ""
    acked: str = ""
    seen: dict[str, Any] = field(default_factory=dict)

    def make(self, kv: Caller) -> None:
        """Records of every shape: results, errors, large ones, more than a session's key in etcd has room for."""
        many = [{"op": "put", "key": f"many/{n:04d}", "value": "v" * 100} for n in range(KEYS_MORE)]
        kv.ok("kv.txn", ops=many)
        for key in ODD_KEYS:
            for value in ("first", "x\0ü", "last"):
                kv.ok("kv.put", key=key, value=value)
        kv.ok("kv.put", key="large", value="L" * 500_000)
        kv.ok("kv.delete", key="many/0000")
        self.session, self.acked = kv.open().name, kv.open().name
        touch = {"op": "increment", "key": "touched"}
        for seq in range(1, WINDOW):
            self._do(kv, self.session, seq, "kv.append", key="log", value=f"{seq};")
        self._do(kv, self.session, WINDOW, "kv.txn", ops=[touch, {"op": "get", "key": "large"}])
        for seq in range(WINDOW + 1, WINDOW + 12):
            self._do(
                kv, self.session, seq, "kv.txn", ops=[touch, *({"op": "get", "key": f"many/{n:04d}"} for n in range(8))]
            )
        self._do(kv, self.session, WINDOW + 12, "kv.put", key="log", value="no", if_version=1)
        for seq in range(1, 7):
            Session(kv, self.acked).do(seq, "kv.increment", key="count")
        for seq in (7, 8):  # the watermark comes with a call, so it may stand with its record alone
            self._do(kv, self.acked, seq, "kv.increment", acked=6, key="count")
        for name, params in (("kv.append", {"key": "log", "value": "keyed;"}), ("session.open", {})):
            key = unique()
            self._made(partial(_keyed, key, name, params), kv)
        self.seen = self._look(kv)

    def judge(self, kv: Caller) -> None:
        """Every retry is answered by its record, nothing runs again, the watermark stands, and life goes on."""
        assert self._look(kv) == self.seen
        expect(
            Session(kv, self.acked).do(6, "kv.increment", key="count"), 1003
        )  # first: the retries below acknowledge it
        for again, first in self.made:
            answer = again(kv)
            assert answer.bare == first.bare
            assert answer.replayed
        assert self._look(kv) == self.seen
        self._do(kv, self.acked, 9, "kv.increment", key="count")
        opened = kv.open()
        assert opened.do(1, "kv.append", key="log", value="new;").ok["version"]
        opened.close()
        self.seen = self._look(kv)

    def _do(self, kv: Caller, session: str, seq: int, method: str, *, acked: int = 0, **params: Any) -> None:
        meta = {"seq": seq, "acked": acked} if acked else {"seq": seq}
        self._made(lambda kv: Session(kv, session).call(method, meta=meta, **params), kv)

    def _made(self, call: Callable[[Caller], Answer], kv: Caller) -> None:
        self.made.append((call, call(kv)))

    def _look(self, kv: Caller) -> dict[str, Any]:
        metrics = kv.fetch("GET", "/metrics").body.decode()
        return {
            "many": kv.ok("kv.list", prefix="many/"),
            "single": [kv.get(key) for key in ("count", "log", "touched", *ODD_KEYS)],
            "counted": re.findall("^oncekv_(?:sessions|records) .*", metrics, re.MULTILINE),
        }


def _keyed(key: str, method: str, params: dict[str, Any], kv: Caller) -> Answer:
    return kv.keyed(key, method, **params)
