"""A new local workspace with the assistant as shipped in it, for people that are simulated."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from bootstrap import Assistant, assistant
from orchestrator.ports import ModelsPort
from orchestrator.settings import load_settings
from slack_interface.local_workspace import LocalWorkspace
from slack_interface.manifest import manifest

_ONCE = httpx.Limits(max_keepalive_connections=0)
"""The workspace hangs up after a few idle seconds, just when the next call may be on its way."""


@asynccontextmanager
async def local_house(
    models: ModelsPort, **settings: object
) -> AsyncIterator[tuple[Assistant, httpx.AsyncClient]]:
    """The assistant in a home of its own, and a client of the workspace's control.

    `settings` are those that the environment would name, in small letters.
    """
    with tempfile.TemporaryDirectory() as home:
        async with (
            LocalWorkspace(manifest=manifest(), pacing=False) as workspace,
            httpx.AsyncClient(base_url=workspace.url, timeout=60, limits=_ONCE) as http,
        ):
            made = load_settings(
                slack_api_url=workspace.api_url,
                slack_bot_token=workspace.bot_token,
                slack_app_token=workspace.app_token,
                virtuous6_home=Path(home),
                **settings,
            )
            async with assistant(made, models=models) as house:
                yield house, http
