"""A Slack-compatible workspace on loopback: Web API, Socket Mode, HTTP events and a page.

It knows nothing of the app it serves; point any Bolt app at `LocalWorkspace.api_url`.
"""

from slack_interface.local_workspace.config import AppConfig, Limits, Secrets, WorkspaceConfig
from slack_interface.local_workspace.server import LocalWorkspace, build_app

__all__ = ["AppConfig", "Limits", "LocalWorkspace", "Secrets", "WorkspaceConfig", "build_app"]
