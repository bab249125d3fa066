"""What a click or a form says, and how it is kept: the same for every button of ours."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

import orjson
import structlog

from database.errors import InputError, VirtuousError
from database.records import run_id_of
from slack_interface.inbox import Inbox
from slack_interface.incoming import Incoming, Json, Kind, channel_type_of
from slack_interface.voice import Voice

NOT_KNOWN = (
    "I no longer know what that is for: it is from an older version of me. Nothing was done; ask "
    "me again, or say `help` to me."
)
TOO_LATE = "That took too long and Slack did not let me ask. Please press it again."
NO_PLACE = "Slack did not let me write to you just now. Please press it again in a minute."

log = structlog.get_logger()


@dataclass(slots=True)
class Pressed:
    """Keeps what was pressed and tells whoever pressed it."""

    inbox: Inbox
    voice: Voice

    async def keep(
        self,
        kind: Kind,
        body: Json,
        once: str,
        where: Mapping[str, str],
        *,
        command: str = "",
        subject: str = "",
        text: str = "",
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        """Have it done after this, also by the next process, once for each `once`.

        `where` as from `place_of`; without a channel, as in App Home, that is the direct message.
        Raises InputError where there is none.
        """
        user_id = body["user"]["id"]
        channel = where.get("channel") or await self.voice.direct_channel(user_id)
        if not channel:
            raise InputError(NO_PLACE)
        app_id, team_id = body.get("api_app_id") or "", team_of(body)
        await self.inbox.accept(
            Incoming(
                kind=kind,
                key=run_id_of(app_id, team_id, kind, once),
                app_id=app_id,
                team_id=team_id,
                channel_id=channel,
                channel_type=channel_type_of(channel, where.get("channel_name")),
                user_id=user_id,
                text=text,
                thread_ts=where.get("thread_ts", ""),
                in_thread=bool(where.get("thread_ts")),
                command=command,
                subject=subject,
                inputs=inputs,
                received_at=time.time(),
            )
        )

    async def open(self, body: Json, view: Json) -> None:
        """Open a form, or say that Slack did not let us."""
        if not await self.voice.open_view(trigger_of(body), view):
            await self.whisper(body, TOO_LATE)

    async def whisper(self, body: Json, text: str, blocks: list[Json] | None = None) -> None:
        """Tell whoever pressed it, unseen by others."""
        place, user_id = place_of(body), body["user"]["id"]
        try:
            if channel := place.get("channel"):
                thread_ts = place.get("thread_ts", "")
                await self.voice.whisper(channel, user_id, text, blocks, thread_ts=thread_ts)
            elif direct := await self.voice.direct_channel(user_id):
                await self.voice.post(direct, text, blocks)
        except VirtuousError as error:
            log.warning("not_told", error=str(error))


def place_of(body: Json) -> dict[str, str]:
    """Where something was pressed; nothing in App Home."""
    channel = body.get("channel") or {}
    container, message = body.get("container") or {}, body.get("message") or {}
    found = {
        "channel": channel.get("id") or container.get("channel_id"),
        "channel_name": channel.get("name"),
        "thread_ts": message.get("thread_ts") or container.get("thread_ts"),
    }
    return {key: str(value) for key, value in found.items() if value}


def team_of(body: Json) -> str:
    """The workspace; where the whole organisation installed us, Slack tells it of the person."""
    team = body.get("team") or body["user"].get("team_id") or ""
    return str(team["id"] if isinstance(team, dict) else team)


def trigger_of(body: Json) -> str:
    """What a modal may be opened with; Slack always sends it."""
    return str(body.get("trigger_id") or "")


def once_of(body: Json, action: Json) -> str:
    """Tells clicks apart, which Slack always dates."""
    return str(action.get("action_ts") or trigger_of(body) or uuid4().hex)


def verb_of(action: Json) -> str:
    """Which button of its kind it is: what stands behind the first colon of its name."""
    return str(action["action_id"]).partition(":")[2]


def subject_of(text: str | None) -> dict[str, str]:
    """What a button or form is about: what `cards.about` wrote, as far as it is that."""
    try:
        found = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)}


def about_of(view: Json) -> dict[str, str]:
    """What a modal of ours is about."""
    return subject_of(view.get("private_metadata"))


def needed(subject: dict[str, str], name: str) -> str:
    """Raises InputError where it is of an older version of ours."""
    if not subject.get(name):
        raise InputError(NOT_KNOWN)
    return subject[name]


def values_of(view: Json) -> Json:
    """What was filled in, by block."""
    values: Json = (view.get("state") or {}).get("values") or {}
    return values


def words_of(values: Json) -> str:
    """What was typed into the field for words."""
    field = (values.get("words") or {}).get("text") or {}
    return str(field.get("value") or "").strip()


def chosen_of(values: Json, block_id: str) -> list[str]:
    """What was ticked in the field of this block."""
    field = (values.get(block_id) or {}).get("chosen") or {}
    return [str(entry.get("value")) for entry in field.get("selected_options") or ()]
