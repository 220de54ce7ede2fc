"""`oncekv call` from its command line to its exit code, over a real socket."""

import json
import re
import socket
import sys
from contextlib import closing
from types import SimpleNamespace

import pytest

from oncekv.cli import main
from oncekv.client import Semantics, Unknown
from oncerpc.client.api import command
from oncerpc.client.api.stub import Client

from .loopback import Loopback, ok, request_of
from .simulation import ModelServer


@pytest.fixture
def model():
    """What the server holds; `drops` replies are swallowed, `requests` were seen."""
    return SimpleNamespace(server=ModelServer(), drops=0, requests=[])


@pytest.fixture
def url(model):
    """The address of a server of our own."""

    def script(connection, number):
        while request := request_of(connection):
            head, _, body = request.partition(b"\r\n\r\n")
            headers = {"Idempotency-Key": re.findall(rb"(?i)idempotency-key: (\S+)", head)}
            model.requests.append(head)
            reply = model.server.handle(body, {name: str(found) for name, found in headers.items()})
            if b'"kv.' in body and model.drops:
                model.drops -= 1
                return
            connection.sendall(ok(reply))

    with Loopback(script) as server:
        yield server.url


@pytest.fixture
def nowhere():
    """An address where nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def call(capfd):
    """Runs the command: exit code, stdout, stderr."""

    def run(*words):
        try:
            code = main(["call", *map(str, words)])
        except SystemExit as exited:
            code = exited.code  # type: ignore[assignment]
        out, err = capfd.readouterr()
        return code, out, err

    return run


def test_a_result_is_json_on_stdout(call, url):
    """Exit 0, one line of JSON, nothing else on stdout and nothing on stderr."""
    code, out, err = call("kv.append", "key=k", "value=ü=x", "--server", url)
    assert (code, json.loads(out), err) == (0, {"version": 1, "offset": 0}, "")
    code, out, _ = call("kv.get", "--server", url, "key=k")
    assert (code, json.loads(out)) == (0, {"value": "ü=x", "version": 1})


def test_a_param_that_is_no_string_is_json(call, url):
    """The method says which they are: if_version is a number, value is a string even if it looks like one."""
    assert call("kv.put", "key=k", "value=7", "if_version=0", "--server", url)[0] == 0
    assert json.loads(call("kv.get", "key=k", "--server", url)[1])["value"] == "7"


def test_a_definite_error_is_exit_1(call, url):
    """The reason is one line on stderr."""
    code, out, err = call("kv.put", "key=k", "value=x", "if_version=4", "--server", url)
    assert (code, out) == (1, "")
    assert err.startswith("oncekv call: version_mismatch: ")
    assert err.count("\n") == 1


def test_a_server_that_is_not_there_is_a_definite_error(call, nowhere):
    """Nothing was sent, so nothing ran: exit 1, within the timeout."""
    code, _, err = call("kv.append", "key=k", "value=x", "--server", nowhere, "--timeout", "0.2")
    assert code == 1
    assert "unreachable" in err
    assert "connection refused" in err


def test_an_unknown_outcome_is_exit_3(call, url, model):
    """Nobody can tell whether it ran, and the attempts are listed."""
    model.drops = 1
    code, out, err = call("kv.append", "key=k", "value=x", "--server", url, "--semantics", "maybe")
    assert (code, out) == (3, "")
    assert "connection lost" in err


def test_a_lost_reply_is_made_good_by_default(call, url, model):
    """At-most-once is the default: the retry gets the first reply, and one effect is there."""
    model.drops = 1
    code, out, _ = call("kv.append", "key=k", "value=x", "--server", url)
    assert (code, json.loads(out)) == (0, {"version": 1, "offset": 0})
    assert model.server.effects == {"x": 1}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "required"),
        (["kv.get", "key=k"], "--server"),
        (["kv.get", "key", "--server", "http://h"], "not key=value"),
        (["kv.get", "=k", "--server", "http://h"], "not key=value"),
        (["kv.get", "key=k", "key=k", "--server", "http://h"], "twice"),
        (["kv.increment", "key=k", "by=many", "--server", "http://h"], "not JSON"),
        (["kv.get", "key=\udcff", "--server", "http://h"], "surrogates not allowed"),
        (["kv.get", "key=k", "--server", "ftp://h"], "not an http:// or https:// URL"),
        (["kv.get", "key=k", "--server", "kv-1"], "ONCEKV_LINKS"),
        (["kv.get", "key=k", "--server", "http://h/p?x=1"], "a query or a fragment"),
        (["kv.get", "key=k", "--server", "http://u:p@h"], "a user or a password"),
        (["kv.get", "key=k", "--server", "http://h", "--timeout", "0"], "above 0"),
        (["kv.get", "key=k", "--server", "http://h", "--timeout", "soon"], "--timeout"),
        (["kv.get", "key=k", "--server", "http://h", "--semantics", "twice"], "--semantics"),
        (["kv.get", "key=k", "--server", "http://h", "--semantics", "exactly-once"], "--session-file"),
        (["kv.get", "key=k", "--server", "http://h", "--token-file", "/nowhere"], "token file"),
        (["kv.get", "key=k", "--server", "http://h", "--bogus"], "--bogus"),
        (["kv.get", "key=k", "--server", "http://h", "--timeout", "abc"], "not a number of seconds"),
        (["kv.put", "key=k", "_meta={}", "--server", "http://h"], "_meta is the client's own"),
        (["kv.\udcff", "key=k", "--server", "http://h"], "surrogates not allowed"),
    ],
    ids=range(20),
)
def test_wrong_usage_is_one_line_and_exit_2(call, words, says, monkeypatch):
    """The line names what is wrong; nothing is sent."""
    monkeypatch.delenv("ONCEKV_LINKS", raising=False)
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["bogus"], ["--bogus"]])
def test_an_unknown_command_is_wrong_usage(words, capsys):
    """`oncekv` alone, or with a word that it does not know: one line and exit 2."""
    with pytest.raises(SystemExit) as exited:
        main(words)
    assert exited.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("words", [["--help"], ["call", "--help"], ["serve", "--help"], ["--version"]])
def test_help_teaches(words, capsys):
    """Each command's help has examples, and asking for it is no error."""
    with pytest.raises(SystemExit) as exited:
        main(words)
    assert exited.value.code == 0
    assert "oncekv" in capsys.readouterr().out


