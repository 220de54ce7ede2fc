"""`oncekv migrate`: a retry of a call that was made before the move is answered from its record after it."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaos.runtime.local import oncekv_command, sqlite_url
from oncekv import cli
from oncekv.server.migration import etcd_side, postgresql_side
from oncekv.server.migration.sides import MigrationRefused, open_side
from tests.support.moving import Calls, content, migrate, refused
from tests.support.repetitions import one_in
from tests.support.server import oncekv
from tests.support.stores import ENGINES, url_of

PASSWORD = "tomato-soup"
MANY_KEYS = """
WITH RECURSIVE one (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM one WHERE n < 8000)
INSERT INTO kv (key, value, version) SELECT 'key' || n, 'value' || n, n FROM one
"""
RING = [("sqlite", "postgresql"), ("postgresql", "etcd"), ("etcd", "sqlite"), ("sqlite", "sqlite")]


@pytest.mark.parametrize(("source", "target"), RING)
def test_a_retry_is_answered_after_the_move(source, target, serve, tmp_path, capsys):
    """Real servers on both sides: replies, watermarks, versions, Idempotency-Keys, and what comes after."""
    old, new = url_of(source, tmp_path / "old"), url_of(target, tmp_path / "new")
    calls = Calls()
    before = serve(old)
    calls.make(before.kv)
    boot = before.kv.ok("server.info")["boot"]
    before.server.kill()
    summary = migrate(old, new, capsys)
    assert content(old) == content(new)
    assert summary["sessions"]["count"] == summary["watermarks"]["count"] == 3
    assert summary["records"]["count"] == len(calls.made) - 2
    assert summary["idempotency_keys"]["count"] == 2
    after = serve(new)
    calls.judge(after.kv)
    assert after.kv.ok("server.info")["boot"] == boot + 1


@pytest.fixture(scope="module")
def source(serve_for_module, tmp_path_factory):
    """A SQLite store that nobody serves any more."""
    node = serve_for_module(url_of("sqlite", tmp_path_factory.mktemp("source")))
    Calls().make(node.kv)
    node.server.kill()
    return node.server.store


@pytest.fixture(params=ENGINES)
def target(request, tmp_path):
    """An empty place on each engine."""
    return url_of(request.param, tmp_path / "target")


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours runs any more, and the connections are gone."""


def dying(real: Callable[..., None], when: str, steps: list[int]) -> Callable[..., None]:
    """A step of a move that is the last of its process: each one, or if it is not done by then every other one."""

    def step(*words: Any) -> None:
        steps.append(1)
        if when == "before" and len(steps) % 2:
            raise Killed
        real(*words)
        if when == "after" or (when == "within" and len(steps) % 2):
            raise Killed

    return step


@pytest.mark.parametrize("when", one_in(2, ["before", "within", "after"], "when a move is killed"))
@pytest.mark.parametrize(("engine", "target"), RING[:3], indirect=["target"])
def test_it_goes_on_from_every_batch(when, engine, target, source, tmp_path, capsys, monkeypatch):
    """Broken off before, within or after each single transaction: nothing is missing, nothing is there twice."""
    for beating in (etcd_side, postgresql_side):
        monkeypatch.setattr(beating, "BEAT_MAX_S", 0.0)  # no server is looked for here, again and again
    origin = source if engine == "sqlite" else url_of(engine, tmp_path / "origin")
    if origin != source:
        migrate(source, origin, capsys)
    side, steps = type_of(target), list[int]()
    monkeypatch.setattr(side, "batch_items", 25)
    for name in ["_put"] if when == "within" and hasattr(side, "_put") else ["begin", "put"]:
        monkeypatch.setattr(side, name, dying(getattr(side, name), when, steps))
    summary: dict[str, Any] = {}
    while not summary:
        with contextlib.suppress(Killed):
            summary = migrate(origin, target, capsys)
    assert summary["resumed"]
    assert len(steps) > 10
    assert content(target) == content(source)


