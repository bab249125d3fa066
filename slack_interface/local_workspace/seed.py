"""The people and channels a fresh workspace starts with."""

from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.config import (
    APP_ID,
    BOT_ID,
    BOT_USER_ID,
    AppConfig,
    Json,
    Team,
)

ADA, GRACE, ALAN = "U0ADA", "U0GRACE", "U0ALAN"
PEOPLE = (
    (ADA, "ada", "Ada Lovelace", "7b4bb3", True),
    (GRACE, "grace", "Grace Hopper", "1d7a5f", False),
    (ALAN, "alan", "Alan Turing", "b3541e", False),
)


def people(team: Team) -> dict[str, Json]:
    """The seeded roster, as users.info shows them, by id."""
    return {
        user_id: _person(team, user_id, name, real, color, admin)
        for user_id, name, real, color, admin in PEOPLE
    }


def bot_user(app: AppConfig, team: Team) -> Json:
    """The app's bot user, as users.info shows it."""
    name = app.name.lower().replace(" ", "")
    bot = _person(team, BOT_USER_ID, name, app.name, "3f51b5", admin=False)
    bot["is_bot"] = True
    bot["profile"] |= {"api_app_id": APP_ID, "bot_id": BOT_ID, "always_active": True}
    bot["profile"].pop("email")
    return bot


def _person(team: Team, user_id: str, name: str, real_name: str, color: str, admin: bool) -> Json:
    first, _, last = real_name.partition(" ")
    person = {
        "id": user_id,
        "team_id": team.id,
        "name": name,
        "deleted": False,
        "color": color,
        "real_name": real_name,
        "tz": "Europe/London",
        "tz_label": "Greenwich Mean Time",
        "tz_offset": 0,
        "profile": {
            "real_name": real_name,
            "real_name_normalized": real_name,
            "display_name": name,
            "display_name_normalized": name,
            "first_name": first,
            "last_name": last,
            "email": f"{name}@virtuous6.example",
            "title": "",
            "status_text": "",
            "status_emoji": "",
            "team": team.id,
        },
        "is_admin": admin,
        "is_owner": admin,
        "is_primary_owner": admin,
        "is_restricted": False,
        "is_ultra_restricted": False,
        "is_bot": False,
        "is_app_user": False,
        "is_email_confirmed": True,
        "updated": 1_750_000_000,
        "locale": "en-GB",
    }
    return person | _in_enterprise(team, user_id, admin)


def _in_enterprise(team: Team, user_id: str, admin: bool) -> Json:
    if team.enterprise is None:
        return {}
    inside = {
        "id": user_id,
        "enterprise_id": team.enterprise.id,
        "enterprise_name": team.enterprise.name,
        "is_admin": admin,
        "is_owner": admin,
        "teams": [team.id],
    }
    return {"enterprise_user": inside}


def channels() -> dict[str, Channel]:
    """The seeded channels with their people, by id."""
    everyone = {ADA, GRACE, ALAN}
    found = [
        Channel("C0GENERAL", "general", "channel", "Company-wide news and talk", set(everyone)),
        Channel("C0ENGINEERING", "engineering", "channel", "Building things", set(everyone)),
        Channel(
            "C0IMPROVEMENTS", "improvements", "channel", "What the app proposes", set(everyone)
        ),
        Channel("C0LEADERSHIP", "leadership", "private", "Confidential", {ADA, GRACE}),
    ]
    return {channel.id: channel for channel in found}


def direct_messages() -> dict[str, Channel]:
    """Each seeded person's direct message with the app, by id."""
    found = {}
    for user_id, name, *_ in PEOPLE:
        im_id = f"D0{name.upper()}"
        found[im_id] = Channel(im_id, name, "im", "", {user_id, BOT_USER_ID}, user=user_id)
    return found
