"""The key/value server: appends, increments, transactions and reads, each scenario with its own generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chaos.evidence import Row, StoreRecord
from chaos.scenarios.base import AT_LEAST_ONCE, AT_MOST_ONCE, EXACTLY_ONCE, MAYBE, MEMORY, Scenario
from chaos.services.base import Ask, Column, Service
from chaos.workload.clients import ClientPlan, open_client
from chaos.workload.generators.base import Generator
from oncekv.client import Client, History

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

__all__ = ["SERVICE"]

COLUMNS = (
    Column(MAYBE, MAYBE),
    Column(AT_LEAST_ONCE, AT_LEAST_ONCE),
    Column(MEMORY, AT_MOST_ONCE, "memory"),
    Column(AT_MOST_ONCE, AT_MOST_ONCE),
    Column(EXACTLY_ONCE, EXACTLY_ONCE),
)


class KvProbe:
    """Puts; `kv.list` reads, which no workload calls."""

    refusal = "version_mismatch"

    def leads_to(self, env: Environment, server_url: str, url: str) -> bool:
        return bool(env.ask_at(url, "server.info")["boot"] == env.ask_at(server_url, "server.info")["boot"])

    def fine(self, key: str, text: str) -> Ask:
        return "kv.put", {"key": key, "value": text}

    def is_written_once(self, env: Environment, key: str, text: str) -> str | None:
        found = env.ask_at(env.links[0].url, "kv.list", prefix=key, limit=1)["items"]
        return None if found == [{"key": key, "value": text, "version": 1}] else str(found)

    def refused(self, key: str) -> Ask:
        return "kv.put", {"key": key, "value": "conditional", "if_version": 1}

    def allow(self, key: str) -> Ask:
        return "kv.put", {"key": key, "value": "now the condition would hold"}


def generator(scenario: Scenario) -> Generator:
    """The scenario's own."""
    return scenario.generator()


def prepare(env: Environment, generator: Generator, history: History) -> None:
    """Put what there is before the first call."""
    for key, value in generator.initial.items():
        history.invoke("setup", "put", key, value).ok(value, version=env.ask("kv.put", key=key, value=value)["version"])


def dump(env: Environment) -> StoreRecord:
    """All keys, read from the store through the server, page by page."""
    found: dict[str, Row] = {}
    after: str | None = ""
    while after is not None:
        page: dict[str, Any] = env.ask("kv.list", limit=1000, after=after)
        found.update({item["key"]: Row(item["value"], item["version"]) for item in page["items"]})
        after = page["next"]
    return StoreRecord(env.ask("server.info")["boot"], found)


def client(plan: ClientPlan, _column: Column) -> Client:
    """One client for all columns."""
    return open_client(plan)


SERVICE = Service(
    name="kv",
    columns=COLUMNS,
    counted=("kv.append", "kv.increment", "kv.get", "kv.txn"),
    probe=KvProbe(),
    generator=generator,
    prepare=prepare,
    dump=dump,
    client=client,
)
