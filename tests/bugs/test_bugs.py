"""The hunt as tests: each bug is caught, what caught it is green without it, and each kind of check is needed.

All bugs are hunted with servers as they start by default, and those that sit in the server with `--model threads` as
well: what a client does wrong it does wrong whoever serves it. The controls likewise. `make test` hunts one in four,
on the default model, others for each seed; `make bugs` and `make test-all` hunt all of them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaos.runtime.base import MODELS, Serving
from chaos.scenarios import scenarios
from chaos.services import services
from oncekv.server.engine import committer
from oncekv.server.engine.storage import (
    etcd_client,
    postgresql,
    postgresql_queries,
    postgresql_writer,
    sqlite_queries,
    staged,
)
from oncerpc.client.api import core, issuer
from oncerpc.client.retry import decision, retry_loop
from oncerpc.client.session import outbox, session
from oncerpc.flask import extension, views
from oncerpc.server import sessions
from oncerpc.server.dedup import persisted
from oncerpc.server.sql import database, executor
from tests.bugs.base import Bug
from tests.bugs.hunt import hunt
from tests.bugs.planted import bugs
from tests.bugs.table import render
from tests.bugs.trial import Caught, Plan, Trial, run
from tests.support import postgres
from tests.support.repetitions import drawn
from tests.support.seed import SEED
from tests.support.stores import one_etcd

EACH = [pytest.param(bug, id=bug.name) for bug in bugs().values()]
ON_MODELS = [
    (bug, model) for model in MODELS for bug in bugs().values() if bug.side == "server" or model == Serving.model
]
DRAWN = {
    name
    for service in services()
    for name in drawn(4, [bug.name for bug in bugs().values() if bug.service == service], f"bugs of {service}")
}
BANK_CELLS = sorted({(*cell, model) for bug, model in ON_MODELS if bug.service == "bank" for cell in bug.caught_by})
CONTROLS = {cell for bug in bugs().values() if bug.name in DRAWN for cell in bug.caught_by}
PARTS = (
    retry_loop, retry_loop.RetryLoop, core.Core, issuer, outbox.Outbox, session.Identity, committer.Committer,
    sessions.Sessions, persisted, persisted.PersistedDedup, sqlite_queries.SqliteView, staged.Group, decision,
    executor.Executor, views, extension, database.Database, postgresql, postgresql.PostgresqlStore,
    postgresql_queries.PostgresqlView, postgresql_writer.PostgresqlWriter, etcd_client.EtcdClient,
)  # fmt: skip


def _skip_without(store: str) -> None:
    """Where the store's engine cannot be had, that is said, and it is no failure."""
    if store == "postgres":
        postgres.skip_without()
    elif store == "etcd":
        one_etcd()


def _long(model: str, *, is_drawn: bool) -> list[pytest.MarkDecorator]:
    """What is left to `make test-long`."""
    return [] if model == Serving.model and is_drawn else [pytest.mark.long]


@pytest.mark.parametrize(
    ("bug", "model"),
    [pytest.param(bug, model, marks=_long(model, is_drawn=bug.name in DRAWN)) for bug, model in ON_MODELS],
    ids=lambda what: getattr(what, "name", what),
)
def test_the_bug_is_caught(bug: Bug, model: str, tmp_path: Path) -> None:
    """What the bug does wrong is found by a scenario that the bug names."""
    _skip_without(bug.store)
    found = hunt(bug, SEED, tmp_path, model=model)
    assert found.plan is not None, found.problems
    assert found.good, found.problems
    assert found.plan.model == model


@pytest.mark.parametrize(
    ("scenario", "column", "model"),
    [pytest.param(*cell, marks=_long(cell[2], is_drawn=cell[:2] in CONTROLS)) for cell in BANK_CELLS],
)
def test_what_catches_a_bug_is_green_without_it(scenario: str, column: str, model: str, tmp_path: Path) -> None:
    """A scenario that is always red would prove nothing; those of the stores are cells of tests of the scenarios."""
    assert run(Plan(scenario, column, SEED, model=model, service="bank"), tmp_path / "trial").problems == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("fingerprint-ignored", ["steady state"]),
        ("errors-not-recorded", ["steady state"]),
        ("session-names-reused", ["steady state"]),
        ("acknowledges-unheard", ["judge", "unknown"]),
        ("outbox-forgets", ["judge", "unknown"]),
        ("dedup-in-memory", ["judge", "checker", "steady state"]),
        ("record-before-effect", ["judge", "checker"]),
        ("torn-txn", ["judge", "checker"]),
        ("timeout-as-failure", ["judge", "checker", "unknown"]),
        ("definite-after-loss", ["judge", "checker", "unknown"]),
        ("errors-in-memory", ["steady state"]),
    ],
)
def test_without_the_check_that_caught_it_the_bug_slips_through(name: str, without: list[str], tmp_path: Path) -> None:
    """The same run comes out as good when nobody looks: it is this check that catches the bug, and no accident."""
    found = hunt(replace(bugs()[name], tries_max=1), SEED, tmp_path, without)
    assert found.trial is not None
    assert found.trial.problems == []
    assert not found.good
    assert "**not caught**" in render([found], [])


@pytest.mark.parametrize("bug", EACH)
def test_a_bug_is_taken_out_again(bug: Bug) -> None:
    """Planting changes some part of the product, and afterwards all are as they were."""
    before = [dict(vars(part)) for part in PARTS]
    with bug.plant():
        assert [dict(vars(part)) for part in PARTS] != before
    assert [dict(vars(part)) for part in PARTS] == before


@pytest.mark.parametrize("bug", EACH)
def test_a_bug_names_cells_that_must_be_kept(bug: Bug) -> None:
    """Only where the product keeps its promise is a broken one a catch."""
    assert bug.caught_by
    for scenario, column in bug.caught_by:
        service = services()[bug.service]
        assert service.can_have(scenario)
        assert scenarios()[scenario].runs_on("local", bug.store)
        assert column in {known.name for known in service.columns}
        expected = scenarios()[scenario].expects(column)
        assert not expected.broken
        assert not expected.red


def test_a_server_that_falls_over_is_no_catch() -> None:
    """Planted code that only crashes has shown nothing."""
    assert not Trial(["the promise was broken"], [Caught("judge", "…")], crashed="KeyError: 1").is_catch
    assert not Trial(["not measured: the server died"]).is_catch
