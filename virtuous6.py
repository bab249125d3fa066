"""The front door: the command line, parsing and printing only.

The imports inside the commands are measured: `--help` takes 0.2 s with them and 3 s without, as
langchain, openai and slack_bolt are slow to load. `doctor` needs none of these either.
"""
# ruff: noqa: PLC0415

import asyncio
import json as json_module
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from database.errors import ConfigurationError, VirtuousError

if TYPE_CHECKING:
    from database.records import Document, MetricsRow
    from orchestrator.settings import Settings

T = TypeVar("T")


class Weights(StrEnum):
    """The embedded models there are."""

    small = "small"
    tiny = "tiny"


class DemoModel(StrEnum):
    """What answers in the demo."""

    small = "small"
    tiny = "tiny"
    none = "none"


class Mode(StrEnum):
    """How Slack's events come in."""

    socket = "socket"
    http = "http"


@dataclass(frozen=True, slots=True)
class Global:
    """The options that stand before the command."""

    workspace: str | None
    acting: str | None


app = typer.Typer(
    name="virtuous6",
    help="An assistant for Slack that answers with specialists it creates itself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
model_app = typer.Typer(no_args_is_help=True, help="Weights of the embedded model.")
db_app = typer.Typer(no_args_is_help=True, help="The database files.")
runs_app = typer.Typer(no_args_is_help=True, help="Recorded runs.")
agents_app = typer.Typer(no_args_is_help=True, help="The agents there are.")
policy_app = typer.Typer(no_args_is_help=True, help="Limits and switches, decided by approvers.")
for name, group in (
    ("model", model_app), ("db", db_app), ("runs", runs_app), ("agents", agents_app),
    ("policy", policy_app),
):  # fmt: skip
    app.add_typer(group, name=name)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.callback()
def everywhere(
    context: typer.Context,
    workspace: Annotated[
        str | None, typer.Option("--workspace", metavar="ID", help="Needed when there are several.")
    ] = None,
    acting: Annotated[
        str | None, typer.Option("--as", metavar="USER", help="Who acts, for decisions.")
    ] = None,
) -> None:
    """An assistant for Slack that answers with specialists it creates itself."""
    context.obj = Global(workspace, acting)


@app.command()
def demo(
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Default 3456.")] = None,
    model: Annotated[DemoModel, typer.Option(help="The embedded model.")] = DemoModel.small,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address.")
    ] = False,
) -> None:
    """A local workspace with the assistant in it, in your browser."""
    with _reported():
        _logging(logging.WARNING)
        settings = _settings()
        _say("Setting up ...")
        if settings.embedded and model is not DemoModel.none:
            _pull(model.value, settings.models_dir)
        from bootstrap import demo as run

        asyncio.run(run(settings, port=port, model=model.value, browser=not no_browser, say=_say))


@app.command()
def serve(
    mode: Annotated[
        Mode,
        typer.Option(help="Socket Mode needs no public address; HTTP needs SLACK_SIGNING_SECRET."),
    ] = Mode.socket,
    host: Annotated[
        str | None, typer.Option(help="Where HTTP is served; only this machine by default.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Default 3000; in Socket Mode serves health, none by default."
        ),
    ] = None,
) -> None:
    """The assistant in the workspace that the environment names."""
    with _reported():
        _logging(logging.INFO)
        settings = _settings()
        from bootstrap import serve as run

        asyncio.run(run(settings, _say, mode=mode.value, host=host, port=port))


@app.command()
def doctor(json: Json = False) -> None:
    """What is configured, what can be reached, what is missing and how to get it."""
    with _reported(json):
        from orchestrator.administration import describe_record
        from orchestrator.health import examine, ready

        checks = asyncio.run(examine(_settings(), describe_record))
        is_ready = ready(checks)
        if json:
            _print_json({"ready": is_ready, "checks": [asdict(check) for check in checks]})
        else:
            for check in checks:
                _say(f"{check.status:8} {check.name:12} {check.detail}")
                if check.advice:
                    _say(f"{'':21} {check.advice}")
        raise typer.Exit(0 if is_ready else 1)


@model_app.command("pull")
def model_pull(
    name: Annotated[Weights, typer.Argument(help="small answers well, tiny is quick.")] = (
        Weights.small
    ),
) -> None:
    """Fetch weights, verify them, go on where a broken download stopped."""
    with _reported():
        settings = _settings()
        _say(f"Model {name.value}: {_pull(name.value, settings.models_dir)}")


@model_app.command("list")
def model_list(json: Json = False) -> None:
    """Which weights there are, and which are installed."""
    with _reported(json):
        from agents.catalogue import CATALOGUE
        from agents.weights import installed

        folder = _settings().models_dir
        there = installed(folder)
        rows: list[dict[str, Any]] = [
            {"name": name, "bytes": weights.size, "installed": name in there}
            for name, weights in CATALOGUE.items()
        ]
        if json:
            _print_json({"folder": str(folder), "models": rows})
        else:
            _table(
                ("model", "size", "installed"),
                [
                    (
                        str(r["name"]),
                        f"{r['bytes'] / 1e6:,.0f} MB",
                        "yes" if r["installed"] else "no",
                    )
                    for r in rows
                ],
            )


