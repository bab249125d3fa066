"""api.test, auth.*, apps.*, oauth.*."""

import base64
import secrets as random_secrets
from urllib.parse import urlencode

from slack_interface.local_workspace.config import APP_ID, BOT_ID, BOT_USER_ID, TEAM_ID, Json
from slack_interface.local_workspace.errors import SlackError
from slack_interface.local_workspace.pacing import SPECIAL
from slack_interface.local_workspace.runtime import Runtime
from slack_interface.local_workspace.seed import ADA
from slack_interface.local_workspace.web_api.registry import Call, method


@method("api.test", token="none", tier=4)
def api_test(call: Call) -> Json:
    """Say the arguments back."""
    error = call.text("error")
    if error:
        raise SlackError(error, args=call.args)
    return {"args": call.args}


@method("auth.test", tier=SPECIAL)
def auth_test(call: Call) -> Json:
    """Who the token is."""
    return {
        "url": f"{call.runtime.base_url}/",
        "team": call.runtime.config.team_name,
        "user": call.workspace.users[BOT_USER_ID]["name"],
        "team_id": TEAM_ID,
        "user_id": BOT_USER_ID,
        "bot_id": BOT_ID,
        "app_id": APP_ID,
        "is_enterprise_install": False,
    }


@method("auth.revoke", tier=3)
def auth_revoke(call: Call) -> Json:
    """End the token, and tell the app."""
    if call.flag("test"):
        return {"revoked": False}
    uninstall(call.runtime)
    return {"revoked": True}


def uninstall(runtime: Runtime) -> None:
    """The app is removed: its token dies, tokens_revoked and app_uninstalled are sent."""
    runtime.revoked = True
    tokens = {"oauth": [], "bot": [BOT_USER_ID]}
    runtime.emit("tokens_revoked", {"type": "tokens_revoked", "tokens": tokens})
    runtime.emit("app_uninstalled", {"type": "app_uninstalled"})


@method("apps.connections.open", token="app", tier=2)
def open_connection(call: Call) -> Json:
    """A one-use WebSocket address for Socket Mode."""
    ticket = call.runtime.sockets.issue_ticket(call.flag("debug_reconnects"))
    base = call.runtime.base_url.replace("http://", "ws://", 1)
    return {"url": f"{base}/link/?{urlencode({'ticket': ticket, 'app_id': APP_ID})}"}


@method("oauth.v2.access", token="none", tier=4)
def oauth_access(call: Call) -> Json:
    """Exchange a code for the bot token."""
    client_id, client_secret = _credentials(call)
    keys = call.runtime.secrets
    if client_id != keys.client_id:
        raise SlackError("invalid_client_id")
    if client_secret != keys.client_secret:
        raise SlackError("bad_client_secret")
    code = call.required("code")
    if code not in call.runtime.oauth_codes:
        raise SlackError("invalid_code")
    call.runtime.oauth_codes.discard(code)
    call.runtime.revoked = False
    return {
        "app_id": APP_ID,
        "authed_user": {"id": ADA},
        "scope": ",".join(sorted(call.runtime.config.app.scopes)),
        "token_type": "bot",
        "access_token": keys.bot_token,
        "bot_user_id": BOT_USER_ID,
        "team": {"id": TEAM_ID, "name": call.runtime.config.team_name},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def authorize(runtime: Runtime, query: dict[str, str]) -> str:
    """The address that oauth/v2/authorize sends the browser to, with a fresh code.

    Raises SlackError `invalid_client_id`, `bad_redirect_uri`.
    """
    if query.get("client_id") != runtime.secrets.client_id:
        raise SlackError("invalid_client_id", status=400)
    redirect = query.get("redirect_uri", "")
    if not redirect.startswith(("http://127.0.0.1", "http://localhost", "http://[::1]")):
        raise SlackError("bad_redirect_uri", status=400)
    code = random_secrets.token_urlsafe(16)
    runtime.oauth_codes.add(code)
    joint = "&" if "?" in redirect else "?"
    return redirect + joint + urlencode({"code": code, "state": query.get("state", "")})


def _credentials(call: Call) -> tuple[str, str]:
    if call.authorization.startswith("Basic "):
        try:
            pair = base64.b64decode(call.authorization.removeprefix("Basic ")).decode()
        except ValueError:
            raise SlackError("invalid_client_id") from None
        client_id, _, client_secret = pair.partition(":")
        return client_id, client_secret
    return call.text("client_id") or "", call.text("client_secret") or ""
