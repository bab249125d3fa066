"""A Slack-compatible workspace on loopback: Web API, Socket Mode, HTTP events and a page.

It knows nothing of the app it serves; point any Bolt app at `LocalWorkspace.api_url`.
"""

from slack_interface.local_workspace.application import build_app
from slack_interface.local_workspace.config import (
    AppConfig,
    Enterprise,
    Limits,
    Secrets,
    Team,
    WorkspaceConfig,
)
from slack_interface.local_workspace.server import LocalTeam, LocalWorkspace

__all__ = [
    "AppConfig",
    "Enterprise",
    "Limits",
    "LocalTeam",
    "LocalWorkspace",
    "Secrets",
    "Team",
    "WorkspaceConfig",
    "build_app",
]
