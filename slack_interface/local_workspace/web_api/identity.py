"""api.test, auth.*, apps.*: who calls, and where the app is."""

from urllib.parse import urlencode

from slack_interface.local_workspace.config import APP_ID, BOT_ID, BOT_USER_ID, Json
from slack_interface.local_workspace.errors import SlackError
from slack_interface.local_workspace.installations import Token
from slack_interface.local_workspace.pacing import SPECIAL
from slack_interface.local_workspace.web_api.oauth import check_credentials
from slack_interface.local_workspace.web_api.registry import Call, method


@method("api.test", token="none", tier=4)
def api_test(call: Call) -> Json:
    """Say the arguments back."""
    error = call.text("error")
    if error:
        raise SlackError(error, args=call.args)
    return {"args": call.args}


@method("auth.test", tier=SPECIAL, of_token=True)
def auth_test(call: Call) -> Json:
    """Who the token is; an org-wide one stands for the organisation."""
    token, team = _token(call), call.runtime.team
    answer: Json = {
        "url": f"{call.runtime.base_url}/",
        "team": team.name,
        "user": call.runtime.config.app.name.lower().replace(" ", ""),
        "team_id": team.id,
        "user_id": BOT_USER_ID,
        "bot_id": BOT_ID,
        "app_id": APP_ID,
        "is_enterprise_install": token.installation.is_enterprise_install,
    }
    if team.enterprise is not None:
        answer["enterprise_id"] = team.enterprise.id
        if token.installation.is_enterprise_install:
            answer |= {"team": team.enterprise.name, "team_id": team.enterprise.id}
    left = call.runtime.platform.installations.seconds_left(token)
    return answer if left is None else answer | {"expires_in": left}


@method("auth.teams.list", tier=2, of_token=True)
def list_teams(call: Call) -> Json:
    """The teams that the token may act in."""
    teams = [runtime.team for runtime in call.teams.of(_token(call).installation)]
    return {
        "teams": [{"id": team.id, "name": team.name} for team in teams],
        "response_metadata": {"next_cursor": ""},
    }


@method("auth.revoke", tier=3, of_token=True)
def auth_revoke(call: Call) -> Json:
    """End the token. The bot user is deactivated, but the app is not uninstalled by it
    (docs.slack.dev, auth.revoke).
    """
    if call.flag("test"):
        return {"revoked": False}
    call.teams.revoke(_token(call))
    return {"revoked": True}


@method("apps.uninstall", tier=1, of_token=True)
def uninstall(call: Call) -> Json:
    """Remove the app from where the token is; the app's own credentials are needed too."""
    check_credentials(call)
    call.teams.uninstall(_token(call).installation)
    return {}


@method("apps.connections.open", token="app", tier=2)
def open_connection(call: Call) -> Json:
    """A one-use WebSocket address for Socket Mode."""
    ticket = call.runtime.sockets.issue_ticket(call.flag("debug_reconnects"))
    base = call.runtime.platform.base_url.replace("http://", "ws://", 1)
    return {"url": f"{base}/link/?{urlencode({'ticket': ticket, 'app_id': APP_ID})}"}


def _token(call: Call) -> Token:
    if call.token is None:
        raise SlackError("not_allowed_token_type")
    return call.token
