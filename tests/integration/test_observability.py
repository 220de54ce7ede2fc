"""What operators see of a call over its attempts: the log's lines, its trace, and the dashboard's metrics."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from chaos.runtime.local import oncekv_command
from oncekv.client import connect
from tests.support.server import Node
from tests.support.waiting import until

DASHBOARD = Path(__file__).resolve().parents[2] / "services" / "grafana" / "oncekv.json"
KEEPS = ["--log-format", "json", "--log-calls"]


def lines_of(node: Node) -> list[dict[str, Any]]:
    """The server's log."""
    return [json.loads(line) for line in node.server.log.read_text(encoding="utf-8").splitlines()]


def test_the_log_follows_a_call_over_its_attempts(fresh: Callable[..., Node]) -> None:
    """Each line is one JSON object; a lost reply and its replay are attempts of one identity; no secret shows."""
    node = fresh(failpoints=True, extra_args=KEEPS)
    node.arm("after_commit", "drop", match={"key": "logged"})
    with connect(node.server.url) as kv:
        assert kv.append("logged", "the value").offset == 0
        session = kv._core.session.epoch
        assert session is not None
        node.kv.call("kv.bogus")
    (keyed,) = (requests.post(
        f"{node.server.url}/rpc",
        json={"jsonrpc": "2.0", "id": 1, "method": "kv.put", "params": {"key": "k", "value": "v", "if_version": 9}},
        headers={"Idempotency-Key": "a secret?".replace(" ", "-")},
        timeout=10,
    ),)  # fmt: skip
    assert keyed.status_code == 200
    found = until(lambda: [line for line in lines_of(node) if line.get("method") == "kv.put"], what="the last line")
    assert (found[0]["outcome"], found[0]["identity"][:4]) == ("error", "key ")
    appends = [line for line in lines_of(node) if line.get("method") == "kv.append"]
    assert [(line["attempt"], line["outcome"]) for line in appends] == [(1, "dropped"), (2, "replayed")]
    assert re.fullmatch(r"[0-9a-f]{8}/1", appends[0]["identity"])
    assert appends[0]["identity"] == appends[1]["identity"]
    assert all(line["took_ms"] >= 0 and line["level"] == "info" for line in appends)
    assert [line["outcome"] for line in lines_of(node) if line.get("method") == "unknown"] == [
        "refused: method_not_found"
    ]
    text = node.server.log.read_text(encoding="utf-8")
    assert not [secret for secret in (str(session.name), "a-secret?", "the value") if secret in text]


@pytest.mark.parametrize("model", ["event-loop", "threads"])
def test_what_only_logs_and_traces_read_changes_no_call(fresh: Callable[..., Node], model: str) -> None:
    """An attempt that is no number, a header that comes twice, a trace that is none: the call is answered as ever."""
    node = fresh(model=model, extra_args=KEEPS)
    body = b'{"jsonrpc": "2.0", "id": 1, "method": "server.info"}'
    address = node.server.url.removeprefix("http://")
    for headers in ([("Oncerpc-Attempt", "many")], [("Oncerpc-Attempt", "2")] * 2, [("Traceparent", "00-zz")] * 2):
        with closing(HTTPConnection(address, timeout=10)) as connection:
            connection.putrequest("POST", "/rpc")
            for name, value in [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers]:
                connection.putheader(name, value)
            connection.endheaders(body)
            reply = connection.getresponse()
            assert (reply.status, json.load(reply)["result"]["name"]) == (200, "oncekv"), headers
    until(lambda: [line.get("attempt") for line in lines_of(node)] == [1, 2, 1], what="a line for each")


