"""What is on its way to Supabase."""
# ruff: noqa: PLC0415 (imports inside commands are measured: see virtuous6.py)

import asyncio
from dataclasses import asdict
from typing import Any

import typer

from command_line.output import Json, configured, print_json, reported, say, table

outbox_app = typer.Typer(no_args_is_help=True, help="What is on its way to Supabase.")


@outbox_app.command("list")
def outbox_list(context: typer.Context, json: Json = False) -> None:
    """How much waits, and what Supabase refused with its reason."""
    with reported(json):

        async def work() -> dict[str, Any]:
            from orchestrator.administration import opened

            async with opened(configured(), context.obj.workspace) as store:
                refused = [asdict(refusal) for refusal in store.outbox.refused()]
                return {**asdict(await store.health()), "refused_rows": refused}

        found = asyncio.run(work())
        if json:
            print_json(found)
            return
        if not found["supabase"]:
            say("Supabase is not configured: the record is the local file, see supabase/README.md.")
            return
        age = f", the oldest for {found['oldest_s']:.0f} s" if found["oldest_s"] else ""
        say(f"{found['waiting']:,} changes wait{age}; {found['refused']:,} were refused.")
        for warning in found["warnings"]:
            say(warning)
        if found["refused_rows"]:
            table(
                ("table", "key", "tries", "why"),
                [
                    (row["table"], ", ".join(map(str, row["key"])), str(row["tries"]),
                     row["problem"])
                    for row in found["refused_rows"]
                ],
            )  # fmt: skip


@outbox_app.command("retry")
def outbox_retry(context: typer.Context, json: Json = False) -> None:
    """Offer Supabase again what it refused."""
    with reported(json):

        async def work() -> int:
            from orchestrator.administration import opened

            async with opened(configured(), context.obj.workspace) as store:
                return store.outbox.retry()

        again = asyncio.run(work())
        if json:
            print_json({"again": again})
        else:
            say(f"{again:,} changes are offered again: see `virtuous6 outbox list`.")
