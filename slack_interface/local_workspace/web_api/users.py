"""users.*, bots.info, team.info."""

from slack_interface.local_workspace.config import BOT_ID, Json
from slack_interface.local_workspace.errors import SlackError
from slack_interface.local_workspace.payloads import bot_profile
from slack_interface.local_workspace.web_api.conversations import decode_cursor, encode_cursor
from slack_interface.local_workspace.web_api.registry import Call, method


@method("users.info", scope="users:read", tier=4)
def info(call: Call) -> Json:
    """One person."""
    return {"user": _visible(call, call.workspace.users[call.person()])}


@method("users.list", scope="users:read", tier=2, needs_team=True)
def list_users(call: Call) -> Json:
    """Everybody, page by page."""
    cursor, limit = decode_cursor(call), call.number("limit", 200, 1000)
    try:
        start = int(cursor) if cursor else 0
    except ValueError:
        raise SlackError("invalid_cursor") from None
    people = list(call.workspace.users.values())
    page = [_visible(call, user) for user in people[start : start + limit]]
    more = start + limit < len(people)
    next_cursor = encode_cursor(str(start + limit)) if more else ""
    return {
        "members": page,
        "cache_ts": 1_750_000_000,
        "response_metadata": {"next_cursor": next_cursor},
    }


@method("users.lookupByEmail", scope="users:read.email", tier=3)
def lookup_by_email(call: Call) -> Json:
    """The person with an address."""
    email = call.required("email").lower()
    for user in call.workspace.users.values():
        if user["profile"].get("email") == email:
            return {"user": user}
    raise SlackError("users_not_found")


@method("users.profile.get", scope="users:read", tier=4)
def profile(call: Call) -> Json:
    """A person's profile."""
    return {"profile": _visible(call, call.workspace.users[call.person()])["profile"]}


@method("bots.info", scope="users:read", tier=3, needs_team=True)
def bot_info(call: Call) -> Json:
    """The app's bot."""
    if (call.text("bot") or BOT_ID) != BOT_ID:
        raise SlackError("bot_not_found")
    return {"bot": {**bot_profile(call.runtime.config.app.name, call.runtime.team), "icons": {}}}


@method("team.info", scope="team:read", tier=3)
def team_info(call: Call) -> Json:
    """The workspace."""
    team = call.runtime.team
    answer: Json = {"id": team.id, "name": team.name, "domain": team.domain}
    if team.enterprise is not None:
        answer |= {"enterprise_id": team.enterprise.id, "enterprise_name": team.enterprise.name}
    return {"team": answer | {"email_domain": "", "icon": {}}}


def _visible(call: Call, user: Json) -> Json:
    if "users:read.email" in call.scopes:
        return user
    profile = {key: value for key, value in user["profile"].items() if key != "email"}
    return {**user, "profile": profile}
