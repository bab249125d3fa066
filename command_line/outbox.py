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
            for words in filter(None, (*found["warnings"], found["only_there"])):
                say(words)
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


@outbox_app.command("off")
def outbox_off(context: typer.Context, json: Json = False) -> None:
    """Keep nothing more for Supabase, where it is not configured any more."""
    with reported(json):

        async def work() -> tuple[int, str]:
            from orchestrator.administration import opened

            async with opened(configured(), context.obj.workspace) as store:
                return store.stop_sending(), (await store.health()).only_there

        dropped, only_there = asyncio.run(work())
        if json:
            print_json({"dropped": dropped, "only_there": only_there})
            return
        say(
            f"Nothing waits for Supabase any more ({dropped:,} changes did). What it has stays "
            "there; everything goes on being kept here. When it is configured again, what changed "
            "meanwhile is sent."
        )
        if only_there:
            say(only_there)
