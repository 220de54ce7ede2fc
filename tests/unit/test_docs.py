"""The documents say what the code does: files exist, tables come from the registries, measured ones from real runs.

`python -m tests.unit.test_docs [out/demo …]` writes the generated tables anew, measured ones from a run's evidence.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import msgspec
import pytest

from bench.report.targets import TARGETS
from chaos.runner.cell import COLUMNS
from chaos.runtime.stores import SHARED
from chaos.scenarios import scenarios
from oncekv import cli
from oncekv.kv.methods import all_methods
from oncerpc.server.rpc.method import Method
from oncerpc.wire.errors import REGISTRY
from tests.bugs.planted import bugs

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ROOT / "services" / "README.md"
PROTOCOL = ROOT / "docs" / "protocol.md"
FRONT_DOOR = ROOT / "README.md"
MATRIX = ROOT / "docs" / "matrix.md"
CHAOS = ROOT / "chaos" / "README.md"
RESULTS = ROOT / "bench" / "results"
"""One real run of `make bench` and of `make concurrency`: the tables, the figures behind them, the plots."""
MEASURED = {"local": MATRIX, "compose": CHAOS, **dict.fromkeys(SHARED, CHAOS)}
"""By the store, where servers share one, else by the runtime."""
STORY = ("lost-request", "lost-reply", "crash-after-commit", "late-after-ack", "volume-lost")
"""The rows of the whole table that the front door shows."""
SHOWN = ("1", "2", "4", "5")
"""The measurements whose targets it shows: throughput, the identity, growth."""
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("*/*.md"))]
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)\)")


def errors_table() -> str:
    """Code, name, definite, recorded, when: one line an error."""
    lines = ["| code | name | definite | recorded | when |", "| --- | --- | --- | --- | --- |"]
    for code, error in sorted(REGISTRY.items(), key=lambda one: max(one[0], 0)):  # JSON-RPC's own as it lists them
        definite, recorded = ("yes" if flag else "no" for flag in (error.definite, error.recorded))
        lines.append(f"| {code} | {error.name} | {definite} | {recorded} | {error.when} |")
    return "\n".join(lines)


def methods_table() -> str:
    """Method, params and result: one line a method."""
    lines = ["| method | params | result | what it does |", "| --- | --- | --- | --- |"]
    for method in all_methods().values():
        lines.append(f"| `{method.name}` | {_params(method)} | {_result(method)} | {method.summary} |")
    return "\n".join(lines)


def _params(method: Method) -> str:
    fields = msgspec.structs.fields(method.params)
    return ", ".join(f"`{field.encode_name}{'' if field.required else '?'}`" for field in fields)


def _result(method: Method) -> str:
    if not isinstance(method.result, type) or not issubclass(method.result, msgspec.Struct):
        return "the OpenRPC document"
    names = (field.encode_name for field in msgspec.structs.fields(method.result))
    return ", ".join(f"`{name}`" for name in names if name != "_meta")


def _part(text: str, name: str) -> re.Match[str]:
    found = re.search(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", text, re.DOTALL)
    assert found, f"no generated part {name}"
    return found


def _generated(text: str, name: str) -> str:
    return _part(text, name)[0].rstrip("\n")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    """A reader who follows a link of a page finds a file."""
    missing = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()]
    assert not missing, f"{page.name} names what is gone"


def test_the_way_of_a_call_names_a_file_for_every_step() -> None:
    """All ten steps are in the table, in order; to a service of one's own those from the server on."""
    steps = re.findall(r"^\| (\d+) \| \[", SERVICES.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(step) for step in steps] == [*range(1, 11), *range(5, 11)]


def test_the_error_table_is_the_registry() -> None:
    """The page lists every error code with what the code says of it."""
    assert _generated(PROTOCOL.read_text(encoding="utf-8"), "errors") == errors_table()


def test_the_method_table_is_the_registry() -> None:
    """The page lists every method with its params and result."""
    assert _generated(PROTOCOL.read_text(encoding="utf-8"), "methods") == methods_table()


@pytest.mark.parametrize(
    ("name", "runtime", "store"),
    [("local", "local", "sqlite"), ("compose", "compose", "sqlite"), *((store, "local", store) for store in SHARED)],
)
def test_the_measured_tables_have_every_scenario_and_semantics(name: str, runtime: str, store: str) -> None:
    """Each has a row for every scenario that can be had there, a column for every semantics, and red controls."""
    table = _generated(MEASURED[name].read_text(encoding="utf-8"), f"matrix-{name}").splitlines()
    head, *rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table if "---" not in line]
    assert head[1:] == [column.name for column in COLUMNS]
    found = scenarios()
    if store in SHARED:
        found = {name: row.on_shared_store() for name, row in found.items()}
    assert [row[0] for row in rows] == [row.name for row in found.values() if row.runs_on(runtime, store)]
    for row in rows:
        red = {head[place] for place, cell in enumerate(row) if "doubled" in cell}
        broken = {head[place] for place, cell in enumerate(row) if "BROKEN" in cell}
        assert found[row[0]].must_be_red <= red
        assert found[row[0]].must_break <= broken <= found[row[0]].must_break | found[row[0]].may_break


