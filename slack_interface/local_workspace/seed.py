"""The people and channels a fresh workspace starts with."""

from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.config import (
    APP_ID,
    BOT_ID,
    BOT_USER_ID,
    TEAM_ID,
    AppConfig,
    Json,
)

ADA, GRACE, ALAN = "U0ADA", "U0GRACE", "U0ALAN"
PEOPLE = (
    (ADA, "ada", "Ada Lovelace", "7b4bb3", True),
    (GRACE, "grace", "Grace Hopper", "1d7a5f", False),
    (ALAN, "alan", "Alan Turing", "b3541e", False),
)


def people(app: AppConfig) -> dict[str, Json]:
    """The seeded roster with the app's bot user, as users.info shows them, by id."""
    roster = {
        user_id: _person(user_id, name, real, color, admin)
        for user_id, name, real, color, admin in PEOPLE
    }
    bot = _person(BOT_USER_ID, app.name.lower().replace(" ", ""), app.name, "3f51b5", admin=False)
    bot["is_bot"] = True
    bot["profile"] |= {"api_app_id": APP_ID, "bot_id": BOT_ID, "always_active": True}
    bot["profile"].pop("email")
    return roster | {BOT_USER_ID: bot}


def _person(user_id: str, name: str, real_name: str, color: str, admin: bool) -> Json:
    first, _, last = real_name.partition(" ")
    return {
        "id": user_id,
        "team_id": TEAM_ID,
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
            "team": TEAM_ID,
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


def channels() -> dict[str, Channel]:
    """The seeded channels and each person's direct message with the app, by id."""
    everyone = {ADA, GRACE, ALAN, BOT_USER_ID}
    found = [
        Channel("C0GENERAL", "general", "channel", "Company-wide news and talk", set(everyone)),
        Channel("C0ENGINEERING", "engineering", "channel", "Building things", set(everyone)),
        Channel(
            "C0IMPROVEMENTS", "improvements", "channel", "What the app proposes", set(everyone)
        ),
        Channel("C0LEADERSHIP", "leadership", "private", "Confidential", {ADA, GRACE, BOT_USER_ID}),
    ]
    for user_id, name, *_ in PEOPLE:
        im_id = f"D0{name.upper()}"
        found.append(Channel(im_id, name, "im", "", {user_id, BOT_USER_ID}, user=user_id))
    return {channel.id: channel for channel in found}
