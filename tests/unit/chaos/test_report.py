from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import vl_convert

from chaos.report import labels, order, plots, proof, selection, sequence
from chaos.report.page import render, write_report
from chaos.report.records import (
    Attempt,
    Band,
    Call,
    EvidenceMissing,
    Figures,
    KeyOrder,
    Linearization,
    Run,
    read_cell,
    read_run,
)
from chaos.report.vega_library import library
from tests.support.evidence import cell_of, write_run

EVIL = "</script><img src=x onerror=alert(1)>\u2028&'\""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three scenarios."""
    return write_run(tmp_path_factory.mktemp("run"), ("healthy", "lost-reply", "crash-after-commit"))


@pytest.fixture(scope="module")
def page(run) -> str:
    """Its report."""
    return write_report(run).read_text(encoding="utf-8")


def _without_library(page: str) -> str:
    """The page without the script of the plots' library and its own."""
    return re.sub(r"(?s)<script>.*?</script>", "", page)


def _call(*endings: str, effects: int | None = 1, told: str = "ok", name: str = "c0-1") -> Call:
    attempts = [Attempt(n, "link", 10.0 + 300 * n, 250.0, ending) for n, ending in enumerate(endings, start=1)]
    replayed = "replayed" in endings[-1]
    return Call(name, told, 300.0, key="log/0", replayed=replayed, effects=effects, took_ms=900.0, attempts=attempts)


def _summary(folder: Path, **changed: Any) -> None:
    cell = cell_of("lost-reply", "at-most-once", []) | changed
    (folder / "matrix.json").write_text(json.dumps({"seed": 1, "cells": [cell]}))


def test_every_cell_has_its_section_and_the_table_leads_to_it(run, page):
    """No cell of the summary is left out, and each link of the table has an end."""
    slugs = [cell.slug for cell in read_run(run).cells]
    assert len(slugs) == 15
    for slug in slugs:
        assert page.count(f'<details class="cell" id="{slug}">') == 1
        assert f'href="#{slug}"' in page
    assert len(re.findall(r'<a href="#matrix">↑', page)) == len(slugs)


def test_the_report_loads_nothing(page):
    """The page has no address of anything, and its content policy forbids to load what it might have."""
    assert "default-src 'none'" in page
    outside = _without_library(page)
    assert not re.search(r"(?i)(?:src|href|action|data)\s*=\s*[\"']?(?!#)[^\s>\"']", outside.replace("data-plot", ""))
    assert not re.search(r"(?i)https?://|@import|url\(", outside)


def test_the_report_of_the_whole_matrix_is_light(tmp_path, page):
    """Five cells are a tenth of the limit of 15 MiB for 150 cells, the plots' library apart; so are storms of calls."""
    write_run(tmp_path, ["lost-reply"], ["exactly-once"], calls=1500)
    storm = write_report(tmp_path).stat().st_size
    assert len(page.encode()) < 2.5e6
    assert storm < 2.5e6


def test_what_evidence_says_is_escaped(tmp_path):
    """A name in the evidence that is HTML or ends a script is shown, never run."""
    _summary(tmp_path, violations=[EVIL], problems=[EVIL], teaches=EVIL, repeat=EVIL, told={"ok": 1}, calls=1)
    place = tmp_path / "lost-reply--at-most-once"
    place.mkdir()
    attempt = {"number": 1, "link": EVIL, "began_ms": 1, "took_ms": 1, "ending": EVIL}
    call = {"name": EVIL, "told": "unknown", "began_ms": 1, "key": EVIL, "attempts": [attempt], "effects": 1}
    (place / "calls.jsonl").write_text(json.dumps(call) + "\n")
    found = {"verdict": "no", "keys": {EVIL: {"verdict": "no", "order": [EVIL], "reason": EVIL}}}
    (place / "linearization.json").write_text(json.dumps(found))
    (place / "store.json").write_text(json.dumps({"rows": {EVIL: {"value": f"{EVIL};{EVIL};"}}}))
    page = _without_library(render(tmp_path))
    assert "onerror=alert(1)&gt;" in page
    assert "<img" not in page
    assert page.count("</script>") == page.count("<script") == 2, "the specifications and the cell's data"
    for data in re.findall(r'(?s)<script type="application/json"[^>]*>(.*?)</script>', page):
        assert "\u2028" not in data
        json.loads(data)


def test_missing_files_are_told_and_stop_nothing(tmp_path):
    """A cell that has only its line in the summary is shown, and what is not there is named."""
    _summary(tmp_path)
    page = render(tmp_path)
    assert "Not measured" in page
    assert "history.jsonl, calls.jsonl, store.json, linearization.json" in page