def test_the_table_of_planted_bugs_has_them_all() -> None:
    """Every bug of tests/bugs stands in the table, caught."""
    table = _generated(CHAOS.read_text(encoding="utf-8"), "bugs").split("\n\n")[0].splitlines()[2:]
    assert [line.split("|")[2].split()[0] for line in table] == list(bugs())
    assert all("not caught" not in line for line in table)


def story() -> str:
    """A few rows of the table in docs/matrix.md, aligned anew."""
    head, _, *rows = _generated(MATRIX.read_text(encoding="utf-8"), "matrix-local").splitlines()
    kept = {row.split("|")[1].strip(): row for row in rows}
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in (head, *(kept[name] for name in STORY))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (cells[0], ["---"] * len(cells[0]), *cells[1:]))


def bench_targets() -> str:
    """What the run that is kept found, target by target, and on what machine: what the front door shows of it."""
    found = (RESULTS / "bench.md").read_text(encoding="utf-8")
    rows = [row for row in _part_of_targets(found) if row[0] in SHOWN]
    shown = ["| | found | floor | aim | |", "| --- | --- | --- | --- | --- |"]
    shown += [
        f"| {what} | {measured} | {floor} | {aim} | {verdict} |" for _, what, _, measured, floor, aim, verdict in rows
    ]
    return "\n".join([*shown, "", found.splitlines()[0]])


def _part_of_targets(found: str) -> list[list[str]]:
    targets = found.partition("**Targets**")[2].partition("**1. ")[0]
    rows = [line for line in targets.splitlines() if line.startswith("| ")][2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_front_door_shows_what_was_measured() -> None:
    """Rows of the matrix that is kept, and what the run of the benchmark that is kept found."""
    page = FRONT_DOOR.read_text(encoding="utf-8")
    assert _generated(page, "story") == story()
    assert _generated(page, "bench") == bench_targets()
    assert len(page.splitlines()) <= 120


def test_the_run_of_the_benchmark_that_is_kept_is_a_whole_one() -> None:
    """Every target stands in it with a verdict, and it names date, machine and versions.

    Those of the library's cost (measurement 9) and of the stores (10) have a row for each view and store; longer runs
    of them alone are kept beside it: bench/results/library.md, stores.md.
    """
    found = (RESULTS / "bench.md").read_text(encoding="utf-8")
    rows = _part_of_targets(found)
    assert [row[1] for row in rows if int(row[0]) < 9] == [it.what for it in TARGETS if it.measurement < 9]
    assert {int(row[0]) for row in rows} == {target.measurement for target in TARGETS}
    assert all(row[6] in ("aim reached", "floor reached", "missed") for row in rows)
    assert "Not the whole run" not in found
    assert re.match(r"\d{4}-\d\d-\d\d, \d+ cores .* GiB, .*python .*sqlite .*etcd ", found)


def test_every_claim_has_its_paragraph_in_the_run_that_is_kept() -> None:
    """Held, or not here, or unclear: each of the lecture's claims, with what it stands on."""
    claims = [line for line in (RESULTS / "concurrency.md").read_text(encoding="utf-8").splitlines() if line[:1] == "*"]
    paragraphs = [claim for claim in claims if not claim.startswith("**")]
    assert len(paragraphs) == 6
    assert all(re.search(r"\*\*(held|not here|unclear)\*\*", paragraph) for paragraph in paragraphs)


def test_every_command_of_the_front_door_exists() -> None:
    """Each `make` target that the README names is one of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", FRONT_DOOR.read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= targets


def test_every_command_and_option_of_an_operator_is_explained() -> None:
    """Each command of `oncekv`, and what a server and the terminal take besides, stands in the page for operators."""
    page = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    assert [name for name in cli.COMMANDS if f"oncekv {name}" not in page] == []
    for option in ("--log-format", "--log-calls", "--once", "--json", "--history", "NO_COLOR"):
        assert option in page


def _put(page: Path, name: str, table: str) -> None:
    text = page.read_text(encoding="utf-8")
    start, end = _part(text, name).span()
    page.write_text(f"{text[:start]}{table}\n{text[end:]}", encoding="utf-8")


if __name__ == "__main__":
    _put(PROTOCOL, "errors", errors_table())
    _put(PROTOCOL, "methods", methods_table())
    for evidence in map(Path, sys.argv[1:]):
        if kept := next((name for name in ("bench", "concurrency") if (evidence / f"{name}.json").exists()), None):
            RESULTS.mkdir(exist_ok=True)
            for drawn in [*evidence.glob("*.svg"), evidence / f"{kept}.json"]:
                shutil.copy(drawn, RESULTS)
            shutil.copy(evidence / "table.md", RESULTS / f"{kept}.md")
            continue
        if (evidence / "bugs.md").exists():
            _put(CHAOS, "bugs", (evidence / "bugs.md").read_text(encoding="utf-8").strip())
            continue
        run = json.loads((evidence / "matrix.json").read_text(encoding="utf-8"))
        measured = run["store"] if run["store"] in SHARED else run["runtime"]
        if run["service"] != "kv":
            measured = f"{run['service']}-{run['database']}"
        table, _, _ = (evidence / "table.md").read_text(encoding="utf-8").partition("\n\n")
        _put(MEASURED.get(measured, CHAOS), f"matrix-{measured}", table)
    _put(FRONT_DOOR, "story", story())
    _put(FRONT_DOOR, "bench", bench_targets())