def test_an_outbox_that_cannot_be_used_is_a_definite_error(call, url, tmp_path):
    """Another program's file: one line, exit 1, and nothing was sent."""
    (tmp_path / "notes").write_text("not an outbox\n" * 99)
    code, _, err = call("kv.put", "key=k", "value=x", "--server", url, "--session-file", tmp_path / "notes")
    assert code == 1
    assert err.count("\n") == 1


def test_a_session_file_is_no_session_that_two_commands_share(call, url, model, tmp_path):
    """The next command is a new call each time, on a session of its own, and leaves none behind."""
    for _ in range(3):
        assert call("kv.append", "key=k", "value=x", "--server", url, "--session-file", tmp_path / "s")[0] == 0
    assert model.server.values["k"] == "xxx"
    assert (model.server._names, model.server._sessions) == (3, {})


def test_exactly_once_keeps_its_call_for_the_next_command(call, url, nowhere, model, tmp_path):
    """Exit 3 and kept while the server is away; the next command finishes it first, says so, and makes its own."""
    file = tmp_path / "s"
    exactly = ["--semantics", "exactly-once", "--session-file", file]
    code, _, err = call("kv.append", "key=k", "value=a", "--server", nowhere, *exactly, "--timeout", "0.2")
    assert code == 3
    assert "the outbox keeps the call" in err
    code, _, err = call("kv.append", "key=k", "value=b", "--server", nowhere, *exactly, "--timeout", "0.2")
    assert code == 3
    code, out, err = call("kv.get", "key=k", "--server", url, "--session-file", file)
    assert (code, json.loads(out)) == (0, {"value": "ab", "version": 2})
    assert err.splitlines() == [
        "oncekv call: first finishing what the session file holds",
        "oncekv call:   kv.append: ok",
        "oncekv call:   kv.append: ok",
    ]
    assert call("kv.append", "key=k", "value=b", "--server", url, *exactly)[0] == 0
    assert model.server.effects == {"a": 1, "b": 2}


