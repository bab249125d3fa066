"""The audit log: every decision, and whether anything was changed in it."""
# ruff: noqa: PLC0415 (imports inside commands are measured: see virtuous6.py)

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from command_line.output import Json, configured, print_json, reported, say, table

if TYPE_CHECKING:
    from database.learning import AuditEntry, AuditReport

audit_app = typer.Typer(no_args_is_help=True, help="Every decision, whoever made it.")


@audit_app.command("verify")
def audit_verify(context: typer.Context, json: Json = False) -> None:
    """Whether anything was changed in the audit log, added to it or taken from it."""
    with reported(json):

        async def work() -> "AuditReport":
            from orchestrator.administration import opened

            async with opened(configured(), context.obj.workspace) as store:
                return await store.audit_verify()

        report = asyncio.run(work())
        if json:
            broken = [{"seq": seq, "why": why} for seq, why in report.broken]
            print_json({"ok": report.whole, "entries": report.entries, "head": report.head,
                        "broken": broken})  # fmt: skip
        elif report.whole:
            say(f"The audit log is whole: {report.entries:,} entries.")
            if report.head:
                say(f"It ends with {report.head}: note that elsewhere to know it again later.")
        else:
            say(f"The audit log was changed: {len(report.broken):,} of {report.entries:,} entries")
            table(("entry", "what is wrong"), [(str(seq), why) for seq, why in report.broken])
        raise typer.Exit(0 if report.whole else 1)


@audit_app.command("list")
def audit_list(
    context: typer.Context,
    since: Annotated[int, typer.Option(min=0, help="Only entries behind this one.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="At most as many.")] = 1000,
    json: Json = False,
) -> None:
    """The entries, oldest first: who did what, when, and what it rests on."""
    with reported(json):

        async def work() -> "list[AuditEntry]":
            from orchestrator.administration import opened

            async with opened(configured(), context.obj.workspace) as store:
                return await store.audit(since, limit)

        entries = asyncio.run(work())
        if json:
            print_json({"entries": [asdict(entry) for entry in entries]})
        elif entries:
            table(("entry", "when (UTC)", "who", "what", "about", "details"), _rows(entries))
        else:
            say("Nothing was decided yet.")


def _rows(entries: "list[AuditEntry]") -> list[tuple[str, ...]]:
    return [
        (str(e.seq), f"{datetime.fromtimestamp(e.at, UTC):%Y-%m-%d %H:%M:%S}", e.actor, e.action,
         e.subject, _in_short(e.details))
        for e in entries
    ]  # fmt: skip


def _in_short(details: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in details.items() if value is not None)
