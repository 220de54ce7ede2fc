"""The library's contract on both databases: each test has an empty one of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import close_all_sessions

from tests.support.places import DATABASES, Place
from tests.support.postgres import Postgres, skip_without
from tests.support.shop import Shop


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL for the tests of this process."""
    skip_without()
    with Postgres() as server:
        yield server


@pytest.fixture(params=DATABASES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty database of either kind; a test that means one of them parametrises it with its name."""
    yield from open_place(request, request.param, tmp_path)


def open_place(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Iterator[Place]:
    """A database, for as long as the generator lives."""
    if kind == "sqlite":
        found = Place(f"sqlite:///{tmp_path}/shop.db")
        found.make_note()
        yield found
        found.close()
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create()
    found = Place(server.url(name), server)
    found.make_note()
    yield found
    found.close()
    server.drop(name)


on_sqlite = pytest.mark.parametrize("place", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("place", ["postgresql"], indirect=True)


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/shop.db"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create()
    yield server.url(name)
    server.drop(name)


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