@db_app.command("migrate")
def db_migrate(json: Json = False) -> None:
    """Bring the database files, and the database at Supabase, up to date."""
    with _reported(json):
        from orchestrator import supabase
        from orchestrator.administration import migrate

        settings = _settings()
        done = migrate(settings.home)
        there = asyncio.run(supabase.migrate(settings))
        if there is not None:
            done["Supabase"] = there
        if json:
            _print_json({"applied": done})
        else:
            for path, steps in done.items():
                _say(f"{path}: {', '.join(steps) if steps else 'up to date'}")


@db_app.command("check")
def db_check(json: Json = False) -> None:
    """Whether the databases are whole, up to date and safe; changes nothing."""
    with _reported(json):
        from orchestrator import supabase
        from orchestrator.administration import check

        settings = _settings()
        states = check(settings.home)
        there = asyncio.run(supabase.described(settings))
        fine = all(state.problem is None and not state.missing for state in states)
        fine = fine and (there is None or there["ok"])
        if json:
            files = [asdict(state) for state in states]
            _print_json({"ok": fine, "files": files, "supabase": there})
        else:
            for state in states:
                behind = f"lacks {', '.join(state.missing)}: run `virtuous6 db migrate`"
                _say(f"{state.file}: {state.problem or (behind if state.missing else 'ok')}")
            for problem in (there["problems"] or ["ok"]) if there else ():
                _say(f"Supabase: {problem}")
        raise typer.Exit(0 if fine else 1)


@runs_app.command("import")
def runs_import(context: typer.Context, file: Path, json: Json = False) -> None:
    """Read recorded runs from a .jsonl or .jsonl.gz file; all of it, or nothing."""
    with _reported(json):

        async def work() -> dict[str, Any]:
            from database.run_files import import_runs
            from orchestrator.administration import opened

            async with opened(_settings(), context.obj.workspace) as store:
                return asdict(await import_runs(store, file))

        report = asyncio.run(work())
        if json:
            _print_json(report)
        else:
            _say(f"{report['added']} runs added, {report['known']} were known.")


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
    with _reported(json):

        async def work() -> dict[str, Any]:
            from database.person_files import export_person
            from database.run_files import export_runs
            from orchestrator.administration import opened

            async with opened(_settings(), context.obj.workspace) as store:
                if user is None:
                    return {"runs": await export_runs(store, file)}
                return asdict(await export_person(store, file, user))

        done = asyncio.run(work())
        if json:
            _print_json({"file": str(file), **done})
            return
        _say(f"{done['runs']} runs written to {file}.")
        if user is not None:
            _say(f"Everything that is kept about {user} is in {done['everything']}:")
            _table(("what", "count"), [(what, str(n)) for what, n in done["kept"].items()])


@runs_app.command("forget")
def runs_forget(
    context: typer.Context,
    user: Annotated[str, typer.Option(help="The person to forget, by id.")],
    json: Json = False,
) -> None:
    """Forget everything that is kept of a person."""
    with _reported(json):

        async def work() -> dict[str, Any]:
            from orchestrator.administration import forget

            return asdict(await forget(_settings(), context.obj.workspace, user))

        report = asyncio.run(work())
        if json:
            _print_json(report)
        else:
            found = [(k, str(n)) for k, n in report["rows"].items() if n]
            if found:
                _say(f"Forgotten of {user}:")
                _table(("what", "rows"), found)
            else:
                _say(f"Nothing is kept of {user}: is that the id, such as U0123456789?")


@app.command()
def metrics(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How far to look back.")] = 7,
    json: Json = False,
) -> None:
    """Success, speed, cost and feedback."""
    with _reported(json):

        async def work() -> Any:
            import time

            from database.records import RunQuery
            from orchestrator.administration import opened

            async with opened(_settings(), context.obj.workspace) as store:
                return await store.metrics(RunQuery(since=time.time() - days * 86_400.0))

        from orchestrator.administration import metrics_json

        found = asyncio.run(work())
        if json:
            _print_json({"days": days, **metrics_json(found)})
        else:
            _table(
                ("agent", "runs", "success", "p50", "p95", "tokens", "cost", "feedback"),
                [_metrics_cells(row) for row in (*found.by_agent, found.total)],
            )
            for more in filter(None, (found.behind.sentence(), found.note)):
                _say(more)