def test_a_folder_without_a_run_is_refused(tmp_path):
    """There is no report of nothing, and none is left behind."""
    with pytest.raises(EvidenceMissing):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_line_that_was_cut_off_is_counted(tmp_path):
    """A run that died in the middle of a line loses that line alone, and the report says so."""
    write_run(tmp_path, ["lost-reply"], ["maybe"])
    path = tmp_path / "lost-reply--maybe" / "calls.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    cell = read_cell(tmp_path, read_run(tmp_path).cells[0])
    assert cell.unread == 1
    assert cell.calls is not None
    assert len(cell.calls) == 99
    assert "1 lines could not be read" in render(tmp_path)


def test_faults_are_paired_and_open_ones_go_to_the_end(tmp_path):
    """Two faults may overlap; one whose end is not in the history lasts to its last line."""
    _summary(tmp_path)
    place = tmp_path / "lost-reply--at-most-once"
    place.mkdir()
    events = [("begin", "a", 1), ("begin", "b", 2), ("end", "a", 3), ("end", "x", 4), ("begin", "c", 5)]
    lines = [{"process": "nemesis", "type": "info", "f": f, "value": v, "time": t * 1_000_000} for f, v, t in events]
    lines.append({"process": 0, "type": "invoke", "f": "get", "time": 9_000_000})
    (place / "history.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    bands = read_cell(tmp_path, read_run(tmp_path).cells[0]).bands
    assert bands == [Band("a", 1, 3), Band("b", 2, 9, is_open=True), Band("c", 5, 9, is_open=True)]


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        pytest.param({}, "kept", id="kept"),
        pytest.param({"red": True}, "doubled", id="doubled"),
        pytest.param({"kept": False, "red": True}, "BROKEN", id="broken"),
        pytest.param({"problems": ["the fault did not fire"], "good": False}, "FAILS THE RUN", id="fails"),
        pytest.param({"good": False}, "FAILS THE RUN", id="bad-without-a-reason"),
        pytest.param({"calls": 0}, "not measured", id="not-measured"),
    ],
)
def test_a_cell_has_one_state(changed, word):
    """What fails the run is never shown as kept."""
    facts: dict[str, Any] = {"calls": 4, "kept": True, "good": True, **changed}
    assert labels.state_of(Figures("s", "c", **facts)).word == word


def test_an_incomplete_run_is_not_praised():
    """A run that ended early says so, however good its cells are."""
    good = Figures("s", "c", calls=4, kept=True, good=True)
    assert labels.verdict_of(Run(cells=[good], complete=True, good=True)).startswith("Every promise")
    assert labels.verdict_of(Run(cells=[good])).startswith("Incomplete")
    assert labels.verdict_of(Run(cells=[good], complete=True)).startswith("The run failed")


@pytest.mark.parametrize(
    ("endings", "effects", "fates"),
    [
        pytest.param(["timed out", "ok (replayed)"], 1, [proof.RAN, proof.WAS_REPLAY], id="a-replay-proves-it"),
        pytest.param(["timed out", "ok"], 2, [proof.RAN, proof.RAN], id="two-effects-prove-it"),
        pytest.param(["timed out", "ok"], 1, [proof.NO_EFFECT, proof.RAN], id="one-effect-is-the-answered-one"),
        pytest.param(["timed out"], 0, [proof.NO_EFFECT], id="nothing-in-the-store"),
        pytest.param(["timed out"] * 2 + ["ok"], 2, ["1 of 2 ran"] * 2 + [proof.RAN], id="nobody-can-say-which"),
        pytest.param(["timed out", "ok"], 0, [proof.MAYBE, proof.RAN], id="the-store-has-lost-it"),
        pytest.param(["timed out", "ok (replayed)"], 0, [proof.MAYBE, proof.WAS_REPLAY], id="lost-after-a-replay"),
        pytest.param(["not sent: refused", "ok"], 1, [proof.UNSENT, proof.RAN], id="never-left"),
        pytest.param(["refused: overloaded", "ok"], 1, [proof.WAS_REFUSED, proof.RAN], id="refused"),
    ],
)
def test_ran_is_said_only_where_it_is_proven(endings, effects, fates):
    """An attempt without an answer ran if a replay or the number of effects leaves no other way."""
    assert proof.fates(_call(*endings, effects=effects)) == fates


def test_copies_on_the_way_take_the_proof_away():
    """Where the network doubles messages, an effect too many may be a copy's, and no attempt is said to have run."""
    doubled, lost = _call("ok", effects=2), _call("timed out", "ok", effects=2)
    assert proof.has_copies([doubled])
    assert not proof.has_copies([lost])
    assert proof.fates(lost, copies=True) == [proof.MAYBE, proof.RAN]
    assert "copy" in proof.explain(doubled, copies=True)
    assert "each of" not in proof.explain(lost, copies=True)


def test_a_read_proves_nothing():
    """A read has no effects in the store: what became of a lost one stays open; a write is drawn instead."""
    read = _call("timed out", "ok", effects=None, name="read")
    assert proof.fates(read) == [proof.MAYBE, proof.READS]
    chosen = selection.most_telling([read, _call("ok", name="write")])
    assert chosen is not None
    assert chosen.name == "write"


