"""What the command line does to the record, without an assistant running."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from agents.definition import (
    AgentDefinition,
    DefinitionError,
    parse_definition,
    shipped_definitions,
)
from database import migrations
from database.coordination import Coordination
from database.engine import ENGINE, Engine
from database.errors import ConfigurationError, InputError, UnknownName
from database.installations import InstallationRows
from database.records import Document, ForgetReport, Metrics, MetricsRow
from database.store import RECORD, Store
from goals.ledger import Ledger
from orchestrator import supabase
from orchestrator.agent_pool import register_shipped
from orchestrator.own_data import OwnData
from orchestrator.settings import Settings

FIRST_WORKSPACE = "T0VIRTUOUS"
"""Where there is no workspace yet: the demo's, so that what is imported shows there."""

_FILES: tuple[tuple[migrations.Family, str], ...] = (("record", RECORD), ("engine", ENGINE))


@dataclass(frozen=True, slots=True)
class FileState:
    """A database file: the steps it has had, those it lacks, and what is wrong with it."""

    file: str
    applied: list[str]
    missing: list[str]
    problem: str | None = None


@asynccontextmanager
async def opened(settings: Settings, workspace: str | None) -> AsyncIterator[Store]:
    """The store of one workspace: the named one, or else the only one there is.

    Raises ConfigurationError when there are several and none is named.
    """
    async with supabase.connected(settings) as client:
        store = Store.open(settings.home, workspace or only_workspace(settings.home), client)
        try:
            yield store
        finally:
            await store.close()


def migrate(home: Path) -> dict[str, list[str]]:
    """Bring every database file up to date, making those that are not there; steps by file."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    done: dict[str, list[str]] = {}
    for family, name in _FILES:
        path = home / name
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            done[str(path)] = migrations.migrate(connection, family, path)
    return done


def check(home: Path) -> list[FileState]:
    """Whether each database file is whole and up to date; changes nothing."""
    return [_checked(home / name, family) for family, name in _FILES]


def describe_record(home: Path) -> str:
    """One line on the database. Raises ValueError that says what is wrong."""
    states = check(home)
    wrong = [state.problem for state in states if state.problem]
    if wrong:
        raise ValueError(wrong[0])
    if not (home / RECORD).is_file():
        return f"none yet; it will be made in {home}"
    behind = any(state.missing for state in states if state.applied)
    return f"{home / RECORD}, {'will be migrated at the next start' if behind else 'up to date'}"


async def forget(settings: Settings, workspace: str | None, user_id: str) -> ForgetReport:
    """Forget a person everywhere: in the record, and in what is still under way."""
    async with opened(settings, workspace) as store:
        secret = settings.virtuous6_secret_key
        key = secret.get_secret_value() if secret else None
        engine = Engine.open(settings.home, key)
        ledger = Ledger.open(settings.home, settings.engine_url, key)
        try:
            under_way = Coordination(engine, store.workspace)
            goals = ledger.of(store.workspace)
            own = OwnData(store, under_way, InstallationRows(engine), goals=goals)
            return await own.forget(user_id)
        finally:
            await ledger.close()
            await engine.close()


async def agents(store: Store) -> list[Document]:
    """The active version of every agent, what is shipped included."""
    await register_shipped(store, shipped_definitions())
    return await store.documents("agent")


async def agent(store: Store, name: str) -> tuple[Document, list[Document]]:
    """An agent's active version, and all of them, oldest first. Raises UnknownName."""
    documents = {document.name: document for document in await agents(store)}
    if name not in documents:
        raise UnknownName(f"There is no agent called {name}. See `virtuous6 agents list`.")
    return documents[name], await store.history("agent", name)


async def export_agents(store: Store, folder: Path) -> list[Path]:
    """Write every active agent as `NAME.yaml` into a folder, for Git; returns the files.

    Raises InputError when the folder cannot be written.
    """
    return _written(await agents(store), folder)


def specialty(document: Document) -> str:
    """What an agent is for, in a line."""
    return str(document.body.get("specialty", ""))


def metrics_json(metrics: Metrics) -> dict[str, Any]:
    """The figures as JSON, rates included."""

    def row(row: MetricsRow) -> dict[str, Any]:
        rates = {"success_rate": row.success_rate, "satisfaction": row.satisfaction}
        return asdict(row) | rates

    return {
        "total": row(metrics.total),
        "by_agent": [row(r) for r in metrics.by_agent],
        "by_day": [row(r) for r in metrics.by_day],
        "behind": asdict(metrics.behind),
        "note": metrics.note,
    }


def only_workspace(home: Path) -> str:
    """The one that is there, or the first there will be. Raises ConfigurationError for several."""
    known = Store.workspaces(home)
    if len(known) > 1:
        raise ConfigurationError(
            f"There are several workspaces ({', '.join(known)}): name one with --workspace."
        )
    return known[0] if known else FIRST_WORKSPACE


def _checked(path: Path, family: migrations.Family) -> FileState:
    known = list(migrations.steps(family))
    if not path.is_file():
        return FileState(str(path), [], known)
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            applied = migrations.applied(connection)
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return FileState(
            str(path), [], known, f"{path} cannot be read ({error}): put back a copy of it."
        )
    unknown = [name for name in applied if name not in known]
    problem = None
    if verdict != "ok":
        problem = f"{path} is damaged ({verdict}): put back a copy of it."
    elif unknown:
        problem = f"{path} was written by a newer version (step {unknown[-1]}): update first."
    return FileState(str(path), applied, [n for n in known if n not in applied], problem)


def _written(documents: Sequence[Document], folder: Path) -> list[Path]:
    files = [folder / f"{document.name}.yaml" for document in documents]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, document in zip(files, documents, strict=True):
            file.write_text(as_yaml(document), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}. Name another.") from None
    return files


def as_yaml(document: Document) -> str:
    """The document as a person would write it: those left at their default out, prompts as text."""
    return yaml.dump(
        _ordered(document), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100
    )


class _Plain(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _block(dumper: _Plain, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Plain.add_representer(str, _block)


def _ordered(document: Document) -> dict[str, Any]:
    try:
        definition = parse_definition(document.body, f"agent {document.name}")
    except DefinitionError:
        return dict(document.body)
    body = definition.model_dump(mode="json", exclude_defaults=True)
    return {key: body[key] for key in AgentDefinition.model_fields if key in body}
