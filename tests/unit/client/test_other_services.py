"""The client with a service that it knows nothing of: its errors, its reads, and what its params are."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import create_engine, text
from werkzeug.serving import make_server

from oncekv.cli import main
from oncerpc import Failed, RpcError, Unknown, connect
from oncerpc.client.retry.decision import AttemptHistory, CallKind, decide
from oncerpc.client.semantics import Semantics
from oncerpc.client.transport.attempt_result import Errored, Lost
from oncerpc.client.transport.reply import Received, read_single
from oncerpc.flask import OnceRPC


@pytest.fixture
def url(tmp_path: Path):
    """The address of a shop that counts its orders; each order is a write, `shop.orders` a read."""
    app = Flask("shop")
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE sold (thing TEXT, pieces INTEGER)"))
    once = OnceRPC(app, engine=engine)

    @once.method("shop.order", errors={2004: "too_many"})
    def order(tx, thing: str, pieces: int = 1) -> dict[str, Any]:
        tx.execute(text("INSERT INTO sold VALUES (:t, :p)"), {"t": thing, "p": pieces})
        if pieces > 9:
            raise RpcError(2004, "too_many", "so many there are not", left=9)
        return {"pieces": pieces}

    @once.method("shop.orders", reads=True)
    def orders(tx) -> list[str]:
        return [row.thing for row in tx.execute(text("SELECT thing FROM sold ORDER BY rowid"))]

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    engine.dispose()


@pytest.mark.parametrize("semantics", [*Semantics])
def test_a_read_of_an_unknown_service_answers_under_every_semantics(url, tmp_path, semantics):
    """The service refuses an identity on a read and says why; the client asks again without one, and remembers it."""
    with connect(url, semantics=semantics, outbox=tmp_path / "outbox") as client:
        client.call("shop.order", {"thing": "tea"})
        assert client.call("shop.orders") == ["tea"]
        first = client.outcome("shop.orders")
        assert len(first.attempts) == 1
        assert client.unanswered == 0


def test_a_batch_may_have_reads_of_an_unknown_service(url, tmp_path):
    """They are asked again in a batch of their own, after the writes beside them."""
    with connect(url) as client:
        with client.batch() as batch:
            ordered, found = batch.call("shop.order", {"thing": "tea"}), batch.call("shop.orders")
        assert ordered.result()["pieces"] == 1
        assert found.result() == ["tea"]


def test_a_services_own_error_is_a_definite_failure_with_its_name_and_facts(url):
    """A code from 2000 on comes from the record, so it settles the call, whatever was lost before."""
    with connect(url) as client:
        with pytest.raises(RpcError) as raised:
            client.call("shop.order", {"thing": "tea", "pieces": 10})
        assert (raised.value.code, raised.value.name, raised.value.facts) == (2004, "too_many", {"left": 9})
        assert client.call("shop.orders") == []


@pytest.mark.parametrize(("definite", "outcome"), [(True, Failed), (False, Unknown)])
def test_a_recorded_error_of_a_service_is_not_asked_for_again(definite, outcome):
    """It is what every attempt would get; one that the service calls indefinite leaves the caller with unknown."""
    error = RpcError(2004, "too_many", "no", definite=definite)
    settled = decide(CallKind(Semantics.AT_MOST_ONCE), AttemptHistory(lost=True), Errored(error))
    assert isinstance(settled, outcome)


def test_what_is_recorded_answers_with_an_object():
    """A write whose result is anything else did not come from the service: it counts as lost."""
    answer = read_single(Received(200, b'{"jsonrpc":"2.0","id":1,"result":7}'), 1)
    assert isinstance(CallKind(Semantics.AT_MOST_ONCE).checked(answer), Lost)
    assert CallKind(Semantics.AT_MOST_ONCE, harmless=True).checked(answer) is answer


def test_error_codes_below_2000_are_not_a_services_to_give():
    """They are the protocol's; a mistake in a handler is told to its author."""
    with pytest.raises(ValueError, match="1999"):
        RpcError(1999, "mine", "no")


def test_the_command_asks_the_server_which_params_are_strings(url, capfd):
    """`pieces=3` is a number and `thing=3` a string, as the service's discovery has it."""
    assert main(["call", "shop.order", "thing=3", "pieces=3", "--server", url]) == 0
    assert capfd.readouterr().out == '{"pieces":3}\n'
    assert main(["call", "shop.orders", "--server", url]) == 0
    assert capfd.readouterr().out == '["3"]\n'
    assert main(["call", "shop.order", "thing=3", "pieces=x", "--server", url]) == 2
    assert "pieces=x" in capfd.readouterr().err


def test_the_command_sends_nothing_where_the_types_cannot_be_asked(nowhere_url, capfd):
    """A server that does not answer has not run anything either."""
    words = ["call", "shop.order", "thing=3", "--server", nowhere_url, "--timeout", "1"]
    assert main(words) == 1
    assert "not sent" in capfd.readouterr().err


@pytest.fixture
def nowhere_url():
    """An address where nobody listens."""
    return "http://127.0.0.1:9"
