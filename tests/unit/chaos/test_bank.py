"""What a view's replies say to the message proxy and to the faults, and what the bank's cells claim."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from chaos.faults.duplicate_request import unlike
from chaos.faults.late_duplicate import late, untrue
from chaos.net.framing import Message
from chaos.net.message_proxy import Delivered
from chaos.net.replies import ReplySummary, read
from chaos.scenarios import scenarios
from chaos.scenarios.base import KEY
from chaos.services import services

BANK = services()["bank"]
PAGE = Path(__file__).parents[3] / "chaos" / "README.md"


def _reply(status: str, *headers: str, body: bytes = b'{"transfer":1}') -> Message:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}"))
    message = Message(is_reply=True)
    message.feed(f"{head}\r\n".encode() + body)
    return message


@pytest.mark.parametrize(
    ("reply", "answer", "settles"),
    [
        (_reply("201 Created"), "ok", True),
        (_reply("201 Created", "Idempotent-Replayed: true"), "replayed", True),
        (_reply("409 Conflict", "Content-Type: text/plain", body=b"not enough money"), "ok", True),
        (_reply("409 Conflict", "Content-Type: application/problem+json"), "HTTP 409", False),
        (_reply("503 Service Unavailable"), "HTTP 503", False),
    ],
    ids=["ran", "replay", "refused by the bank", "still running", "busy"],
)
def test_a_views_reply_is_read(reply: Message, answer: str, settles: bool) -> None:
    """By its status, its media type and the mark of a replay; as a method's reply it would be none."""
    said = read(reply, by_view=True)
    assert (said.answer, said.settles, said.by_key) == (answer, settles, True)
    assert read(reply).answer == "not JSON-RPC"


def test_an_error_of_the_services_own_settles() -> None:
    """A code from 2000 on is the reply of a call that ran, whichever service has it."""
    body = b'{"jsonrpc":"2.0","id":1,"error":{"code":2001,"message":"no","data":{"name":"insufficient_funds"}}}'
    assert read(_reply("200 OK", body=body)).settles


def test_a_late_copy_under_a_key_is_a_replay_of_what_was_told() -> None:
    """Nothing is acknowledged there; a replay to who had heard nothing yet proves no lateness."""
    said = ReplySummary("replayed", "first", by_key=True)
    told, untold = (Delivered("c0-1", 1, 201, said, first) for first in ("first", None))
    assert late([told, untold], may_run=False) == 1
    assert untrue(told) is None
    assert untrue(Delivered("c0-1", 1, 201, said, "other")) is not None


@pytest.mark.parametrize(("other", "is_fine"), [("ok", True), ("session_unknown", False)])
def test_a_copy_may_come_when_its_client_has_closed_its_session(other: str, is_fine: bool) -> None:
    """One of two copies, not both: then the call would have been refused."""
    content: Any = {"transfer": 1} if other == "ok" else None
    assert (unlike(ReplySummary("session_unknown"), ReplySummary(other, content)) is None) == is_fine


def test_the_bank_has_scenarios_that_exist() -> None:
    """And of each kind that the lecture has: lost messages, crashes, a restart, duplicates, late ones, a storm."""
    assert BANK.scenarios is not None
    assert set(scenarios()) >= BANK.scenarios
    assert {"lost-reply", "crash-after-commit", "restart-keeps", "late-after-ack", "crash-storm"} <= BANK.scenarios


@pytest.mark.parametrize("name", sorted(BANK.scenarios or ()))
def test_what_is_said_of_at_most_once_is_said_of_a_key(name: str) -> None:
    """The view's column is held to the same promise."""
    assert scenarios()[name].expects(KEY) == scenarios()[name].expects("at-most-once")


@pytest.mark.parametrize("database", BANK.databases)
def test_the_measured_table_has_every_scenario_of_the_bank(database: str) -> None:
    """All rows and columns; no call of a column with identities is doubled, and no promise of one is broken."""
    name = f"matrix-bank-{database}"
    found = re.search(f"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", PAGE.read_text(encoding="utf-8"), re.S)
    assert found is not None
    head, _, *rows = found[1].splitlines()
    assert [cell.strip() for cell in head.split("|")[2:-1]] == [column.name for column in BANK.columns]
    assert [row.split("|")[1].strip() for row in rows] == [name for name in scenarios() if BANK.can_have(name)]
    for row in rows:
        cells = dict(zip((column.name for column in BANK.columns), row.split("|")[2:-1], strict=True))
        identified = [cells[column.name] for column in BANK.columns if column.identified]
        assert all("BROKEN" not in cell and "doubled" not in cell for cell in identified)