@agents_app.command("list")
def agents_list(context: typer.Context, json: Json = False) -> None:
    """Every agent, with the version that answers."""
    with _reported(json):

        async def work() -> list[dict[str, Any]]:
            from orchestrator.administration import agents, opened, specialty

            async with opened(_settings(), context.obj.workspace) as store:
                return [
                    {"name": d.name, "version": d.version, "number": d.number,
                     "origin": d.origin, "specialty": specialty(d)}
                    for d in await agents(store)
                ]  # fmt: skip

        rows = asyncio.run(work())
        if json:
            _print_json({"agents": rows})
        else:
            _table(
                ("agent", "version", "origin", "specialty"),
                [(r["name"], f"{r['number']} ({r['version'][:8]})", r["origin"], r["specialty"])
                 for r in rows],
            )  # fmt: skip


@agents_app.command("show")
def agents_show(context: typer.Context, name: str, json: Json = False) -> None:
    """One agent as it answers now."""
    with _reported(json):
        from orchestrator.administration import as_yaml

        document, _ = asyncio.run(_one_agent(context, name))
        if json:
            _print_json(asdict(document))
        else:
            _say(as_yaml(document).rstrip())


@agents_app.command("history")
def agents_history(context: typer.Context, name: str, json: Json = False) -> None:
    """Every version of an agent, oldest first."""
    with _reported(json):
        _, history = asyncio.run(_one_agent(context, name))
        if json:
            _print_json({"name": name, "versions": [asdict(d) for d in history]})
        else:
            _table(
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
    with _reported(json):

        async def work() -> list[Path]:
            from orchestrator.administration import export_agents, opened

            async with opened(_settings(), context.obj.workspace) as store:
                return await export_agents(store, folder)

        files = asyncio.run(work())
        if json:
            _print_json({"files": [str(file) for file in files]})
        else:
            _say(f"{len(files)} agents written to {folder}.")


@policy_app.command("show")
def policy_show(context: typer.Context, json: Json = False) -> None:
    """Every limit and switch as it counts now, and who decided it."""
    with _reported(json):

        async def work() -> dict[str, Any]:
            from orchestrator.administration import opened
            from orchestrator.policy import Policy

            async with opened(_settings(), context.obj.workspace) as store:
                policy = Policy(store.policy)
                return {
                    "policy": [asdict(setting) for setting in policy.settings()],
                    "history": [asdict(change) for change in policy.history()],
                }

        found = asyncio.run(work())
        if json:
            _print_json(found)
        else:
            _table(
                ("policy", "value", "default", "set by", "what it is"),
                [(s["key"], s["value"], s["default"], s["set_by"], s["about"])
                 for s in found["policy"]],
            )  # fmt: skip


@policy_app.command("set")
def policy_set(context: typer.Context, key: str, value: str, json: Json = False) -> None:
    """Decide a limit or switch; the value `default` takes it back. Running assistants follow."""
    with _reported(json):

        async def work() -> dict[str, Any]:
            from orchestrator.administration import opened
            from orchestrator.policy import COMMAND_LINE, Policy

            async with opened(_settings(), context.obj.workspace) as store:
                by = context.obj.acting or COMMAND_LINE
                return asdict(await Policy(store.policy).set(key, value, by))

        setting = asyncio.run(work())
        if json:
            _print_json(setting)
        else:
            _say(f"{setting['key']} is {setting['value']} now (default {setting['default']}).")


async def _one_agent(context: typer.Context, name: str) -> "tuple[Document, list[Document]]":
    from orchestrator.administration import agent, opened

    async with opened(_settings(), context.obj.workspace) as store:
        return await agent(store, name)


def _settings() -> "Settings":
    from orchestrator.settings import load_settings

    return load_settings()


def _pull(name: str, models_dir: Path) -> Path:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from agents.weights import PullProgress, installed, path_of, pull

    if name in installed(models_dir):
        return path_of(name, models_dir)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(f"model {name}", total=None)

        def show(progress: PullProgress) -> None:
            shown = f"model {progress.name} ({progress.phase})"
            bars.update(task, description=shown, completed=progress.done, total=progress.total)

        return pull(name, models_dir, show)


@contextmanager
def _reported(json: bool = False) -> Iterator[None]:
    """Errors in one line and as exit status: 2 for what must be set, 1 for what failed."""
    try:
        yield
    except VirtuousError as error:
        words = " ".join(" ".join([str(error), *getattr(error, "__notes__", ())]).split())
        if json:
            _print_json({"error": words})
        else:
            typer.echo(words, err=True)
        raise typer.Exit(2 if isinstance(error, ConfigurationError) else 1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _logging(level: int) -> None:
    """Logs go to standard error: standard output is for what was asked."""
    import structlog

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    # Bolt finds SLACK_BOT_TOKEN in the environment beside the client we give it, and warns of that;
    # it sets its logger's level itself, so that only a filter holds.
    logging.getLogger("slack_bolt.AsyncApp").addFilter(lambda r: "`token`" not in r.getMessage())
    # Plain tracebacks: the pretty ones show local variables, and with them what people wrote.
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            console,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


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


def _say(line: str) -> None:
    typer.echo(line)


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json_module.dumps(value, ensure_ascii=False, default=str))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


if __name__ == "__main__":
    app(prog_name="virtuous6")
