"""What is recorded: the databases, runs, figures."""
# ruff: noqa: PLC0415 (imports inside commands are measured: see virtuous6.py)

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from command_line.output import Json, configured, print_json, reported, say, table

if TYPE_CHECKING:
    from database.records import MetricsRow

db_app = typer.Typer(no_args_is_help=True, help="The database files.")
runs_app = typer.Typer(no_args_is_help=True, help="Recorded runs.")


@db_app.command("migrate")
def db_migrate(json: Json = False) -> None:
    """Bring the database files, and the database at Supabase, up to date."""
    with reported(json):
        from orchestrator import supabase
        from orchestrator.administration import migrate

        settings = configured()
        done = migrate(settings.home)
        there = asyncio.run(supabase.migrate(settings))
        if there is not None:
            done["Supabase"] = there
        if json:
            print_json({"applied": done})
        else:
            for path, steps in done.items():
                say(f"{path}: {', '.join(steps) if steps else 'up to date'}")


@db_app.command("check")
def db_check(json: Json = False) -> None:
    """Whether the databases are whole, up to date and safe; changes nothing."""
    with reported(json):
        from orchestrator import supabase
        from orchestrator.administration import check

        settings = configured()
        states = check(settings.home)
        there = asyncio.run(supabase.described(settings))
        fine = all(state.problem is None and not state.missing for state in states)
        fine = fine and (there is None or there["ok"])
        if json:
            files = [asdict(state) for state in states]
            print_json({"ok": fine, "files": files, "supabase": there})
        else:
            for state in states:
                behind = f"lacks {', '.join(state.missing)}: run `virtuous6 db migrate`"
                say(f"{state.file}: {state.problem or (behind if state.missing else 'ok')}")
            for problem in (there["problems"] or ["ok"]) if there else ():
                say(f"Supabase: {problem}")
        raise typer.Exit(0 if fine else 1)


@runs_app.command("import")
def runs_import(context: typer.Context, file: Path, json: Json = False) -> None:
    """Read recorded runs from a .jsonl or .jsonl.gz file; all of it, or nothing."""
    with reported(json):

        async def work() -> dict[str, Any]:
            from database.run_files import import_runs
            from orchestrator.administration import opened

            async with opened(configured(), context.obj.workspace) as store:
                return asdict(await import_runs(store, file))

        report = asyncio.run(work())
        if json:
            print_json(report)
        else:
            say(f"{report['added']} runs added, {report['known']} were known.")


@runs_app.command("export")
def runs_export(
    context: typer.Context,
    file: Path,
    user: Annotated[
        str | None, typer.Option(help="Only this person's, and beside it all else kept of them.")
    ] = None,
    json: Json = False,
) -> None:
    """Write recorded runs to a .jsonl or .jsonl.gz file."""
    with reported(json):

        async def work() -> dict[str, Any]:
            from database.learning import AuditEntry
            from database.person_files import export_person
            from database.run_files import export_runs
            from orchestrator.administration import opened
            from orchestrator.goal_admin import export_goals

            async with opened(configured(), context.obj.workspace) as store:
                lacks = {"only_there": (await store.health()).only_there}
                if user is None:
                    written = await export_runs(store, file)
                    await store.note(
                        AuditEntry("command line", "runs exported", "", {"runs": written})
                    )
                    return {"runs": written, **lacks}
                goals = file.with_name(f"{file.name.partition('.')[0]}.goals.jsonl")
                count = await export_goals(configured(), store.workspace, user, goals)
                done = asdict(await export_person(store, file, user))
                return done | lacks | {"goals": str(goals) if count else None}

        done = asyncio.run(work())
        if json:
            print_json({"file": str(file), **done})
            return
        say(f"{done['runs']} runs written to {file}.")
        if done["only_there"]:
            say(f"{done['only_there']} They are not in it: set SUPABASE_URL to export them.")
        if user is not None:
            say(f"Everything that is kept about {user} is in {done['everything']}:")
            table(("what", "count"), [(what, str(n)) for what, n in done["kept"].items()])
            if done["goals"]:
                say(f"Their goals are in {done['goals']}.")


@runs_app.command("forget")
def runs_forget(
    context: typer.Context,
    user: Annotated[str, typer.Option(help="The person to forget, by id.")],
    json: Json = False,
) -> None:
    """Forget everything that is kept of a person."""
    with reported(json):

        async def work() -> dict[str, Any]:
            from orchestrator.administration import forget

            return asdict(await forget(configured(), context.obj.workspace, user))

        report = asyncio.run(work())
        if json:
            print_json(report)
        else:
            found = [(k, str(n)) for k, n in report["rows"].items() if n]
            if found:
                say(f"Forgotten of {user}:")
                table(("what", "rows"), found)
            else:
                say(f"Nothing is kept of {user}: is that the id, such as U0123456789?")


def metrics(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How far to look back.")] = 7,
    json: Json = False,
) -> None:
    """Success, speed, cost and feedback."""
    with reported(json):

        async def work() -> Any:
            import time

            from database.records import RunQuery
            from orchestrator.administration import opened

            async with opened(configured(), context.obj.workspace) as store:
                query = RunQuery(since=time.time() - days * 86_400.0)
                return await store.metrics(query), await goal_scores(store, query)

        from orchestrator.administration import metrics_json
        from orchestrator.goal_figures import goal_scores

        found, goals = asyncio.run(work())
        if json:
            print_json({"days": days, **metrics_json(found), "goals": asdict(goals)})
        else:
            table(
                ("agent", "runs", "success", "p50", "p95", "tokens", "cost", "feedback"),
                [_metrics_cells(row) for row in (*found.by_agent, found.total)],
            )
            for more in filter(None, (found.behind.sentence(), goals.sentence(), found.note)):
                say(more)


def _metrics_cells(row: "MetricsRow") -> tuple[str, ...]:
    rate = row.success_rate
    unpriced = f" + {row.unpriced_runs} unpriced" if row.unpriced_runs else ""
    return (
        row.label,
        str(row.runs),
        f"{rate:.0%} of {row.judged}" if rate is not None else "not judged",
        _seconds(row.p50_ms),
        _seconds(row.p95_ms),
        f"{row.input_tokens + row.output_tokens:,}",
        "unknown" if row.unpriced_runs and not row.cost_usd else f"${row.cost_usd:.4f}{unpriced}",
        f"+{row.feedback_up} -{row.feedback_down}",
    )


def _seconds(ms: float | None) -> str:
    return "" if ms is None else f"{ms / 1000:.1f} s"
