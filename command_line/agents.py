"""What answers and what may be: agents and policy."""
# ruff: noqa: PLC0415 (imports inside commands are measured: see virtuous6.py)

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from command_line.output import Json, configured, print_json, reported, say, table

if TYPE_CHECKING:
    from database.records import Document

agents_app = typer.Typer(no_args_is_help=True, help="The agents there are.")
policy_app = typer.Typer(no_args_is_help=True, help="Limits and switches, decided by approvers.")


@agents_app.command("list")
def agents_list(context: typer.Context, json: Json = False) -> None:
    """Every agent, with the version that answers."""
    with reported(json):

        async def work() -> list[dict[str, Any]]:
            from orchestrator.administration import agents, opened, specialty

            async with opened(configured(), context.obj.workspace) as store:
                return [
                    {"name": d.name, "version": d.version, "number": d.number,
                     "origin": d.origin, "specialty": specialty(d)}
                    for d in await agents(store)
                ]  # fmt: skip

        rows = asyncio.run(work())
        if json:
            print_json({"agents": rows})
        else:
            table(
                ("agent", "version", "origin", "specialty"),
                [(r["name"], f"{r['number']} ({r['version'][:8]})", r["origin"], r["specialty"])
                 for r in rows],
            )  # fmt: skip


@agents_app.command("show")
def agents_show(context: typer.Context, name: str, json: Json = False) -> None:
    """One agent as it answers now."""
    with reported(json):
        from orchestrator.administration import as_yaml

        document, _ = asyncio.run(_one_agent(context, name))
        if json:
            print_json(asdict(document))
        else:
            say(as_yaml(document).rstrip())


@agents_app.command("history")
def agents_history(context: typer.Context, name: str, json: Json = False) -> None:
    """Every version of an agent, oldest first."""
    with reported(json):
        _, history = asyncio.run(_one_agent(context, name))
        if json:
            print_json({"name": name, "versions": [asdict(d) for d in history]})
        else:
            table(
                ("number", "version", "active", "origin", "author", "reason"),
                [
                    (str(d.number), d.version, "yes" if d.active else "", d.origin,
                     d.author or "", d.reason or "")
                    for d in history
                ],
            )  # fmt: skip


@agents_app.command("export")
def agents_export(context: typer.Context, folder: Path, json: Json = False) -> None:
    """Write every active agent as YAML into a folder, for Git."""
    with reported(json):

        async def work() -> list[Path]:
            from orchestrator.administration import export_agents, opened

            async with opened(configured(), context.obj.workspace) as store:
                return await export_agents(store, folder)

        files = asyncio.run(work())
        if json:
            print_json({"files": [str(file) for file in files]})
        else:
            say(f"{len(files)} agents written to {folder}.")


@policy_app.command("show")
def policy_show(context: typer.Context, json: Json = False) -> None:
    """Every limit and switch as it counts now, and who decided it."""
    with reported(json):

        async def work() -> dict[str, Any]:
            from orchestrator.administration import opened
            from orchestrator.policy import Policy

            async with opened(configured(), context.obj.workspace) as store:
                policy = Policy(store.policy)
                return {
                    "policy": [asdict(setting) for setting in policy.settings()],
                    "history": [asdict(change) for change in policy.history()],
                }

        found = asyncio.run(work())
        if json:
            print_json(found)
        else:
            table(
                ("policy", "value", "default", "set by", "what it is"),
                [(s["key"], s["value"], s["default"], s["set_by"], s["about"])
                 for s in found["policy"]],
            )  # fmt: skip


@policy_app.command("set")
def policy_set(context: typer.Context, key: str, value: str, json: Json = False) -> None:
    """Decide a limit or switch; the value `default` takes it back. Running assistants follow."""
    with reported(json):

        async def work() -> dict[str, Any]:
            from orchestrator.administration import opened
            from orchestrator.policy import COMMAND_LINE, Policy

            async with opened(configured(), context.obj.workspace) as store:
                by = context.obj.acting or COMMAND_LINE
                return asdict(await Policy(store.policy).set(key, value, by))

        setting = asyncio.run(work())
        if json:
            print_json(setting)
        else:
            say(f"{setting['key']} is {setting['value']} now (default {setting['default']}).")


async def _one_agent(context: typer.Context, name: str) -> "tuple[Document, list[Document]]":
    from orchestrator.administration import agent, opened

    async with opened(configured(), context.obj.workspace) as store:
        return await agent(store, name)
