"""A group that the database gives up is run again, in bounds, and no caller hears of it."""

from __future__ import annotations

import random
from functools import partial

import pytest

from tests.support.replies import expect
from tests.support.seed import SEED
from tests.support.waiting import at_once

_FAILING = """
CREATE SEQUENCE tries;
CREATE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('tries') <= {times} THEN
        RAISE EXCEPTION 'given up' USING ERRCODE = '{code}';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER give_up BEFORE INSERT ON oncekv_record FOR EACH ROW EXECUTE FUNCTION give_up();
"""


@pytest.fixture
def failing(own_postgres, database):
    """The next so many groups that record something fail with this SQLSTATE; gives how many tries there were."""

    def arm(code: str, times: int) -> None:
        with own_postgres.connect(database) as connection:
            connection.execute(_FAILING.format(code=code, times=times))

    def tries():
        with own_postgres.connect(database) as connection:
            return connection.execute("SELECT last_value FROM tries").fetchone()[0]

    return arm, tries


@pytest.mark.parametrize("code", ["40001", "40P01", "40003"])
def test_it_is_run_again(postgres_url, serve, failing, code):
    """A serialization failure, a deadlock, an outcome that the database does not know: one effect, and no replay."""
    arm, tries = failing
    node = serve(postgres_url)
    session = node.kv.open()
    arm(code, 2)
    answer = session.do(1, "kv.append", key="k", value="x")
    assert (answer.bare, answer.replayed) == ({"result": {"version": 1, "offset": 0}}, False)
    assert tries() >= 3
    assert node.kv.get("k") == ("x", 1)


def test_over_the_bound_it_is_refused_and_nothing_ran(postgres_url, serve, failing):
    """`overloaded` is definite, and true."""
    arm, tries = failing
    node = serve(postgres_url)
    session = node.kv.open()
    arm("40001", 1000)
    expect(session.do(1, "kv.append", key="k", value="x"), 11, 503)
    assert 5 < tries() < 20
    assert node.kv.get("k") == (None, 0)


def test_what_the_database_refuses_for_want_of_room_is_definite(postgres_url, serve, failing):
    """A full disk: rolled back, so it is refused; when there is room again the same process goes on."""
    arm, _ = failing
    node = serve(postgres_url)
    session = node.kv.open()
    arm("53100", 1)
    expect(session.do(1, "kv.append", key="k", value="x"), 11, 503)
    answer = session.do(1, "kv.append", key="k", value="x")
    assert (answer.bare, answer.replayed) == ({"result": {"version": 1, "offset": 0}}, False)


def test_servers_that_want_the_same_keys_in_any_order_all_get_them(postgres_url, serve):
    """Transactions over several keys at two servers at once, sessions crossed: sums are right and none is refused."""
    nodes = [serve(postgres_url), serve(postgres_url)]
    draw = random.Random(SEED)
    sessions = [nodes[0].kv.open() for _ in range(6)]
    keys = [f"k{n}" for n in range(5)]

    def work(number: int) -> int:
        session = sessions[number % len(sessions)].at(nodes[number % 2].kv)
        for step in range(20):
            ops = [{"op": "increment", "key": key} for key in draw.sample(keys, 3)]
            answer = session.do(1 + step * 2 + number // 6, "kv.txn", ops=ops)
            assert answer.error is None, answer.error
        return 20

    done = sum(at_once([partial(work, number) for number in range(12)], timeout_s=60))
    assert sum(int(nodes[0].kv.get(key)[0]) for key in keys) == 3 * done
