"""Sections 2 and 3: what a server says of itself: info, health, readiness, metrics."""

from __future__ import annotations

import re

import pytest

from tests.support.seed import unique
from tests.support.waiting import until

SAMPLE = re.compile(
    r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_]\w*="([^"\\\n]|\\.)*",?)*\})? '  # name and labels
    r"(-?[0-9.]+(e[-+]?[0-9]+)?|[+-]Inf|NaN)( -?[0-9]+)?"  # value and time
)
COMMENT = re.compile(r"# (HELP|TYPE) [a-zA-Z_:][a-zA-Z0-9_:]* .*|#.*")


def test_server_info(node):
    """server.info names the server, its start, store, delivery, age and release."""
    info = node.kv.ok("server.info")
    assert info.keys() >= {"name", "boot", "store", "delivery", "uptime_ms", "release"}
    assert (info["boot"], info["delivery"]) == (node.server.boot, "persisted")
    assert all(isinstance(info[name], str) and info[name] for name in ("name", "store", "release"))
    assert isinstance(info["uptime_ms"], int)
    until(lambda: node.kv.ok("server.info")["uptime_ms"] > info["uptime_ms"], what="a later uptime")


@pytest.mark.parametrize("workers", [1, 3])
def test_boot_grows_by_one_at_every_start(fresh, workers):
    """`boot` grows by one at every start on the same data, after SIGTERM as after SIGKILL, with workers as without."""
    node = fresh(workers=workers)
    boots = [(node.server.boot, node.kv.ok("server.info")["boot"])]
    for end in (node.server.stop, node.server.kill):
        end()
        node.server.start()
        boots.append((node.server.boot, node.kv.ok("server.info")["boot"]))
    first = node.server.boot - 2
    assert boots == [(first, first), (first + 1, first + 1), (first + 2, first + 2)]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_and_readiness(kv, path):
    """A server whose process is up and whose store answers says 200 on both."""
    assert kv.fetch("GET", path).status == 200


def test_metrics_are_in_prometheus_format(kv):
    """/metrics is the Prometheus text format, every line of it, and tells of what happens."""

    def metrics():
        reply = kv.fetch("GET", "/metrics")
        assert reply.status == 200
        assert reply.headers["Content-Type"].startswith("text/plain")
        return reply.body.decode()

    before = metrics()
    assert [
        line for line in before.splitlines() if line and not SAMPLE.fullmatch(line) and not COMMENT.fullmatch(line)
    ] == []
    session, key = kv.open(), unique()
    for _ in range(2):
        session.do(1, "kv.append", key=key, value="x")
    ours = [line for line in before.splitlines() if not line.startswith(("#", "process_", "python_"))]
    assert ours
    until(lambda: any(line not in metrics() for line in ours), what="a changed sample")
