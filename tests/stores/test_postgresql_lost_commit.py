"""A commit whose answer is lost: the server finds out what became of it before it tells anybody anything."""

from __future__ import annotations

import time

import psycopg
import pytest

from oncekv.server.engine.storage import open_store
from oncekv.server.engine.storage.base import StoreFailed
from oncekv.server.engine.storage.postgresql_connection import Link, Watch
from oncekv.server.engine.storage.postgresql_group import MARK, Marks, was_committed
from tests.support.replies import expect
from tests.support.seed import unique
from tests.support.waiting import in_background, until


@pytest.mark.parametrize("reaches_it", [True, False], ids=["committed", "not-committed"])
@pytest.mark.parametrize("writer", ["thread", "process"])
def test_the_caller_is_told_what_happened(linked_url, link, serve, reaches_it, writer):
    """One effect, one reply that says so and is no replay, whether the COMMIT went through before the cut or not."""
    node = serve(linked_url, "--writer", writer)
    session = node.kv.open()
    session.do(1, "kv.append", key="k", value="a")
    cuts = link.cuts
    link.cut_at(b"COMMIT", lets_through=reaches_it)
    answer = session.do(2, "kv.append", key="k", value="b")
    assert link.cuts > cuts
    assert (answer.bare, answer.replayed) == ({"result": {"version": 2, "offset": 1}}, False)
    assert node.kv.get("k") == ("ab", 2)
    assert session.do(2, "kv.append", key="k", value="b").replayed


@pytest.mark.parametrize("reaches_it", [True, False], ids=["committed", "not-committed"])
def test_while_nobody_can_tell_the_error_is_indefinite(linked_url, link, serve, reaches_it):
    """The database stays away: no success, no definite error; when it is back the retry is a replay, or the first."""
    node = serve(linked_url)
    session = node.kv.open()
    session.do(1, "kv.append", key="k", value="a")
    link.cut_at(b"COMMIT", lets_through=reaches_it, for_good=True)
    expect(session.do(2, "kv.append", key="k", value="b"), -32603)
    expect(session.do(2, "kv.append", key="k", value="b"), 11, 503)
    link.is_down = False
    until(lambda: node.kv.fetch("GET", "/readyz").status == 200)
    until(lambda: node.kv.call("kv.put", key="other", value="").error is None)
    retry = session.do(2, "kv.append", key="k", value="b")
    assert (retry.bare, retry.replayed) == ({"result": {"version": 2, "offset": 1}}, reaches_it)
    assert node.kv.get("k") == ("ab", 2)


@pytest.fixture
def connect(postgres_url):
    """Makes connections to a store that has its tables."""
    open_store(postgres_url).close()
    watch, made = Watch(), []
    conninfo = postgres_url

    def connect_one():
        made.append(Link(conninfo, watch))
        return made[-1]

    yield connect_one
    for one in made:
        one.close()
    watch.close()


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_the_lookup_waits_for_a_commit_in_flight(connect, end):
    """While the group's transaction may still go either way nobody is told; afterwards the answer is right."""
    marks, group = Marks(7), connect()
    mark = marks.new()
    group.ask("BEGIN")
    group.ask(MARK, mark)
    looking = in_background(lambda: was_committed(mark, marks, connect))
    time.sleep(0.6)
    assert not looking.done()
    group.ask(end)
    assert looking.result(60) is (end == "COMMIT")


def test_what_was_looked_up_can_never_commit_afterwards(connect):
    """A transaction of which a part lay in a buffer comes too late: the fence stands in its way."""
    marks, group = Marks(7), connect()
    mark = marks.new()
    assert was_committed(mark, marks, connect) is False
    group.ask("BEGIN")
    with pytest.raises(psycopg.errors.UniqueViolation):
        group.ask(MARK, mark)
    assert was_committed(mark, marks, connect) is False, "a second look finds the first one's fence, not a group"


def test_a_lookup_ends(connect, monkeypatch):
    """While the transaction in flight does not, nobody can tell, and that is what is said."""
    monkeypatch.setattr("oncekv.server.engine.storage.postgresql_group.LOOKUP_MAX_S", 0.5)
    monkeypatch.setattr("oncekv.server.engine.storage.postgresql_group.LOOKUP_ASK_MAX_S", 0.3)
    marks, group = Marks(7), connect()
    mark = marks.new()
    group.ask("BEGIN")
    group.ask(MARK, mark)
    with pytest.raises(StoreFailed):
        was_committed(mark, marks, connect)


def test_marks_do_not_pile_up(postgres_url, own_postgres, database, serve):
    """A few hundred groups leave no more than a few of them."""
    node = serve(postgres_url)
    for n in range(300):
        node.kv.ok("kv.put", key="k", value=str(n))
    with own_postgres.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM oncekv_group").fetchone()[0] <= 65


def _synchronous(postgres, names):
    """From now on a commit waits for these standbys, in every session."""
    with postgres.connect() as admin:
        admin.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        admin.execute("SELECT pg_reload_conf()")

    def setting():
        with postgres.connect() as new:  # forked from the primary's first process, which tells the others
            return new.execute("SHOW synchronous_standby_names").fetchone()[0]

    until(lambda: setting() == names, what="the primary's new setting")


def test_a_cancelled_wait_for_a_standby_is_no_success(own_postgres, postgres_url, database, serve):
    """What the primary alone has is not acknowledged, neither by the first attempt nor by a replay, until a standby has
    it.
    """
    node, other = serve(postgres_url), serve(postgres_url)
    session, key = node.kv.open(), unique()
    session.do(1, "kv.append", key=key, value="a")
    with own_postgres.connect() as admin:

        def cancelled():
            sql = (
                "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity"
                " WHERE wait_event = 'SyncRep' AND query LIKE 'COMMIT%%' AND datname = %s"
            )
            return admin.execute(sql, (database,)).fetchone()[0]

        _synchronous(own_postgres, "nobody")
        try:
            first = in_background(lambda: session.do(2, "kv.append", key=key, value="b"))
            until(cancelled, what="a commit that waits for the standby")
            retry = in_background(lambda: session.at(other.kv).do(2, "kv.append", key=key, value="b"))
            time.sleep(1)
            assert not first.done()
            assert not retry.done()
        finally:
            _synchronous(own_postgres, "")
        assert first.result(60).bare == retry.result(60).bare == {"result": {"version": 2, "offset": 1}}
        assert node.kv.get(key) == ("ab", 2)