def test_the_timeout_bounds_resuming_and_calling_together(monkeypatch):
    """What finishing the session file took is no longer there for the command's own call."""
    clock = iter([100.0, 103.5])
    monkeypatch.setattr(command, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    timeouts = []

    class Resuming:
        unanswered = 1

        def resume(self, timeout_s):
            timeouts.append(timeout_s)
            self.unanswered = 0
            return []

        def outcome(self, method, params, timeout_s):
            timeouts.append(timeout_s)
            return Unknown("late")

    assert command._call(Resuming(), "kv.get", {}, Semantics.AT_MOST_ONCE, 5.0) == 3  # type: ignore[arg-type]
    assert timeouts == [5.0, 1.5]


def test_no_call_overtakes_what_the_session_file_holds(call, url, nowhere, model, tmp_path):
    """While a call stays, exactly-once is kept behind it (exit 3), anything else is not sent (exit 1)."""
    file = tmp_path / "s"
    exactly = ["--semantics", "exactly-once", "--session-file", file]
    assert call("kv.append", "key=k", "value=a", "--server", nowhere, *exactly, "--timeout", "0.2")[0] == 3
    model.drops = 10_000
    code, _, err = call("kv.append", "key=k", "value=b", "--server", url, *exactly, "--timeout", "0.3")
    assert (code, "the outbox keeps the call" in err.splitlines()[-1]) == (3, True)
    for words in (["kv.append", "key=k", "value=c"], ["kv.get", "key=k", "--semantics", "exactly-once"]):
        code, out, err = call(*words, "--server", url, "--session-file", file, "--timeout", "0.3")
        assert (code, out) == (1, "")
        line = "oncekv call: not sent: the session file still holds 2 unanswered calls"
        assert err.splitlines()[-1] == line
    model.drops = 0
    assert json.loads(call("kv.get", "key=k", "--server", url, "--session-file", file)[1])["value"] == "ab"


@pytest.mark.parametrize("stdout", [None, "/dev/full"])
def test_a_result_that_cannot_be_printed_is_unknown(call, url, model, monkeypatch, stdout):
    """The effect is there, so exit 1 would be a lie: one line and exit 3."""
    with open(stdout or "/dev/null", "w") as file:  # None or a device
        monkeypatch.setattr(sys, "stdout", file if stdout else None)
        code, _, err = call("kv.append", "key=k", "value=x", "--server", url)
    assert (code, err.count("\n"), model.server.effects) == (3, 1, {"x": 1})
    assert "cannot be printed" in err


@pytest.mark.parametrize(("method", "expected"), [("outcome", 3), ("__enter__", 1), ("close", 0)])
def test_an_unexpected_exception_is_one_line_and_the_right_exit_code(call, url, monkeypatch, method, expected):
    """Before the call 1, once it may have been sent 3, after its end what it came to; a traceback never."""

    def bug(*_, **__):
        raise RuntimeError("a\nbug")

    monkeypatch.setattr(Client, method, bug)
    code, _, err = call("kv.append", "key=k", "value=x", "--server", url)
    assert (code, err.count("\n")) == (expected, 1)
    assert "RuntimeError: a bug" in err


def test_the_token_of_the_file_goes_with_the_call(call, url, model, tmp_path):
    """The first line that is not empty is the token; a file without one, or with none for a header, is wrong usage."""
    (tmp_path / "t").write_text("\n  sesame \nother\n")
    assert call("kv.get", "key=k", "--server", url, "--token-file", tmp_path / "t")[0] == 0
    assert b"Authorization: Bearer sesame" in model.requests[0]
    for wrong in ("\n", "na\u00efve\n"):
        (tmp_path / "t").write_text(wrong)
        code, _, err = call("kv.get", "key=k", "--server", url, "--token-file", tmp_path / "t")
        assert (code, err.count("\n")) == (2, 1)


def test_several_servers_are_several_links(call, url, nowhere):
    """A retry moves on to the next --server."""
    code, _, _ = call("kv.append", "key=k", "value=x", "--server", nowhere, "--server", f"second={url}")
    assert code == 0


@pytest.mark.parametrize("semantics", ["at-most-once", "exactly-once"])
def test_an_interrupted_command_says_what_is_known(call, url, tmp_path, monkeypatch, semantics):
    """Ctrl-C is exit 130, and whether the call is kept stands on stderr."""

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_call", interrupted)
    words = ["kv.put", "key=k", "value=x", "--server", url, "--semantics", semantics, "--session-file", tmp_path / "s"]
    code, _, err = call(*words)
    assert code == 130
    assert ("keeps the call" in err) == (semantics == "exactly-once")


def test_serving_needs_no_client_and_calling_no_server(monkeypatch, capsys):
    """Each command imports only its own half until it needs the other."""
    for name in [name for name in sys.modules if name.startswith(("oncekv.server", "oncekv.kv.methods"))]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SystemExit):
        main(["call", "--help"])
    assert "oncekv.kv.methods" not in sys.modules