def test_the_diagram_draws_an_unproven_attempt_only_to_the_link():
    """Where nobody knows whether a request arrived, no arrow reaches the server, and no reply leaves it."""
    drawn = sequence.draw(_call("timed out", effects=0, told="unknown"), [])
    assert not [line for line in drawn.lines if line.arrow and line.x2 == sequence.SERVER_X]
    assert not [line for line in drawn.lines if line.x1 == sequence.SERVER_X]
    proven = sequence.draw(_call("timed out", "ok (replayed)"), [])
    assert len([line for line in proven.lines if line.arrow and line.x2 == sequence.SERVER_X]) == 2
    assert len([line for line in proven.lines if line.x1 == sequence.SERVER_X]) == 1


def test_the_diagram_of_many_attempts_is_short():
    """Sixty attempts are not sixty arrows, and it is said how many were left out."""
    drawn = sequence.draw(_call(*["timed out"] * 60, "ok (replayed)"), [])
    assert drawn.height < 800
    assert any("55 more attempts" in text.text for text in drawn.texts)


def test_the_most_telling_call_is_chosen():
    """A doubled call before a replayed one, that before an unknown one; of equals the shortest story."""
    plain, lost = _call("ok", name="plain"), _call("timed out", told="unknown", name="lost")
    long, short = _call("timed out", "timed out", "ok (replayed)"), _call("timed out", "ok (replayed)", name="short")
    doubled = _call("timed out", "ok", effects=2, name="doubled")
    for expected, calls in (("doubled", [plain, lost, long, short, doubled]), ("short", [plain, lost, long, short])):
        chosen = selection.most_telling(calls)
        assert chosen is not None
        assert chosen.name == expected
    assert selection.most_telling([]) is None


def test_a_storm_of_calls_is_thinned_out_and_it_is_said():
    """What happened stays as long as there is room, plain calls go first; the distribution still has all of them."""
    calls = [_call("ok", name=f"c0-{n}") for n in range(8000)]
    calls += [_call("timed out", "ok (replayed)", name=f"c1-{n}") for n in range(100)]
    shown = plots.thinned(calls)
    assert sum(len(call.attempts) for call in shown) <= plots.ATTEMPTS_MAX
    assert sum(1 for call in shown if call.replayed) == 100
    assert "of 8,100 calls" in plots.left_out(calls)
    assert plots.datasets(calls, [])["curve"]["rows"][-1][1] == 1


def test_a_call_of_many_attempts_keeps_its_ends_and_their_number():
    """Where attempts must be left out, the first and the last of each call stay, and the tooltip has the true count."""
    calls = [_call(*["timed out"] * 99, "ok (replayed)", name=f"c0-{n}") for n in range(20)]
    table = plots.datasets(calls, [])["calls"]
    assert [row[table["columns"].index("tries")] for row in table["rows"]] == [100] * 20
    shown = plots.thinned(calls)
    assert [shown[0].attempts[0].number, shown[0].attempts[-1].number] == [1, 100]
    assert "240 of 2,000 attempts" in plots.left_out(calls)


def test_calls_without_an_answer_are_missing_in_the_distribution():
    """A call that stayed unknown never counts as answered, however long one waits."""
    calls = [_call("ok"), _call("timed out", told="unknown")]
    assert plots.datasets(calls, [])["curve"]["rows"][-1][1] == 0.5


def test_orders_show_what_has_none_first_and_are_cut():
    """A key without an order comes before all others; a long order says how much of it is left out."""
    keys = {
        "a": KeyOrder("yes", ["x"] * 100),
        "b": KeyOrder("no", [], "because"),
        "c": KeyOrder("yes", ["x"]),
    }
    orders = order.orders_of(Linearization("no", keys))
    assert [key for key, _ in orders.keys] == ["b", "a"]
    assert orders.few == ["c"]
    first, hidden, last = order.cut(["x"] * 100)
    assert len(first) + hidden + len(last) == 100
    assert hidden > 0


def test_the_excerpt_marks_every_effect_of_the_call():
    """A call that ran twice is marked twice, whatever stands between."""
    call = _call("timed out", "ok", effects=2)
    found = order.excerpt(call, {"log/0": {"value": f"c0-0;c0-1;{'c9-9;' * 60}c0-1;"}})
    assert found is not None
    assert [text for text, is_it in found.parts if is_it] == ["c0-1;", "c0-1;"]
    assert order.excerpt(call, {}) is None


def test_the_plots_script_is_made_once_for_all_runs(tmp_path, monkeypatch):
    """It takes seconds to make; where nothing can be kept the report is written all the same."""
    make = Mock(return_value="draw('</script>')")
    monkeypatch.setattr(vl_convert, "javascript_bundle", make)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    scripts = [library.__wrapped__() for _ in range(2)]
    assert scripts == ["draw('<\\/script>')"] * 2
    assert make.call_count == 1
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert library.__wrapped__() == scripts[0]
