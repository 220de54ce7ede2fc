"""What an operator gets wrong: one line with the cause and the way out, and no credentials anywhere."""

from __future__ import annotations

import pytest

from oncekv.server.config import UsageError
from oncekv.server.engine.storage import check_url
from tests.support.etcd import EtcdCluster
from tests.support.replies import expect
from tests.support.server import oncekv
from tests.support.stores import one_etcd
from tests.support.waiting import until

PASSWORD = "tomato-soup"
WRONG_URLS = [
    "etcd://", "etcd:///", "etcd://host", "etcd://host:", "etcd://host:0", "etcd://host:65536", "etcd://host:x/a",
    "etcd://a:1,", "etcd://,a:1", "etcd://a:1,a:1", "etcd://a:1;b:2", "etcd://a:1/p?x=1", "etcd://a:1/p#x", "etcd://a:1/%zz",
    "etcd://a:1/%ff", f"etcd://u:{PASSWORD}@host", f"etcd://:{PASSWORD}@a:1", f"etcd://{PASSWORD}@a:1", "etcd://u:@a:1",
    f"etcd://u:{PASSWORD}:x@a:1", f"etcd://u@v:{PASSWORD}@a:1", "etcd://a b:1", "etcd://a:1/" + "x" * 300,
]  # fmt: skip


@pytest.mark.parametrize("url", WRONG_URLS)
def test_a_url_that_cannot_be_understood(url):
    """Wrong usage, on one line that shows the form and nothing of the URL."""
    with pytest.raises(UsageError) as caught:
        check_url(url)
    (line,) = str(caught.value).splitlines()
    assert "etcd://HOST:PORT" in line
    assert PASSWORD not in line


def serve_and_fail(url: str) -> tuple[int, str]:
    """The exit code and the one line of a server that cannot start."""
    done = oncekv("serve", "--listen", "127.0.0.1:0", "--store", url, timeout_s=30)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert PASSWORD not in line
    assert "Traceback" not in line
    return done.returncode, line


def test_a_wrong_url_is_wrong_usage():
    """Exit 2."""
    assert serve_and_fail(f"etcd://root:{PASSWORD}@host")[0] == 2


def test_no_endpoint_can_be_reached():
    """The line names the endpoints."""
    code, line = serve_and_fail(f"etcd://root:{PASSWORD}@127.0.0.1:1,127.0.0.1:2/p")
    assert code == 1
    assert "etcd at 127.0.0.1:1,127.0.0.1:2 cannot be used" in line
    assert "refused" in line


@pytest.mark.parametrize(("schema", "words"), [("0", "has schema 0"), ("2", "has schema 2"), ("x\ny", "schema x")])
def test_another_schema(etcd, schema, words):
    """Older or newer: nothing of it is touched."""
    prefix = etcd.new_prefix()
    etcd.put(f"/{prefix}/schema", schema)
    code, line = serve_and_fail(etcd.url(prefix))
    assert code == 1
    assert words in line
    assert etcd.get(f"/{prefix}/", is_prefix=True) == {f"/{prefix}/schema".encode(): schema.encode()}


def test_a_prefix_of_another_program(etcd):
    """It is left alone."""
    prefix = etcd.new_prefix()
    etcd.put(f"/{prefix}/registry/pods", "x")
    code, line = serve_and_fail(etcd.url(prefix))
    assert code == 1
    assert "belong to another program" in line
    assert len(etcd.get(f"/{prefix}/", is_prefix=True)) == 1


def test_a_store_that_was_replaced_under_a_server(etcd, serve):
    """A schema of another release, or none: not ready, and it says so."""
    prefix = etcd.new_prefix()
    node = serve(etcd.url(prefix))
    assert node.kv.fetch("GET", "/readyz").status == 200
    etcd.put(f"/{prefix}/schema", "2")
    reply = node.kv.fetch("GET", "/readyz")
    assert (reply.status, b"schema" in reply.body) == (503, True)
    etcd.put(f"/{prefix}/schema", "1")
    assert node.kv.fetch("GET", "/readyz").status == 200


def test_two_stores_in_one_cluster(etcd, serve):
    """Each prefix is a store of its own, also where one name begins with the other's."""
    first, second = serve(etcd.url("twins/a")), serve(etcd.url("twins/ab"))
    first.kv.ok("kv.put", key="k", value="first")
    assert second.kv.get("k") == (None, 0)
    expect(first.kv.open().at(second.kv).do(1, "kv.put", key="k", value="x"), 1001)


@pytest.fixture(scope="module")
def guarded():
    """A cluster that asks for a password; user `app` has rights to /app/ alone."""
    one_etcd()  # skips where there is none
    with EtcdCluster() as cluster:
        cluster.guard("root", PASSWORD)
        cluster.add_user("app", PASSWORD, "/app/")
        yield cluster


def with_user(url: str, user: str, password: str = PASSWORD) -> str:
    """The URL with credentials."""
    return url.replace("etcd://", f"etcd://{user}:{password}@")


def test_credentials(guarded, serve):
    """They are taken, and shown nowhere."""
    node = serve(with_user(guarded.url("app/one"), "app"))
    assert node.kv.open().do(1, "kv.append", key="k", value="x").ok
    assert node.kv.fetch("GET", "/readyz").status == 200
    shown = [node.kv.fetch("GET", "/metrics").body.decode(), str(node.kv.ok("server.info")), node.server.log_tail()]
    assert not any(PASSWORD in text for text in shown)


@pytest.mark.parametrize(
    ("user", "password", "prefix"),
    [("app", "wrong", "app/x"), ("nobody", PASSWORD, "app/x"), ("app", PASSWORD, "else")],
)
def test_refused_credentials(guarded, user, password, prefix):
    """A wrong password, a user who is not there, one without rights to the prefix."""
    code, line = serve_and_fail(with_user(guarded.url(prefix), user, password))
    assert code == 1
    assert "refuses these credentials" in line


def test_no_credentials_where_they_are_needed(guarded):
    """The same line."""
    code, line = serve_and_fail(guarded.url("app/x"))
    assert code == 1
    assert "refuses these credentials" in line


def test_a_token_that_etcd_has_forgotten_is_renewed(serve):
    """Members forget the tokens that they gave when they start again."""
    one_etcd()  # skips where there is none
    with EtcdCluster() as cluster:
        cluster.guard("root", PASSWORD)
        node = serve(with_user(cluster.url("p"), "root"))
        assert node.kv.ok("kv.put", key="k", value="v") == {"version": 1}
        cluster.members[0].kill()
        cluster.members[0].start()
        until(lambda: node.kv.fetch("GET", "/readyz").status == 200, what="readiness")
        assert node.kv.ok("kv.put", key="k", value="v") == {"version": 2}
