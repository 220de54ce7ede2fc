"""The live page's server: whom it answers, what it refuses, and what a browser may do with the answer."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chaos.live.action_words import read_action
from chaos.live.actions import Refused
from chaos.live.app import BODY_BYTES_MAX, STREAMS_MAX, make_app
from chaos.live.journal import Journal

HOSTS = frozenset({"127.0.0.1:8300", "localhost:8300"})
TOKEN = "only-this-page-has-it"


class _World:
    """Keeps what it is asked to do, once it has been read."""

    def __init__(self) -> None:
        self.done: list[object] = []

    def do(self, body: bytes) -> None:
        try:
            self.done.append(read_action(body))
        except ValueError as error:
            raise Refused(str(error), 400) from None


@pytest.fixture
def world() -> _World:
    """That notes actions."""
    return _World()


@pytest.fixture
def journal() -> Iterator[Journal]:
    """With a world in it."""
    found = Journal()
    found.add("world", format="oncekv-live/1")
    yield found
    found.close()


@pytest.fixture
def client(world: _World, journal: Journal) -> FlaskClient:
    """Of the page."""
    return make_app(journal, world.do, HOSTS, TOKEN).test_client()


def _get(client: FlaskClient, path: str, host: str = "127.0.0.1:8300", **headers: str) -> TestResponse:
    return client.get(path, headers={"Host": host, **headers})


def _act(client: FlaskClient, body: bytes | str, token: str = TOKEN) -> TestResponse:
    return client.post("/actions", data=body, headers={"Host": "127.0.0.1:8300", "X-Live-Token": token})


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8300", "127.0.0.1", "127.0.0.1:8301", "[::1]:8300", ""])
@pytest.mark.parametrize("path", ["/", "/journal", "/events", "/static/main.js"])
def test_a_foreign_host_is_refused(client: FlaskClient, path: str, host: str) -> None:
    """A name that was made to lead to this address (DNS rebinding) gets nothing, the token least of all."""
    reply = _get(client, path, host)
    assert reply.status_code == 421
    assert TOKEN not in reply.get_data(as_text=True)


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_its_own_names_are_answered(client: FlaskClient, host: str) -> None:
    """By address and by name."""
    assert _get(client, "/journal", host).status_code == 200


def test_every_answer_forbids_what_the_page_does_not_need(client: FlaskClient) -> None:
    """The policy stands on files, streams and refusals alike."""
    for path in ("/", "/journal", "/nowhere", "/static/nowhere.js"):
        reply = _get(client, path)
        assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in reply.headers["Content-Security-Policy"]
        assert reply.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_has_the_token_and_actions_need_it(client: FlaskClient, world: _World) -> None:
    """Without it, or with another, nothing is done."""
    assert TOKEN in _get(client, "/").get_data(as_text=True)
    for token in ("", "guessed", TOKEN + "x", TOKEN[:-1], "ü"):
        reply = _act(client, '{"action": "step"}', token)
        assert reply.status_code == 403
        assert "load the page again" in reply.get_data(as_text=True)
    assert world.done == []
    assert _act(client, '{"action": "step"}').json == {"ok": True}
    assert len(world.done) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b'{"action": "rm"}', b'{"action": 7}', b'{"action": "lose"}',
        b'{"action": "lose", "message": 7}', b'{"action": "lose", "message": "m1", "more": 1}',
        b'{"action": "lose", "message": "%b"}' % (b"m" * 81), b'{"action": "pace", "mode": "run", "travel_ms": -1}',
        b'{"action": "call", "client": "c0", "key": "a\\n"}', b'{"action": "call", "client": "c0", "value": "\\ud800"}',
        b'{"action": "workload", "state": "running", "rate": 1e9}', b"[" * 2000,
    ],
)  # fmt: skip
def test_a_bad_body_is_refused_in_words(client: FlaskClient, world: _World, body: bytes) -> None:
    """Whatever it is, nothing is done."""
    reply = _act(client, body)
    assert reply.status_code == 400
    assert reply.get_data(as_text=True).startswith('{"error":"that is no action: ')
    assert world.done == []


def test_a_large_body_is_not_even_read(client: FlaskClient, world: _World) -> None:
    """Beyond the bound it is refused by its length."""
    reply = _act(client, json.dumps({"action": "lose", "message": "m" * BODY_BYTES_MAX}))
    assert reply.status_code == 413
    assert world.done == []


def test_the_stream_goes_on_after_the_last_event_that_was_seen(client: FlaskClient, journal: Journal) -> None:
    """Last-Event-ID, or `after`, and no event twice or left out."""
    for number in range(3):
        journal.add("action", text=str(number))
    journal.close()
    whole = _get(client, "/events?after=0").get_data(as_text=True)
    assert "id: 4" not in whole  # a closed journal says nothing more
    journal._is_closed = False
    stream = iter(_get(client, "/events?after=1", **{"Last-Event-ID": "2"}).response)
    next(stream)
    said = next(stream)
    assert isinstance(said, bytes)
    assert [line for line in said.decode().splitlines() if line.startswith("id")] == ["id: 3", "id: 4"]


@pytest.mark.parametrize("query", ["after=99", "after=x", "after=-1", "after=1&run=another", "after=" + "9" * 40])
def test_a_number_of_another_run_resets_the_page(client: FlaskClient, query: str) -> None:
    """Told as an event of its own, so that the page loads the whole."""
    assert "event: reset" in _get(client, f"/events?{query}").get_data(as_text=True)


def test_too_many_readers_are_turned_away(client: FlaskClient, journal: Journal) -> None:
    """In words, and a place comes free when one goes."""
    readers = [_get(client, "/events?after=0") for _ in range(STREAMS_MAX)]
    assert _get(client, "/events?after=0").status_code == 503
    readers.pop().close()
    last = _get(client, "/events?after=0")
    assert last.status_code == 200
    journal.close()
    for reader in (*readers, last):
        reader.close()
