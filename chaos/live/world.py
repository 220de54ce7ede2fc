"""The live world: clients, links, servers and a store, all real, put together so that everything they do is told.

    caller ──► client's end ──► Toxiproxy ──► server's end ──► oncekv serve ──► store

Guarantee: nothing of it outlives `close`. Limit: each client has one link to each server.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import requests

from chaos.live.callers import Caller
from chaos.live.effect_counts import EffectCounts
from chaos.live.journal import FORMAT, Journal
from chaos.live.link_ends import ClientEnd, ServerEnd
from chaos.live.links import LiveLink
from chaos.live.live_server import LiveServer
from chaos.live.messages import Messages
from chaos.live.options import Options
from chaos.live.pace import Pace
from chaos.live.stores_seen import StoresSeen
from chaos.net.replies import ReplySummary
from chaos.runtime import open_runtime
from chaos.runtime.base import Runtime, Server, Serving

__all__ = ["World"]

LOOK_S = 1.0
LOOKS_MAX_S = {"local": 0.05, "compose": 0.5}  # between two looks; to look at a container takes a process
ASK_MAX_S = 5.0
CALLERS_MAX_S = 10.0


class World:
    """From when it was made to `close`."""

    def __init__(self, options: Options, folder: Path, journal: Journal, about: dict[str, Any]) -> None:
        """Raises ToxiproxyMissing, ToxiproxyFailed, ServerError."""
        self.options, self.folder, self.journal = options, folder, journal
        self.semantics = options.semantics
        self.rate = options.rate
        self.is_death_planned = False
        self.about = about
        self._wake = threading.Event()
        self._is_closed = threading.Event()
        self._seen_at: dict[str, str] = {}
        self._stack = contextlib.ExitStack()
        try:
            self._build()
        except BaseException:
            self._stack.close()
            raise

    def announce(self) -> None:
        """Say what there is and how it stands: whoever reads from here on knows all of it."""
        self.journal.add(
            "world", format=FORMAT, run=self.journal.run, runtime=self.options.runtime, store=self.options.store,
            semantics=self.semantics, clients=sorted(self.callers), servers=list(self.servers),
            links=[{"id": one.id, "client": one.client, "server": one.server} for one in self.links.values()],
            pace={"mode": self.pace.mode, "travel_ms": self.pace.travel_ms}, opened=False, **self.about,
        )  # fmt: skip
        self._tell_counts(changed=False)
        self.tell_pace()
        self.effect_counts.tell()
        for records in self.stores.all_records:
            records.tell()

    def _tell_counts(self, *, changed: bool) -> None:
        """changed: only what has changed since it was told."""
        for server in self.servers.values():
            if server.is_changed or not changed:
                server.tell()
        for link in self.links.values():
            if link.is_changed or not changed:
                link.tell()

    def tell_pace(self) -> None:
        """The pace, and in step mode what moves next."""
        head = self.pace.head() if self.pace.mode == "step" and not self.pace.is_guided else None
        waiting = None if head is None else {"message": head.message, "what": head.what}
        self.journal.add(
            "pace", mode=self.pace.mode, travel_ms=self.pace.travel_ms, held=self.pace.is_held,
            guided=self.pace.is_guided, waiting=waiting,
        )  # fmt: skip

    def set_semantics(self, semantics: str) -> None:
        """Of calls that begin from now on."""
        self.semantics = semantics
        self.journal.add("semantics", semantics=semantics)

    def set_workload(self, *, running: bool) -> None:
        """Whether clients call by themselves."""
        self.journal.add("workload", state="running" if running else "stopped")
        for caller in self.callers.values():
            if running:
                caller.run()
            else:
                caller.stop()

    @property
    def is_running(self) -> bool:
        return any(caller.is_running for caller in self.callers.values())

    def do(self, server_id: str, doing: str) -> None:
        """Something to a server. Raises ServerError."""
        server = self.servers[server_id]
        if doing != "lose-disk":
            {"kill": server.kill, "pause": server.pause, "resume": server.resume, "restart": server.restart}[doing]()
        elif self.options.is_shared:
            server.restart(server.server.lose_data)
        else:
            server.restart(lambda: self.stores.lose(server, "lost with the disk"))
            self.effect_counts.touched_all()
        self._wake.set()

    def reset(self) -> None:
        """Empty stores (a shared one stays as it is), healthy links, servers up, counts of nothing, new sessions."""
        was_running = self.is_running
        self.set_workload(running=False)
        self.messages.lose_all("reset")
        for end in self.client_ends.values():
            end.drop_all()
        renewing = _begin_all(caller.renew for caller in self.callers.values())
        for link in self.links.values():
            link.set("open")
        for server in self.servers.values():
            if self.options.is_shared:
                server.restart()
            else:
                server.restart(functools.partial(self.stores.lose, server, "reset"))
            server.counts = dict.fromkeys(server.counts, 0)
        for link in self.links.values():
            link.counts = dict.fromkeys(link.counts, 0)
        _join_all(renewing)
        self._greet()
        self.effect_counts.forget()
        self.announce()
        self.set_workload(running=was_running)

    def send_copy(self, call: str) -> None:
        """An old request is sent once more. Raises LookupError when its bytes are not kept."""
        kept = self.messages.kept(call)
        if kept is None:
            raise LookupError(call)
        self.client_ends[kept.link.id].send_copy(kept)

    def ask(self, server_id: str, method: str, **params: Any) -> dict[str, Any]:
        """A call to a server itself, past all links; the whole reply. Raises OSError, ValueError."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        with requests.Session() as http:
            http.trust_env = False
            url = f"{self.servers[server_id].server.url}/rpc"
            found: dict[str, Any] = http.post(url, json=request, timeout=ASK_MAX_S).json()
        return found

    def close(self) -> None:
        """Nothing is left running."""
        self.journal.close()
        self._is_closed.set()
        self._wake.set()
        self.pace.close()  # a caller that began to wait just now would else hold everybody up
        self._end_callers()
        self._stack.close()

    def _end_callers(self) -> None:
        """All at once: each may have calls that a paused server does not answer."""
        for end in self.client_ends.values():
            end.drop_all()
        _join_all(_begin_all(caller.close for caller in self.callers.values()))

    def _build(self) -> None:
        options, stack = self.options, self._stack
        self.pace = Pace(options.travel_ms)
        self.pace.told = self.tell_pace
        self.messages = Messages(self.journal, self.pace)
        runtime = open_runtime(options.runtime, self.folder / "runtime", Serving(store=options.store))
        stack.callback(runtime.close)
        self.servers: dict[str, LiveServer] = {}
        first: Server | None = None
        for number in range(options.servers):
            server = runtime.server(self.folder / f"s{number}" / "data", "persisted", beside=first)
            stack.callback(server.release)
            stack.callback(server.kill)  # a paused one would take its time to end
            first = first or server if options.is_shared else None
            self.servers[f"s{number}"] = LiveServer(f"s{number}", server, self.journal, self._wake.set)
        self.stores = StoresSeen(self.servers, self.folder, self.journal, self.ask, options)
        self.effect_counts = EffectCounts(self.journal, self.stores.values, self._effect_seen)
        stack.callback(self.pace.close)
        self._build_links(runtime)
        self.callers = {name: self._caller(name) for name in self._names()}
        self._greet()
        self._thread = threading.Thread(target=self._look, name="live-look", daemon=True)
        self._thread.start()
        stack.callback(self._thread.join, 5.0)

    def _greet(self) -> None:
        for caller in self.callers.values():
            caller.greet()

    def _names(self) -> Sequence[str]:
        return [f"c{number}" for number in range(self.options.clients)]

    def _build_links(self, runtime: Runtime) -> None:
        self.links: dict[str, LiveLink] = {}
        self.client_ends: dict[str, ClientEnd] = {}
        for client in self._names():
            for server_id, server in self.servers.items():
                link_id = client if server_id == "s0" else f"{client}-{server_id}"
                link = self.links[link_id] = LiveLink(link_id, client, server_id, self.journal, self._wake.set)
                near = ServerEnd(link, server, self.messages, self._arrived, self._answered, runtime.here)
                self._stack.callback(near.close)
                link.link = runtime.link_here(f"live--{link_id}", near.port)
                self._stack.callback(link.link.remove)
                link.check()
                end = self.client_ends[link_id] = ClientEnd(link, link.link.url, self.messages)
                self._stack.callback(end.close)

    def _caller(self, name: str) -> Caller:
        ends = [end for link_id, end in self.client_ends.items() if self.links[link_id].client == name]
        by_url = {end.url: end for end in ends}

        def give_up(url: str, call: str, attempt: int) -> None:
            for near, end in by_url.items():
                if url.startswith(near):
                    end.give_up(call, attempt)

        caller = Caller(
            name, list(by_url), self.folder, self.journal, self.pace, self.effect_counts, give_up,
            lambda: self.semantics, lambda: self.rate,
        )  # fmt: skip
        self._stack.callback(caller.close)
        return caller

    def _arrived(self, server_id: str, call: str, body: bytes) -> None:
        self._seen_at[call] = server_id
        while len(self._seen_at) > 4_000:
            self._seen_at.pop(next(iter(self._seen_at)), None)
        self.servers[server_id].count_arrival()
        self.stores.records[server_id].arrived(call.rpartition("-")[0], call, body)
        self.effect_counts.touched(call)
        self._wake.set()

    def _answered(self, server_id: str, call: str, body: bytes, said: ReplySummary) -> None:
        self.servers[server_id].count_answer(said)
        self.stores.records[server_id].answered(body, said)
        self.effect_counts.touched(call)
        self._wake.set()

    def _effect_seen(self, call: str, more: int) -> None:
        self.servers[self._seen_at.get(call, "s0")].count_effects(more)

    def _look(self) -> None:
        """Into the stores whenever something may have changed there, and now and then anyway."""
        while not self._is_closed.is_set():
            self._wake.wait(LOOK_S)
            self._wake.clear()
            for server in self.servers.values():
                if server.look() and not self.is_death_planned:
                    self.journal.add("problem", text=f"{server.id} has died by itself; restart it")
            for records in self.stores.all_records:
                records.look()
            self.effect_counts.count()
            self._tell_counts(changed=True)
            self._is_closed.wait(LOOKS_MAX_S[self.options.runtime])


def _begin_all(works: Iterable[Callable[[], None]]) -> list[threading.Thread]:
    """Each in a thread of its own."""
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    return threads


def _join_all(threads: Iterable[threading.Thread]) -> None:
    for thread in threads:
        thread.join(CALLERS_MAX_S)