def test_killed_again_and_again_it_comes_to_its_end(source, target, tmp_path):
    """SIGKILL as soon as it has begun, then later and later; meanwhile no server opens the target."""
    with contextlib.closing(sqlite3.connect(_file(large := _copy(source, tmp_path)))) as store:
        store.execute(MANY_KEYS)
        store.commit()
    words = [*oncekv_command(), "migrate", "--from", large, "--to", target]
    for later_s in (0.0, 0.05, 0.2):
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            first = process.stderr.readline()
            time.sleep(later_s)
            process.kill()
        assert re.match("oncekv migrate: (going on )?from ", first), first
        if later_s and _is_whole(target):
            break
        served = oncekv("serve", "--listen", "127.0.0.1:0", "--store", target)
        assert (served.returncode, served.stdout) == (1, "")
        assert "run the same `oncekv migrate` again" in served.stderr
    else:
        done = oncekv(*words[1:], timeout_s=60)
        assert done.returncode == 0, done.stderr
        assert "going on from" in done.stderr
    assert content(target) == content(large)


def test_a_target_that_is_not_the_same_is_never_opened(source, target, capsys, monkeypatch):
    """What is lost on the way is found by the comparison, and servers are kept out."""
    side = type_of(target)
    real = side.put
    monkeypatch.setattr(side, "put", lambda self, kind, items, *rest: real(self, kind, items[kind == "keys" :], *rest))
    line = refused(source, target, capsys, code=1)
    assert re.search(r"not the same: keys \(128 and 12\d\);", line), line
    served = oncekv("serve", "--listen", "127.0.0.1:0", "--store", target)
    assert served.returncode == 1


def test_a_move_of_another_source_or_of_a_source_that_was_served_since(
    source, target, serve, tmp_path, capsys, monkeypatch
):
    """A half-done target is gone on with only by the same source, as it was."""
    copy = _copy(source, tmp_path)
    side = type_of(target)
    monkeypatch.setattr(side, "finish", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        migrate(copy, target, capsys)
    monkeypatch.undo()
    assert "half of another move" in refused(source, target, capsys)
    serve(copy).server.kill()
    assert "was served since" in refused(copy, target, capsys)


def test_a_target_that_holds_anything_is_left_alone(source, target, serve, capsys):
    """A store, even an empty one that is served."""
    node = serve(target)
    assert re.search("holds a store already|is in use", refused(source, target, capsys))
    node.kv.ok("kv.put", key="mine", value="kept")
    node.server.kill()
    assert "holds a store already" in refused(source, target, capsys)
    assert content(target)["keys"] == [(b"mine", 1, b"kept")]


def test_a_source_that_is_served_or_is_not_there(target, serve, tmp_path, capsys):
    """Each engine as the source: a server that runs is noticed, though nobody calls it."""
    empty = url_of("sqlite", tmp_path / "to")
    assert "is to be moved" in refused(target, empty, capsys)
    serve(target)
    assert re.search("a server is running|is in use", refused(target, empty, capsys))
    assert not (tmp_path / "to" / "kv.db").exists()


@pytest.mark.parametrize(
    ("source_url", "target_url"),
    [
        ("kv.db", "sqlite:////tmp/x"),
        ("sqlite://kv.db", "sqlite:////tmp/x"),
        ("sqlite:////nowhere/kv.db", f"postgresql://u:{PASSWORD}@h:port/db"),
        (f"postgresql://u:{PASSWORD}@127.0.0.1:1/db", "sqlite:////tmp/x"),
        (f"etcd://u:{PASSWORD}@host", "sqlite:////tmp/x"),
        (f"mysql://u:{PASSWORD}@127.0.0.1:1", "sqlite:////tmp/x"),
    ],
)
def test_what_bad_input_gets(source_url, target_url, capsys):
    """One line with cause and way out, exit 2; never a password."""
    assert PASSWORD not in refused(source_url, target_url, capsys)


def test_credentials_are_shown_nowhere(source, tmp_path, capsys):
    """In no line and no summary of a move that works."""
    target = url_of("postgresql", tmp_path).replace("postgres@", f"postgres:{PASSWORD}@")
    assert cli.main(["migrate", "--from", source, "--to", target, "--json"]) == 0
    said = capsys.readouterr()
    assert PASSWORD not in said.out + said.err
    assert '"to":"postgresql host 127.0.0.1 port' in said.out


def _copy(store: str, folder: Path) -> str:
    """The same store in another file."""
    return sqlite_url(Path(shutil.copy(_file(store), folder / "copy.db")))


def _file(store: str) -> Path:
    return Path(store.removeprefix("sqlite:///"))


def _is_whole(store: str) -> bool:
    with contextlib.closing(open_side(store, "--to")) as side:
        try:
            return side.progress() is None
        except MigrationRefused:
            return True


def type_of(store: str) -> Any:
    """The side that stands for such a URL."""
    return type(open_side(store, "--to"))
