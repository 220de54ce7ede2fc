"""A primary that dies for good with a synchronous standby beside it: the same servers go on with the standby, and what
was answered is there.
"""

from __future__ import annotations

import signal
import threading
from functools import partial

import pytest

from tests.support.caller import LOST
from tests.support.postgres import Postgres
from tests.support.waiting import in_background, until

CALLS = 60


@pytest.fixture
def pair():
    """A primary and a standby that has all that the primary has acknowledged."""
    with Postgres() as primary, Postgres() as standby:
        standby.stop()
        standby.become_standby_of(primary)
        with primary.connect() as admin:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            admin.execute("SELECT pg_reload_conf()")
            until(lambda: admin.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'").fetchone())
        yield primary, standby


def test_servers_go_on_with_the_standby(pair, serve):
    """Calls all the while, each until it is answered: none lost, none doubled, by processes that were not restarted."""
    primary, standby = pair
    database = primary.create()
    url = f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/{database}"
    nodes = [serve(url), serve(url)]
    half_done = threading.Event()
    logging = in_background(partial(_log_all, nodes, half_done))
    half_done.wait(60)
    primary.stop(signal.SIGQUIT)
    with standby.connect() as admin:
        admin.execute("SELECT pg_promote()")
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
        admin.execute("SELECT pg_reload_conf()")
    logging.result(60)
    expected = "".join(f"{n}." for n in range(1, CALLS + 1))
    assert [node.kv.get("log") for node in nodes] == [(expected, CALLS)] * 2


def _log_all(nodes, half_done):
    session = nodes[0].kv.open()
    for seq in range(1, CALLS + 1):
        until(partial(_is_logged, session.at(nodes[seq % 2].kv), seq), 40, f"an answer to call {seq}")
        if seq == CALLS // 2:
            half_done.set()


def _is_logged(session, seq):
    try:
        answer = session.call("kv.append", meta={"seq": seq, "acked": seq - 1}, key="log", value=f"{seq}.")
    except LOST:
        return False
    assert answer.error is None or answer.error["data"]["name"] in ("overloaded", "internal_error"), answer.error
    return answer.error is None


def test_the_first_host_need_not_be_there(own_postgres, database, serve):
    """As libpq has it: the hosts in their order, until one can be written."""
    node = serve(f"postgresql://postgres@127.0.0.1:1,127.0.0.1:{own_postgres.port}/{database}")
    assert node.kv.ok("kv.put", key="k", value="x") == {"version": 1}
