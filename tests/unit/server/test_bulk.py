"""Many rows by few statements, on a real SQLite."""

from __future__ import annotations

import sqlite3

import pytest

from oncekv.server.engine.storage.bulk import Bulk, portions


@pytest.mark.parametrize("count", [*range(70), 100, 255, 256, 257, 1000, 1500])
def test_portions_are_few_and_hold_all(count: int) -> None:
    """All rows fit, at most a third is given twice, and a group of 256 takes one statement."""
    sizes = list(portions(count))
    assert count <= sum(sizes) <= count * 4 / 3
    assert all(size & (size - 1) == 0 for size in sizes)
    assert len(sizes) <= 3 + count // 256


@pytest.mark.parametrize("count", [0, 1, 3, 15, 17, 100, 300])
def test_each_row_is_there_once(count: int) -> None:
    """Rows that fill a statement up change nothing; the last of two with one key holds, as row by row."""
    store = sqlite3.connect(":memory:")
    store.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)")
    put = Bulk("INSERT INTO t VALUES ", "(?, ?)", " ON CONFLICT (k) DO UPDATE SET v = excluded.v")
    put.do(store.execute, [(n, "old") for n in range(count)])
    put.do(store.execute, [(n, f"new {n}") for n in range(count)])
    assert store.execute("SELECT * FROM t ORDER BY k").fetchall() == [(n, f"new {n}") for n in range(count)]


def test_a_statement_of_a_size_is_prepared_once() -> None:
    """Texts are kept, so that SQLite's statements are found again."""
    texts = set()
    put = Bulk("SELECT * FROM (VALUES ", "(?)", ")")
    store = sqlite3.connect(":memory:")

    def execute(text: str, row: object) -> object:
        texts.add(text)
        return store.execute(text, row)  # type: ignore[arg-type]  # a row's type is SQLite's affair

    for count in range(1, 257):
        put.do(execute, [(n,) for n in range(count)])
    assert len(texts) == 9
