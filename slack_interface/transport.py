"""How calls to Slack fail."""

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

TRANSPORT_ERRORS = (SlackClientError, aiohttp.ClientError, OSError)
"""Every way a call to Slack fails; a timeout is an OSError."""


def in_words(error: Exception) -> str:
    """Slack's own code for the error, or its type and text."""
    if isinstance(error, SlackApiError):
        return str(error.response.get("error", error))
    return f"{type(error).__name__}: {error}"
