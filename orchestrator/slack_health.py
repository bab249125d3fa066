"""What `doctor` looks at of Slack: tokens, the way events come in, who installed the app."""

from collections.abc import Sequence

import httpx

from database.errors import ConfigurationError
from database.installations import Installation, read_installations
from orchestrator.check import Check
from orchestrator.settings import Settings

_AGAIN = "Install the app there again, from the page that `virtuous6 serve` names."


async def slack(
    settings: Settings, client: httpx.AsyncClient, scopes: Sequence[str]
) -> list[Check]:
    """Every workspace and every way in; `scopes` are what each workspace has to allow."""
    installable = _installable(settings)
    return [
        *(
            []
            if installable and settings.slack_bot_token is None
            else [await _own(settings, client)]
        ),
        *installable,
        *await _installed(settings, client, scopes),
        _transport(settings, bool(installable)),
    ]


async def _own(settings: Settings, client: httpx.AsyncClient) -> Check:
    name = "Slack"
    if settings.slack_bot_token is None:
        return Check(
            name,
            "missing",
            "SLACK_BOT_TOKEN is not set",
            "Connect a workspace as the README says, or run `virtuous6 demo`.",
            needed=False,
        )
    try:
        answer = await _auth_test(settings, client, settings.slack_bot_token.get_secret_value())
    except (httpx.HTTPError, ValueError) as error:
        return _away(name, settings, error)
    if answer.get("ok"):
        return Check(name, "ok", f"{answer.get('team')} ({answer.get('team_id')})")
    return Check(
        name,
        "failed",
        f"Slack refuses the token: {answer.get('error')}",
        "Copy the bot token again (OAuth & Permissions) into SLACK_BOT_TOKEN.",
    )


def _installable(settings: Settings) -> list[Check]:
    """Whether workspaces can install the app; nothing where that is not wanted."""
    name = "installing"
    given = {
        "SLACK_CLIENT_ID": settings.slack_client_id,
        "SLACK_CLIENT_SECRET": settings.slack_client_secret,
    }
    missing = [variable for variable, value in given.items() if not value]
    if len(missing) == len(given):
        return []
    if missing:
        advice = f"Set {missing[0]} too (Basic Information), or neither of the two."
        return [Check(name, "failed", f"{missing[0]} is not set", advice)]
    if settings.virtuous6_public_url is None:
        advice = (
            "Set VIRTUOUS6_PUBLIC_URL to the https address that leads here; the app's Redirect "
            "URLs (OAuth & Permissions) need it with /slack/oauth_redirect behind it."
        )
        return [Check(name, "missing", "VIRTUOUS6_PUBLIC_URL is not set", advice, needed=False)]
    return [Check(name, "ok", f"{settings.virtuous6_public_url.rstrip('/')}/slack/install")]


async def _installed(
    settings: Settings, client: httpx.AsyncClient, scopes: Sequence[str]
) -> list[Check]:
    key = settings.virtuous6_secret_key
    try:
        found = read_installations(settings.home, key.get_secret_value() if key else None)
    except ConfigurationError as error:
        return [Check("workspaces", "failed", "their tokens cannot be read", str(error))]
    return [await _one(settings, client, scopes, installation) for installation in found]


async def _one(
    settings: Settings, client: httpx.AsyncClient, scopes: Sequence[str], found: Installation
) -> Check:
    name = found.holder
    try:
        answer = await _auth_test(settings, client, found.bot_token)
    except (httpx.HTTPError, ValueError) as error:
        return _away(name, settings, error)
    refused = answer.get("error")
    if refused == "token_expired" and found.refresh_token:
        detail = "its token has expired; `virtuous6 serve` gets the next"
        return Check(name, "missing", detail, "Start `virtuous6 serve`.", needed=False)
    if refused:
        return Check(name, "failed", f"Slack refuses its token: {refused}", _AGAIN, needed=False)
    lacking = [scope for scope in scopes if scope not in found.scopes]
    if lacking:
        return Check(name, "missing", f"lacks {', '.join(lacking)}", _AGAIN, needed=False)
    whole = ", the whole organisation" if found.org else ""
    return Check(name, "ok", f"{found.name}{whole}")


def _transport(settings: Settings, installable: bool) -> Check:
    name = "Socket Mode"
    if settings.slack_app_token is not None:
        return Check(name, "ok", "SLACK_APP_TOKEN is set")
    if settings.slack_signing_secret is not None:
        return Check("HTTP mode", "ok", "SLACK_SIGNING_SECRET is set: `serve --mode http`")
    return Check(
        name,
        "missing",
        "SLACK_APP_TOKEN is not set",
        "Make an app-level token with connections:write (Basic Information), or set "
        "SLACK_SIGNING_SECRET for `serve --mode http`.",
        needed=settings.slack_bot_token is not None or installable,
    )


async def _auth_test(
    settings: Settings, client: httpx.AsyncClient, token: str
) -> dict[str, object]:
    url = settings.slack_api_url.rstrip("/") + "/auth.test"
    headers = {"Authorization": f"Bearer {token}"}
    answer: dict[str, object] = (await client.post(url, headers=headers)).json()
    return answer


def _away(name: str, settings: Settings, error: Exception) -> Check:
    return Check(
        name,
        "failed",
        f"{settings.slack_api_url} does not answer ({type(error).__name__})",
        "Check the network, a proxy, or SLACK_API_URL.",
    )
