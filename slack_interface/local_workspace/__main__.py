"""python -m slack_interface.local_workspace: the workspace in a process of its own."""

import argparse
import asyncio
import contextlib
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from slack_interface.local_workspace.config import Secrets, Team
from slack_interface.local_workspace.errors import WorkspaceError
from slack_interface.local_workspace.server import LocalWorkspace


def main() -> int:
    """Serve until Ctrl-C; prints the address and the variables an app needs."""
    options = _parser().parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        workspace = _workspace(options)
    except (WorkspaceError, OSError, ValueError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(workspace, options))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m slack_interface.local_workspace")
    parser.add_argument("--port", type=int, default=3456, help="0 takes a free one")
    parser.add_argument("--state", type=Path, help="file that makes a second start remember")
    parser.add_argument("--manifest", type=Path, help="the app's manifest.json")
    parser.add_argument("--bot-token", help="default: random, kept in the state file")
    parser.add_argument(
        "--team",
        action="append",
        type=_team,
        metavar="ID=NAME",
        help="a workspace; may be given several times (T0SECOND=Second)",
    )
    parser.add_argument(
        "--oauth", action="store_true", help="the app is in no workspace until people install it"
    )
    parser.add_argument("--token-rotation", action="store_true", help="tokens expire")
    parser.add_argument("--app-token")
    parser.add_argument("--signing-secret")
    parser.add_argument("--no-pacing", action="store_true", help="lift Slack's rate rules")
    parser.add_argument("--clock-rate", type=float, default=1.0)
    parser.add_argument("--json", action="store_true", help="print the address as one JSON line")
    return parser


def _team(text: str) -> Team:
    team_id, _, name = text.partition("=")
    if not re.fullmatch("T[A-Z0-9]+", team_id):
        raise argparse.ArgumentTypeError(f"{text!r} is not like T0SECOND=Second")
    return Team(team_id, name or team_id)


def _workspace(options: argparse.Namespace) -> LocalWorkspace:
    manifest: dict[str, Any] | None = None
    if options.manifest:
        manifest = json.loads(options.manifest.read_text(encoding="utf-8"))
    names = ("bot_token", "app_token", "signing_secret")
    given = {name: getattr(options, name) for name in names if getattr(options, name)}
    return LocalWorkspace(
        options.port,
        options.state,
        manifest=manifest,
        teams=[replace(team, installed=not options.oauth) for team in options.team or [Team()]],
        token_rotation=options.token_rotation or None,
        secrets=Secrets(**given) if given else None,
        pacing=not options.no_pacing,
        clock_rate=options.clock_rate,
    )


async def _serve(workspace: LocalWorkspace, options: argparse.Namespace) -> None:
    async with workspace:
        settings_of_app = workspace.oauth_environment if options.oauth else workspace.environment
        if options.json:
            line = json.dumps({"url": workspace.url, **settings_of_app})
        else:
            settings = "\n".join(f"{k}={v}" for k, v in settings_of_app.items())
            line = f"Local workspace: {workspace.url}\n{settings}"
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        await workspace.wait()


if __name__ == "__main__":
    raise SystemExit(main())
