"""A shop on either database, made anew for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import close_all_sessions

from tests.support.postgres import Postgres, postgres_or_skip
from tests.support.shop import Shop

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for the session (of each process, under pytest-xdist)."""
    with postgres_or_skip() as server:
        yield server


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shop.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
def new_shop(database: str) -> Iterator[Callable[..., Shop]]:
    """Makes shops on the test's database, with the arguments of OnceRPC."""
    made: list[Shop] = []

    def make(**options: object) -> Shop:
        made.append(Shop(database, **options))
        return made[-1]

    yield make
    close_all_sessions()
    for shop in made:
        shop.engine.dispose()


@pytest.fixture
def shop(new_shop: Callable[..., Shop]) -> Shop:
    """A shop as it is by default."""
    return new_shop()
