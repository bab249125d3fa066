"""The schema at Supabase: bringing it up to date, and saying what is missing or unsafe.

The steps are the files of supabase/migrations, where Supabase's own command line finds them too;
both keep the same history, so that either may apply what the other has not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from database.errors import ConfigurationError, MigrationError, RecordMisconfigured
from database.supabase_client import SupabaseClient

FOLDER = Path(__file__).resolve().parents[1] / "supabase" / "migrations"
_CONNECT_SECONDS = 10
_LOCK = "select pg_advisory_xact_lock(hashtextextended('virtuous6 migrations', 0))"
"""For a transaction: a pooler may give each of ours another session."""
_HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
    version text not null primary key, statements text[], name text
);"""
_PREPARED = """
select count(*) from pg_roles where rolname in ('anon', 'authenticated', 'service_role')"""
_WITHOUT_URL = """Set SUPABASE_DB_URL to the project's connection string (Connect, at the top of the
dashboard; the session pooler's where IPv6 is not available) and run `virtuous6 db migrate` again,
or apply the files of {folder} yourself, in their order:
- with Supabase's command line: `supabase link`, then `supabase db push`;
- or paste them one by one into the SQL editor of the dashboard."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something unsafe: which rule, about what, and what to do."""

    rule: str
    place: str
    advice: str


@dataclass(frozen=True, slots=True)
class SchemaReport:
    """What `check` found; `version` is the last step the database has had, '' for none."""

    version: str
    missing: tuple[str, ...]
    newer: bool
    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.missing or self.newer or self.findings)


def steps() -> dict[str, str]:
    """Name -> SQL of every step, in the order in which they are applied."""
    return {file.stem: file.read_text(encoding="utf-8") for file in sorted(FOLDER.glob("*.sql"))}


async def migrate(database_url: str | None) -> list[str]:
    """Apply the steps that are missing, each in one transaction; their names.

    Raises ConfigurationError without a usable address, or where it is no Supabase database, and
    MigrationError when a step fails, which then has left nothing behind.
    """
    if not database_url:
        raise ConfigurationError(_WITHOUT_URL.format(folder=FOLDER))
    if not re.match(r"postgres(ql)?://", database_url):
        raise ConfigurationError("SUPABASE_DB_URL must begin with postgresql://.")
    try:
        connection = await psycopg.AsyncConnection.connect(
            database_url, autocommit=True, connect_timeout=_CONNECT_SECONDS, prepare_threshold=None
        )
    except psycopg.Error as error:
        raise ConfigurationError(
            f"The database of SUPABASE_DB_URL cannot be opened: {_without_password(error)}. Check "
            "the address, the password and the network."
        ) from None
    async with connection:
        return await _migrate(connection)


async def _migrate(connection: psycopg.AsyncConnection) -> list[str]:
    roles = await (await connection.execute(_PREPARED)).fetchone()
    if roles != (3,):
        raise ConfigurationError(
            "SUPABASE_DB_URL leads to a database that is not Supabase's: it lacks the roles anon, "
            "authenticated and service_role. Nothing was changed."
        )
    async with connection.transaction():
        await connection.execute(_LOCK)
        await connection.execute(_HISTORY)
    done = [name for name, sql in steps().items() if await _apply(connection, name, sql)]
    await connection.execute("notify pgrst, 'reload schema'")
    return done


async def _apply(connection: psycopg.AsyncConnection, name: str, sql: str) -> bool:
    """False when the database has had the step."""
    known = "select 1 from supabase_migrations.schema_migrations where version = %s"
    note = """insert into supabase_migrations.schema_migrations (version, statements, name)
        values (%s, %s, %s)"""
    try:
        async with connection.transaction():
            await connection.execute(_LOCK)
            found = await connection.execute(known, (_version(name),))
            if await found.fetchone() is not None:
                return False
            await connection.execute(sql.encode())
            values = (_version(name), [sql], name.partition("_")[2])
            await connection.execute(note, values)
    except psycopg.Error as error:
        raise MigrationError(
            f"Step {name} failed at Supabase: {error}. The step changed nothing; mend the cause "
            "and run `virtuous6 db migrate` again, or report this."
        ) from error
    return True


async def check(client: SupabaseClient) -> SchemaReport:
    """What the database behind a client lacks, and what is unsafe about it.

    Raises RecordAway and RecordMisconfigured (the key).
    """
    names = list(steps())
    try:
        version = str(await client.call("schema_version", read=True))
    except RecordMisconfigured as error:
        if "db migrate" not in str(error):
            raise
        return SchemaReport("", tuple(names), newer=False, findings=())
    if version not in names:
        return SchemaReport(version, (), newer=version > names[-1], findings=())
    missing = tuple(names[names.index(version) + 1 :])
    found: list[Mapping[str, str]] = []
    if not missing:
        found = await client.call("schema_findings", read=True)
    return SchemaReport(version, missing, False, tuple(Finding(**finding) for finding in found))


def _version(name: str) -> str:
    return name.partition("_")[0]


def _without_password(error: Exception) -> str:
    return re.sub(r"://[^@\s]*@", "://", str(error)).strip().rstrip(".")