class Collector(HTTPServer):
    """A receiver of OTLP over HTTP: keeps the spans that come."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receive)
        self.spans: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Receive(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
        assert isinstance(self.server, Collector)
        for resource in request.resource_spans:
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                facts = {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
                self.server.spans.append(
                    {
                        "name": span.name,
                        "id": span.span_id,
                        "parent": span.parent_span_id,
                        "trace": span.trace_id,
                        **facts,
                    }
                )
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """One that runs."""
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_trace_follows_a_call_over_its_attempts(
    fresh: Callable[..., Node], collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Client and server are processes of their own: one trace, the call above its two attempts, a server's span below
    each, one identity in all of them.
    """
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    node = fresh(failpoints=True)
    node.arm("after_commit", "drop", match={"key": "traced"})
    words = ["call", "kv.append", "key=traced", "value=x", "--server", f"c1-kv-1={node.server.url}"]
    subprocess.run([*oncekv_command(), *words], check=True, timeout=60, capture_output=True)
    names = ["attempt 1", "attempt 2", "kv.append", "kv.append", "kv.append"]

    def of_the_call() -> list[dict[str, Any]]:
        return [span for span in collector.spans if span.get("rpc.method") == "kv.append"]

    until(lambda: sorted(span["name"] for span in of_the_call()) == names, what="five spans of the call")
    (call,) = (span for span in of_the_call() if not span["parent"])
    attempts = sorted((span for span in of_the_call() if span["parent"] == call["id"]), key=lambda span: span["name"])
    assert (call["oncerpc.outcome"], call["oncerpc.attempts"]) == ("ok", 2)
    assert [span["oncerpc.result"] for span in attempts] == ["connection lost", "ok (replayed)"]
    assert {span["oncerpc.link"] for span in attempts} == {"c1-kv-1"}
    served = [span for attempt in attempts for span in of_the_call() if span["parent"] == attempt["id"]]
    assert [(span["oncerpc.attempt"], span["oncerpc.outcome"]) for span in served] == [(1, "dropped"), (2, "replayed")]
    assert {span["oncerpc.identity"] for span in served} == {call["oncerpc.identity"]}
    assert {span["trace"] for span in of_the_call()} == {call["trace"]}


@pytest.mark.parametrize(
    ("environment", "is_loaded"),
    [({}, False), ({"OTEL_TRACES_EXPORTER": "none"}, False), ({"OTEL_TRACES_EXPORTER": "console"}, True)],
)
def test_without_an_exporter_nothing_of_it_is_there(environment: dict[str, str], is_loaded: bool) -> None:
    """Nobody pays for what nobody asked for: the package is not even imported."""
    script = "import sys; from oncekv.client import connect; c = connect('http://h'); c.close()"
    script += "; import oncerpc.server.rpc.observers as o; print(o.observer_of(1, log_calls=False) is not None)"
    script += "; print('opentelemetry' in sys.modules)"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == [str(is_loaded)] * 2


def test_where_the_extra_is_missing_one_line_says_so() -> None:
    """A configured exporter without the package is no traceback and no loss of service."""
    script = "import sys; sys.modules['opentelemetry.sdk'] = None; from oncekv.client import connect\n"
    script += "for _ in range(2): connect('http://h').close()\nprint('served')"
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "otlp"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "served\n"
    assert done.stderr.count("\n") == 1
    assert "pip install 'oncekv[otel]'" in done.stderr


def test_the_dashboard_asks_for_what_metrics_has(fresh: Callable[..., Node]) -> None:
    """Every metric and label of its panels is in a real /metrics, and every metric of ours has a panel."""
    node = fresh(model="event-loop --writer thread")  # one process lists also what it has not counted yet
    node.kv.call("kv.append", key="dashboard", value="x")
    node.kv.call("kv.bogus")
    text = requests.get(f"{node.server.url}/metrics", timeout=10).text
    families = set(re.findall(r"^# TYPE (oncekv_\w+)", text, re.MULTILINE))
    series = set(re.findall(r"^(oncekv_\w+)", text, re.MULTILINE))
    labels = set(re.findall(r'[{,](\w+)="', text)) | {"instance"}  # Prometheus' own, of the server that it asked
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [
        variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"
    ]
    asked = {name for query in queries for name in re.findall(r"oncekv_\w+", query)}
    assert asked <= series | families
    assert all(any(name.startswith(family) for name in asked) for family in families)
    assert {
        label for query in queries for group in re.findall(r"by \(([\w, ]+)\)", query) for label in group.split(", ")
    } <= labels
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
