"""python -m slack_interface.local_workspace: the workspace in a process of its own."""

import argparse
import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import structlog

from slack_interface.local_workspace.config import Secrets
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
        asyncio.run(_serve(workspace, as_json=options.json))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m slack_interface.local_workspace")
    parser.add_argument("--port", type=int, default=3456, help="0 takes a free one")
    parser.add_argument("--state", type=Path, help="file that makes a second start remember")
    parser.add_argument("--manifest", type=Path, help="the app's manifest.json")
    parser.add_argument("--bot-token", help="default: random, kept in the state file")
    parser.add_argument("--app-token")
    parser.add_argument("--signing-secret")
    parser.add_argument("--no-pacing", action="store_true", help="lift Slack's rate rules")
    parser.add_argument("--clock-rate", type=float, default=1.0)
    parser.add_argument("--json", action="store_true", help="print the address as one JSON line")
    return parser


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
        secrets=Secrets(**given) if given else None,
        pacing=not options.no_pacing,
        clock_rate=options.clock_rate,
    )


async def _serve(workspace: LocalWorkspace, *, as_json: bool) -> None:
    async with workspace:
        if as_json:
            line = json.dumps({"url": workspace.url, **workspace.environment})
        else:
            settings = "\n".join(f"{k}={v}" for k, v in workspace.environment.items())
            line = f"Local workspace: {workspace.url}\n{settings}"
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        await workspace.wait()


if __name__ == "__main__":
    raise SystemExit(main())
