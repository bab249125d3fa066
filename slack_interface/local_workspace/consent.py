"""/oauth/v2/authorize: a person allows the app to come to a workspace, or does not."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode, urlsplit

from slack_interface.local_workspace.config import DEFAULT_SCOPES, Enterprise, Team
from slack_interface.local_workspace.errors import ControlError, SlackError
from slack_interface.local_workspace.installations import Grant
from slack_interface.local_workspace.teams import Teams

LOOPBACK = ("127.0.0.1", "localhost", "::1")
FIELDS = ("client_id", "scope", "user_scope", "redirect_uri", "state", "team")


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked request for consent. `redirect_uri` is None where the app left it out."""

    scopes: frozenset[str]
    redirect_uri: str | None
    back_to: str
    state: str
    team: str | None


def read(teams: Teams, query: Mapping[str, str]) -> Asked:
    """Check what the app asks for.

    Raises SlackError `invalid_client_id`, `bad_redirect_uri`, `invalid_scope`, `team_not_found`,
    each with a sentence for the person.
    """
    if query.get("client_id") != teams.platform.secrets.client_id:
        raise _refused("invalid_client_id", "No app here has this client_id.")
    redirect = query.get("redirect_uri") or None
    team = query.get("team") or None
    if team is not None and team not in teams.runtimes and team not in teams.enterprises:
        raise _refused("team_not_found", f"There is no workspace {team} here.")
    return Asked(
        _scopes(teams, query), redirect, _back_to(teams, redirect), query.get("state", ""), team
    )


def _scopes(teams: Teams, query: Mapping[str, str]) -> frozenset[str]:
    if query.get("user_scope"):
        raise _refused("invalid_scope", "This workspace gives no user tokens (user_scope).")
    wanted = frozenset(query.get("scope", "").replace(",", " ").split())
    unknown = wanted - DEFAULT_SCOPES - teams.platform.config.app.scopes
    if unknown or not wanted:
        what = f"Unknown: {', '.join(sorted(unknown))}." if unknown else "None was asked for."
        raise _refused("invalid_scope", f"The app must ask for bot scopes that exist. {what}")
    return wanted


def _back_to(teams: Teams, redirect: str | None) -> str:
    """Slack goes back to a configured URL or below it; the first one where none is named."""
    configured = teams.platform.config.app.redirect_urls
    if redirect is None and configured:
        return configured[0]
    if redirect is None:
        raise _refused("bad_redirect_uri", "The app named no redirect_uri and has none configured.")
    is_local = urlsplit(redirect).hostname in LOOPBACK and "#" not in redirect
    allowed = any(_is_below(redirect, url) for url in configured) if configured else is_local
    if not allowed:
        raise _refused(
            "bad_redirect_uri",
            f"redirect_uri did not match any configured URI. Passed: {redirect}",
        )
    return redirect


def _is_below(redirect: str, configured: str) -> bool:
    base = configured.rstrip("/")
    return redirect == configured or redirect.startswith((f"{base}/", f"{base}?"))


def decide(teams: Teams, asked: Asked, place: str, user: str, *, allow: bool) -> str:
    """The address that the person's browser is sent to.

    Raises ControlError `team_not_found`, `user_not_found`, `not_an_admin`.
    """
    if not allow:
        return _address(asked, error="access_denied")
    grant = _grant(teams, asked, place, user)
    return _address(asked, code=teams.platform.installations.allow(grant))


def _grant(teams: Teams, asked: Asked, place: str, user: str) -> Grant:
    expires = teams.platform.clock.now() + teams.platform.config.limits.oauth_code_s
    enterprise = teams.enterprises.get(place)
    if enterprise is None:
        runtime = teams.named(place)
        user_id = runtime.workspace.user_named(user)
        team = runtime.team
        return Grant(team.id, team.enterprise, user_id, asked.scopes, asked.redirect_uri, expires)
    if not teams.platform.config.app.org_deploy:
        raise ControlError("org_deploy_disabled", "The manifest has no org_deploy_enabled.", 403)
    workspace = teams.in_enterprise(place)[0].workspace
    user_id = workspace.user_named(user)
    if not workspace.users[user_id]["is_admin"]:
        raise ControlError("not_an_admin", "Only an admin installs an app org-wide.", 403)
    return Grant(None, enterprise, user_id, asked.scopes, asked.redirect_uri, expires)


def _address(asked: Asked, **answer: str) -> str:
    joint = "&" if "?" in asked.back_to else "?"
    return asked.back_to + joint + urlencode({**answer, "state": asked.state})


def _refused(code: str, explanation: str) -> SlackError:
    return SlackError(code, messages=[explanation], status=400)


def page(teams: Teams, asked: Asked, query: Mapping[str, str]) -> str:
    """The question, as HTML."""
    name = escape(teams.platform.config.app.name)
    kept = "".join(
        f'<input type="hidden" name="{field}" value="{escape(query[field])}">'
        for field in FIELDS
        if field in query and field != "team"
    )
    scopes = "".join(f"<li><code>{escape(scope)}</code></li>" for scope in sorted(asked.scopes))
    return _document(
        f"Install {name}",
        f"""<form method="post" class="consent">{kept}
<h1>{name} asks to come to your workspace</h1>
<label>Workspace <select name="team" autofocus>{_places(teams, asked.team)}</select></label>
<label>You are <select name="user">{_people(teams)}</select></label>
<h2>It will be able to use</h2><ul class="scopes">{scopes}</ul>
<p class="consent-buttons"><button class="button" name="decision" value="cancel">Cancel</button>
<button class="button primary" name="decision" value="allow">Allow</button></p></form>""",
    )


def error_page(code: str, explanation: str) -> str:
    """What a person sees when the app asked wrongly."""
    return _document(
        "Something went wrong",
        f"""<div class="consent"><h1>Something went wrong with this installation</h1>
<p>{escape(explanation)}</p><p>Error: <code>{escape(code)}</code></p>
<p><a href="/">Back to the workspace</a></p></div>""",
    )


def _places(teams: Teams, chosen: str | None) -> str:
    places: list[Team | Enterprise] = [runtime.team for runtime in teams.runtimes.values()]
    if teams.platform.config.app.org_deploy:
        places += teams.enterprises.values()
    options = []
    for place in places:
        words = place.name if isinstance(place, Team) else f"{place.name} (whole organisation)"
        mark = " selected" if place.id == chosen else ""
        options.append(f'<option value="{escape(place.id)}"{mark}>{escape(words)}</option>')
    return "".join(options)


def _people(teams: Teams) -> str:
    users = teams.first.workspace.users.values()
    return "".join(
        f'<option value="{escape(user["id"])}">{escape(user["real_name"])}'
        f"{' (admin)' if user['is_admin'] else ''}</option>"
        for user in users
        if not user["is_bot"]
    )


def _document(title: str, body: str) -> str:
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title>
<link rel="icon" href="/page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/page/css/base.css">
<link rel="stylesheet" href="/page/css/consent.css"></head>
<body><main>{body}</main></body></html>"""
