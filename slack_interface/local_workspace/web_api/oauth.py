"""oauth.v2.*: codes and refresh tokens become access tokens."""

import base64
from hmac import compare_digest

from slack_interface.local_workspace.config import APP_ID, BOT_USER_ID, Json
from slack_interface.local_workspace.errors import SlackError
from slack_interface.local_workspace.installations import Token
from slack_interface.local_workspace.web_api.registry import Call, method


@method("oauth.v2.access", token="none", tier=4)
def access(call: Call) -> Json:
    """Exchange a code, or a refresh token, for an access token."""
    check_credentials(call)
    kind = call.text("grant_type") or "authorization_code"
    if kind == "refresh_token":
        return _access(call, call.runtime.platform.installations.refresh(_refresh_token(call)))
    if kind != "authorization_code":
        raise SlackError("invalid_grant_type")
    grant = call.runtime.platform.installations.take_grant(call.text("code") or "")
    if grant.redirect_uri != call.text("redirect_uri"):
        raise SlackError("bad_redirect_uri")
    return _access(call, call.teams.install(grant))


@method("oauth.v2.exchange", token="none", tier=4)
def exchange(call: Call) -> Json:
    """Give a rotating token for one that does not expire."""
    check_credentials(call)
    if not call.runtime.config.app.token_rotation:
        raise SlackError("token_rotation_not_enabled")
    value = call.text("token") or call.authorization.removeprefix("Bearer ")
    return _access(call, call.runtime.platform.installations.exchange(value))


def check_credentials(call: Call) -> None:
    """The app's client id and secret, as arguments or as HTTP Basic authentication.

    Raises SlackError `invalid_client_id`, `bad_client_secret`.
    """
    client_id, client_secret = _credentials(call)
    keys = call.runtime.secrets
    if client_id != keys.client_id:
        raise SlackError("invalid_client_id")
    if not compare_digest(client_secret.encode(), keys.client_secret.encode()):
        raise SlackError("bad_client_secret")


def _credentials(call: Call) -> tuple[str, str]:
    if call.authorization.startswith("Basic "):
        try:
            pair = base64.b64decode(call.authorization.removeprefix("Basic ")).decode()
        except ValueError:
            raise SlackError("invalid_client_id") from None
        client_id, _, client_secret = pair.partition(":")
        return client_id, client_secret
    return call.text("client_id") or "", call.text("client_secret") or ""


def _refresh_token(call: Call) -> str:
    value = call.text("refresh_token")
    if value is None:
        raise SlackError("invalid_refresh_token")
    return value


def _access(call: Call, token: Token) -> Json:
    installation, team = token.installation, None
    if installation.team_id is not None:
        found = call.teams.runtimes[installation.team_id].team
        team = {"id": found.id, "name": found.name}
    enterprise = installation.enterprise
    answer: Json = {
        "app_id": APP_ID,
        "authed_user": {"id": installation.installer},
        "scope": installation.scope,
        "token_type": "bot",
        "access_token": token.value,
        "bot_user_id": BOT_USER_ID,
        "team": team,
        "enterprise": {"id": enterprise.id, "name": enterprise.name} if enterprise else None,
        "is_enterprise_install": installation.is_enterprise_install,
    }
    if token.refresh is not None:
        left = call.runtime.platform.installations.seconds_left(token)
        answer |= {"refresh_token": token.refresh, "expires_in": left}
    return answer
