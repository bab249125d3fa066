"""The processes that the front door starts, until Ctrl-C: `serve`, `demo` and `worker`."""

import asyncio
import contextlib
import signal
import webbrowser
from collections.abc import Callable
from contextlib import AsyncExitStack

from pydantic import SecretStr

from agents.no_model import NoModel
from bootstrap import assistant, house, workshop
from database.errors import ConfigurationError
from database.goals import Goal
from database.home import only_one
from goals.figures import load
from orchestrator.goals import AssistantGoals
from orchestrator.ports import ModelsPort
from orchestrator.requests import Request
from orchestrator.settings import Settings
from orchestrator.settling import settle
from slack_interface.http_server import DEFAULT_HOST, DEFAULT_PORT, Listen
from slack_interface.local_workspace import LocalWorkspace
from slack_interface.local_workspace.errors import WorkspaceError
from slack_interface.manifest import manifest
from slack_interface.oauth import INSTALL, REDIRECT
from slack_interface.slack_bot import Mode, installable

Say = Callable[[str], None]
"""Takes one line of progress for the person at the command line."""

DEMO_PORT = 3456
_LOOK_SECONDS = 0.5
IMPROVEMENTS = "C0IMPROVEMENTS"
"""The demo's channel of that name, which the local workspace starts with."""


async def serve(
    settings: Settings,
    say: Say,
    *,
    mode: Mode = "socket",
    host: str | None = None,
    port: int | None = None,
) -> None:
    """The assistant in the workspaces that have it, until Ctrl-C.

    HTTP is served on 127.0.0.1:3000 unless told otherwise; in Socket Mode, where it answers about
    health and lets workspaces install the app, only when there is a `port` or an app to install.

    One process for a home: what waits in the inbox is taken up by whoever starts, and two would
    answer it twice. Raises ConfigurationError.
    """
    if mode == "socket" and host and port is None:
        raise ConfigurationError("--host needs --port: in Socket Mode nothing listens without it.")
    listen = None
    if mode == "http" or port is not None or installable(settings):
        listen = Listen(host or DEFAULT_HOST, DEFAULT_PORT if port is None else port)
    stop = _until_stopped()
    with only_one(settings.home, "serve", "An assistant"):
        async with house(settings, mode=mode, listen=listen) as running:
            names = ", ".join(desk.identity.team_name for desk in running.slack.desks)
            settle()
            say(f"Connected to {names or 'Slack'}. Ctrl-C stops.")
            if listen:
                _tell_where(say, settings, f"{_address(listen.host)}:{running.slack.port}", mode)
            await stop.wait()
            say("Stopping ...")


def _address(host: str) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}"


def _tell_where(say: Say, settings: Settings, address: str, mode: Mode) -> None:
    if mode == "socket":
        say(f"Health: {address}/health/ready")
    else:
        say(
            f"Listening for Slack on {address}/slack/events; health: {address}/health/ready. "
            "Slack needs an https address that leads here, as the Request URL of the app."
        )
    if installable(settings):
        public = (settings.virtuous6_public_url or address).rstrip("/")
        say(f"Workspaces install the app at {public}{INSTALL}")
        if settings.virtuous6_public_url is None:
            say(
                f"Slack sends people back to {public}{REDIRECT}, which must be among the app's "
                "Redirect URLs: set VIRTUOUS6_PUBLIC_URL to the https address that leads here."
            )


async def demo(
    settings: Settings, *, port: int | None, model: str, browser: bool, say: Say
) -> None:
    """A local workspace and the assistant in it, until Ctrl-C; a second start remembers.

    `model` names the embedded model's weights, or is "none": then everything works but answers.
    """
    stop = _until_stopped()
    async with AsyncExitStack() as stack:
        stack.enter_context(only_one(settings.home, "demo", "A demo"))
        workspace = await stack.enter_async_context(_local_workspace(settings, port))
        models: ModelsPort | None = None
        if settings.embedded and model == "none":
            models = NoModel()
        elif settings.embedded:
            say(f"Starting the embedded model ({model}) ...")
        local = settings.model_copy(
            update={
                "slack_api_url": workspace.api_url,
                "slack_bot_token": SecretStr(workspace.bot_token),
                "slack_app_token": SecretStr(workspace.app_token),
                "slack_client_id": None,
                "slack_client_secret": None,
                "virtuous6_improvements_channel": settings.virtuous6_improvements_channel
                or IMPROVEMENTS,
            }
        )
        await stack.enter_async_context(assistant(local, models=models, weights=model))
        settle()
        say("Ready. Ask in the direct message, or mention @Virtuous6 in a channel; try `help`.")
        say(f"All of it stays in {settings.home}; a second start remembers. Ctrl-C stops.")
        say(f"Open {workspace.url}")
        if browser:
            await asyncio.to_thread(webbrowser.open, workspace.url)
        await stop.wait()
        say("Stopping ...")


async def worker(settings: Settings, say: Say) -> None:
    """One more process that runs tasks of goals, until Ctrl-C; any number for an engine database.

    What it is at may end within a few seconds; the rest is left to the others.
    Raises ConfigurationError.
    """
    stop = _until_stopped()
    async with workshop(settings) as running:
        where = "VIRTUOUS6_ENGINE_URL" if settings.engine_url else str(settings.home)
        say(f"At work on the goals of {where}; {running.shared.goals.live_workers} in all.")
        say("Ctrl-C stops.")
        await stop.wait()
        say("Stopping ...")


async def start_goal(
    settings: Settings, request: Request, workspace: str, say: Say | None, *, wait: bool
) -> tuple[Goal, int]:
    """Plan a request and start it; with how many processes are at work on goals.

    With `wait` its tasks run here, until it ends, asks something, or Ctrl-C: what is left then is
    for others. Raises ModelError, BudgetExceeded, ConfigurationError.
    """
    stop = _until_stopped()
    async with workshop(settings, name="command-line", always=wait) as running:
        await running.open_room(workspace)
        goals = running.assistants[workspace].goals
        goal = await goals.begin(request)
        if goal.state == "proposed":
            goal = await goals.start(goal.goal_id, request.user_id)
        if say:
            say(f"{goal.title or goal.request}: {len(goal.tasks)} steps.")
        if wait:
            goal = await _watched(goals, goal, stop, say)
        found = await load(running.shared.goals.ledger)
        return goal, found.workers - int(running.shared.goals.launched)


async def _watched(goals: AssistantGoals, goal: Goal, stop: asyncio.Event, say: Say | None) -> Goal:
    """The goal when it has ended, waits for somebody, or the person stops waiting."""
    told: set[tuple[str, str]] = set()
    while True:
        for task in goal.tasks:
            if (task.key, task.state) not in told and task.state not in ("pending", "queued"):
                told.add((task.key, task.state))
                if say:
                    say(f"Step {task.number}, {task.title}: {task.state}")
        if goal.state != "running" or stop.is_set():
            return goal
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)
        goal = await goals.goal(goal.goal_id) or goal


def _local_workspace(settings: Settings, port: int | None) -> LocalWorkspace:
    state = settings.home / "local_workspace.json"
    try:
        try:
            return LocalWorkspace(DEMO_PORT if port is None else port, state, manifest=manifest())
        except WorkspaceError:
            if port is not None:
                raise
            return LocalWorkspace(0, state, manifest=manifest())
    except WorkspaceError as error:
        raise ConfigurationError(str(error)) from error


def _until_stopped() -> asyncio.Event:
    """Set by the first Ctrl-C or SIGTERM; a second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stopped(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped, number)
    return stop
