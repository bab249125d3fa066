"""The app's manifest: what Slack is told of us, and so what we may ask for."""

import json
from pathlib import Path

from slack_interface.incoming import Json

MANIFEST = Path(__file__).parent / "manifest.json"


def manifest() -> Json:
    """The manifest as it is pasted at api.slack.com/apps."""
    return dict(json.loads(MANIFEST.read_text(encoding="utf-8")))


def bot_scopes() -> tuple[str, ...]:
    """What a workspace is asked to allow."""
    return tuple(manifest()["oauth_config"]["scopes"]["bot"])
