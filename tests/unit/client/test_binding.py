import json

import pytest

from oncerpc.client.transport.binding import BindingError, Link, bind


@pytest.fixture
def links(tmp_path):
    """A links file with two clients and two servers."""
    rows = [
        {"name": f"{client}-{server}", "client": client, "server": server, "listen": f"127.0.0.1:{port}"}
        for client, server, port in [("c1", "kv-1", 21001), ("c2", "kv-1", 21002), ("c1", "kv-2", 21003)]
    ]
    path = tmp_path / "links.json"
    path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize(
    ("server", "link"),
    [
        ("http://h:1", Link("http://h:1/rpc", "http://h:1/rpc")),
        ("http://h:1/", Link("http://h:1/rpc", "http://h:1/rpc")),
        ("http://h:1/rpc", Link("http://h:1/rpc", "http://h:1/rpc")),
        ("http://h:1/rpc/", Link("http://h:1/rpc", "http://h:1/rpc")),
        ("https://h/api/kv", Link("https://h/api/kv/rpc", "https://h/api/kv/rpc")),
        ("https://h/api/kv/rpc", Link("https://h/api/kv/rpc", "https://h/api/kv/rpc")),
        ("https://h/@x/", Link("https://h/@x/rpc", "https://h/@x/rpc")),
        ("http://[::1]:9", Link("http://[::1]:9/rpc", "http://[::1]:9/rpc")),
        ("kv-1=http://h:1", Link("kv-1", "http://h:1/rpc")),
        ("a.b_c=http://h:1/x", Link("a.b_c", "http://h:1/x/rpc")),
    ],
    ids=["bare", "slash", "rpc", "rpc_slash", "path", "path_rpc", "path_at", "ipv6", "named", "named_path"],
)
def test_a_url_is_a_link_with_or_without_a_name(server, link):
    """Calls go to /rpc below the URL, a prefix kept; who has written /rpc already means the same."""
    assert bind(server) == (link,)


def test_several_urls_are_several_links_in_order():
    """A retry moves on to the next of them."""
    assert [link.name for link in bind(["a=http://h:1", "b=http://h:2"])] == ["a", "b"]


def test_a_service_is_looked_up_in_the_links_file(links):
    """Every link to the server, in the file's order; with a client's name only that client's."""
    assert bind("kv-1", links) == (
        Link("c1-kv-1", "http://127.0.0.1:21001/rpc"),
        Link("c2-kv-1", "http://127.0.0.1:21002/rpc"),
    )
    assert [link.name for link in bind("kv-1", links, client="c2")] == ["c2-kv-1"]
    assert [link.name for link in bind("c1-kv-2", links)] == ["c1-kv-2"]


def test_a_link_that_listens_everywhere_is_reached_where_the_environment_says(tmp_path):
    """0.0.0.0 is where a proxy listens, not where a client connects: 127.0.0.1, or ONCEKV_LINKS_HOST."""
    path = tmp_path / "links.json"
    path.write_text(json.dumps([{"name": "l", "server": "kv-1", "listen": "0.0.0.0:21001"}]))
    assert bind("kv-1", path, environment={}) == (Link("l", "http://127.0.0.1:21001/rpc"),)
    elsewhere = {"ONCEKV_LINKS_HOST": "toxiproxy"}
    assert bind("kv-1", path, environment=elsewhere) == (Link("l", "http://toxiproxy:21001/rpc"),)


def test_the_environment_may_name_the_links_file(links):
    """ONCEKV_LINKS is the default."""
    assert len(bind("kv-1", environment={"ONCEKV_LINKS": str(links)})) == 2


@pytest.mark.parametrize(
    "server",
    [
        "http://",
        "ftp://h",
        "http://h:1?x=1",
        "http://h:1#x",
        "http://h:99999",
        "http://h h",
        "x=ftp://h",
        "http://h:0",
        "http://h/p?x",
        "http://h/p?",
        "http://h/p#",
        "unix:///tmp/s",
        "http:///p",
        "http://.h/p",
        "http://user:secret@h",
        "kv=http://user:secret@h:1/p",
        "http://user@h:x",
    ],
)
def test_what_is_no_address_is_refused_where_it_is_given(server):
    """A wrong URL is named when the client is made, not by a failed call."""
    with pytest.raises(BindingError) as caught:
        bind(server)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_empty_list_of_links_is_refused():
    """A client without a link could only fail later."""
    with pytest.raises(BindingError, match="empty"):
        bind([])


def test_an_unknown_service_is_refused_with_those_that_are_known(links):
    """The message names the file and what it knows."""
    with pytest.raises(BindingError, match="it knows the servers: kv-1, kv-2"):
        bind("kv-9", links)
    with pytest.raises(BindingError, match="for client 'c9'"):
        bind("kv-1", links, client="c9")


def test_a_service_without_a_links_file_says_what_to_do():
    """The way out is in the message."""
    with pytest.raises(BindingError, match="ONCEKV_LINKS"):
        bind("kv-1", environment={})


@pytest.mark.parametrize("content", ["", "[]", "{}", "3", "[{}]", '[{"name": 1}]', '{"links": 3}'])
def test_a_file_of_another_form_is_refused(tmp_path, content):
    """A file that is not a links file is named as such."""
    path = tmp_path / "links.json"
    path.write_text(content)
    with pytest.raises(BindingError, match="is not a links file"):
        bind("kv-1", path)


def test_a_missing_links_file_is_refused(tmp_path):
    """A wrong path is one clear line."""
    with pytest.raises(BindingError, match="cannot read the links file"):
        bind("kv-1", tmp_path / "nowhere.json")
