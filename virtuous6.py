"""The front door: the command line, parsing and printing only; the other half is `command_line`.

The imports inside the commands are measured: `--help` takes 0.2 s with them and 3 s without, as
langchain, openai and slack_bolt are slow to load. `doctor` needs none of these either.
"""
# ruff: noqa: PLC0415

import asyncio
import logging
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from command_line.agents import agents_app, policy_app
from command_line.audit import audit_app
from command_line.goals import goals_app, show_goal
from command_line.learning import learn_app, patterns_app, proposals_app, trials_app
from command_line.outbox import outbox_app
from command_line.output import (
    Json,
    configured,
    log_to_standard_error,
    print_json,
    reported,
    say,
    table,
)
from command_line.record import db_app, metrics, runs_app


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
for name, group in (
    ("model", model_app), ("db", db_app), ("runs", runs_app), ("agents", agents_app),
    ("policy", policy_app), ("outbox", outbox_app), ("learn", learn_app),
    ("patterns", patterns_app), ("proposals", proposals_app), ("trials", trials_app),
    ("audit", audit_app), ("goals", goals_app),
):  # fmt: skip
    app.add_typer(group, name=name)


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
    with reported():
        log_to_standard_error(logging.WARNING)
        settings = configured()
        say("Setting up ...")
        if settings.embedded and model is not DemoModel.none:
            _pull(model.value, settings.models_dir)
        from serving import demo as run

        asyncio.run(run(settings, port=port, model=model.value, browser=not no_browser, say=say))


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
    """The assistant in the workspaces that have it; one process for each home."""
    with reported():
        log_to_standard_error(logging.INFO)
        settings = configured()
        from serving import serve as run

        asyncio.run(run(settings, say, mode=mode.value, host=host, port=port))


@app.command()
def worker() -> None:
    """One more worker for goals: on this home, or on the engine of VIRTUOUS6_ENGINE_URL."""
    with reported():
        log_to_standard_error(logging.INFO)
        settings = configured()
        from serving import worker as run

        asyncio.run(run(settings, say))


@goals_app.command("start")
def goals_start(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is wanted.")],
    wait: Annotated[
        bool, typer.Option("--wait", help="Do its work here, until it ends or asks something.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a plan and start it; whoever serves, or a worker, carries it out."""
    with reported(json):
        from orchestrator.administration import only_workspace
        from orchestrator.goal_admin import goal_json, request_of

        log_to_standard_error(logging.WARNING)
        settings, asked = configured(), request_of(text, context.obj.acting)
        workspace = context.obj.workspace or only_workspace(settings.home)
        from serving import start_goal

        progress = None if json else say
        goal, workers = asyncio.run(start_goal(settings, asked, workspace, progress, wait=wait))
        if json:
            print_json(goal_json(goal) | {"workers": workers})
        else:
            show_goal(goal)
            if not goal.ended and not workers:
                say("Nobody is at work on goals: run `virtuous6 worker`, or `goals start --wait`.")
        raise typer.Exit(1 if goal.state in ("refused", "failed") else 0)


@app.command()
def doctor(json: Json = False) -> None:
    """What is configured, what can be reached, what is missing and how to get it."""
    with reported(json):
        from orchestrator.administration import describe_record
        from orchestrator.health import examine, ready
        from slack_interface.manifest import bot_scopes

        checks = asyncio.run(examine(configured(), describe_record, bot_scopes()))
        is_ready = ready(checks)
        if json:
            print_json({"ready": is_ready, "checks": [asdict(check) for check in checks]})
        else:
            for check in checks:
                say(f"{check.status:8} {check.name:12} {check.detail}")
                if check.advice:
                    say(f"{'':21} {check.advice}")
        raise typer.Exit(0 if is_ready else 1)


app.command()(metrics)


@model_app.command("pull")
def model_pull(
    name: Annotated[Weights, typer.Argument(help="small answers well, tiny is quick.")] = (
        Weights.small
    ),
) -> None:
    """Fetch weights, verify them, go on where a broken download stopped."""
    with reported():
        settings = configured()
        say(f"Model {name.value}: {_pull(name.value, settings.models_dir)}")


@model_app.command("list")
def model_list(json: Json = False) -> None:
    """Which weights there are, and which are installed."""
    with reported(json):
        from agents.catalogue import CATALOGUE
        from agents.weights import installed

        folder = configured().models_dir
        there = installed(folder)
        rows: list[dict[str, Any]] = [
            {"name": name, "bytes": weights.size, "installed": name in there}
            for name, weights in CATALOGUE.items()
        ]
        if json:
            print_json({"folder": str(folder), "models": rows})
        else:
            table(
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


if __name__ == "__main__":
    app(prog_name="virtuous6")
