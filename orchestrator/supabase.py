"""Supabase where it is configured: the client, its schema, and what a person should know of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from database.errors import ConfigurationError, VirtuousError
from database.records import RecordHealth
from database.store import Store
from orchestrator.settings import Settings

# Supabase's library and Postgres's take 0.6 s to import: only where they are used.
if TYPE_CHECKING:
    from database.supabase_client import SupabaseClient
    from database.supabase_schema import SchemaReport


def is_configured(settings: Settings) -> bool:
    """Whether the record is to be at Supabase. Raises ConfigurationError for half of it."""
    if (settings.supabase_url is None) == (settings.supabase_service_role_key is None):
        return settings.supabase_url is not None
    has, lacks = "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"
    if settings.supabase_url is None:
        has, lacks = lacks, has
    raise ConfigurationError(
        f"{has} is set but {lacks} is not: set both to keep the record at Supabase, or neither."
    )


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator["SupabaseClient | None"]:
    """The client of the configured project; None where the record is the local file."""
    if not is_configured(settings):
        yield None
        return
    from database.supabase_client import SupabaseClient  # noqa: PLC0415

    key = settings.supabase_service_role_key
    client = SupabaseClient(settings.supabase_url or "", key.get_secret_value() if key else "")
    try:
        yield client
    finally:
        await client.close()


async def migrate(settings: Settings) -> list[str] | None:
    """Apply the steps that Supabase lacks; their names, or None where it is not configured.

    Raises ConfigurationError that says how, where something is lacking and SUPABASE_DB_URL is not
    set.
    """
    address = settings.supabase_db_url
    if address is None:
        report = await check(settings)
        if report is None or not report.missing:
            return None if report is None else []
    from database import supabase_schema  # noqa: PLC0415

    return await supabase_schema.migrate(address.get_secret_value() if address else None)


async def check(settings: Settings) -> "SchemaReport | None":
    """What Supabase's database lacks, and what is unsafe about it; None without Supabase.

    Raises RecordAway and RecordMisconfigured.
    """
    async with connected(settings) as client:
        if client is None:
            return None
        from database import supabase_schema  # noqa: PLC0415

        return await supabase_schema.check(client)


def sentences(report: "SchemaReport") -> list[str]:
    """What a person should do; nothing where all is well."""
    found = [f"{f.rule}: {f.place}. {f.advice[0].upper()}{f.advice[1:]}." for f in report.findings]
    if report.missing:
        found.append(f"lacks {', '.join(report.missing)}: run `virtuous6 db migrate`")
    if report.newer:
        found.append(f"was brought to {report.version} by a newer version: update this program")
    return found


async def states(settings: Settings) -> dict[str, RecordHealth]:
    """How far each workspace's home and Supabase are apart; asks nothing of Supabase."""
    found = {}
    async with connected(settings) as client:
        for workspace in Store.workspaces(settings.home):
            store = Store.open(settings.home, workspace, client)
            try:
                found[workspace] = await store.health()
            finally:
                await store.close()
    return found


async def described(settings: Settings) -> dict[str, Any] | None:
    """The check as JSON, whatever becomes of it; None without Supabase."""
    try:
        report = await check(settings)
    except VirtuousError as error:
        return {"ok": False, "version": None, "problems": [str(error)]}
    if report is None:
        return None
    return {"ok": report.good, "version": report.version, "problems": sentences(report)}
