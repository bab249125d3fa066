"""What came in from Slack and must be answered, small enough to be kept on disk until it is."""

import html
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import orjson

from agents.ports import FileRef
from database.records import PUBLIC, one_person, private_channel, run_id_of

Json = dict[str, Any]
Card = tuple[str, list[Json]]
"""The same in words and in blocks."""
Kind = Literal[
    "message", "command", "improve", "run_workflow", "save_workflow",
    "my_data", "export_me", "forget_me", "learning", "goal",
    "goal_answer",
]  # fmt: skip

SHARED = "shared"
"""Type of a channel that another organisation can read too: private, and nothing else is shown."""

ANSWERABLE_SUBTYPES = frozenset({None, "file_share", "thread_broadcast", "me_message"})

_LINK = re.compile(r"<((?:https?|mailto)[^|<>]*)(?:\|([^<>]*))?>")
_CHANNEL = re.compile(r"<#[A-Z0-9]+\|([^<>]+)>")
_LEADING_SPACE = re.compile(r"^[\s,:]+")


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file in a message; `url` is where the bot may fetch it with its token."""

    ref: FileRef
    url: str


@dataclass(frozen=True, slots=True)
class Incoming:
    """One thing to do for a person. `key` is the same for every delivery of it.

    `lane` orders work: one after the other inside a lane, many lanes at once. `ts` is the message
    it came from ('' for commands and buttons), `thread_ts` the root of the thread to answer in.
    `subject` is what a button or command is about (a run id or a workflow's name). `resumed` once
    a former process may have done a part of it. `bot` where another app's bot mentioned us.
    """

    kind: Kind
    key: str
    app_id: str
    team_id: str
    channel_id: str
    channel_type: str
    user_id: str
    text: str
    ts: str = ""
    thread_ts: str = ""
    in_thread: bool = False
    mentioned: bool = False
    command: str = ""
    subject: str = ""
    response_url: str = ""
    inputs: Mapping[str, str] | None = None
    files: tuple[SharedFile, ...] = ()
    received_at: float = 0.0
    resumed: bool = False
    bot: bool = False

    @property
    def lane(self) -> str:
        """Work of one thread is done in order; commands outside threads by person; clicks on a plan
        by plan, so that they need not wait for an answer in its thread.
        """
        if self.kind == "goal":
            return f"goal:{self.subject}"
        return f"{self.channel_id}:{self.thread_ts or self.user_id}"

    @property
    def audience(self) -> str:
        """Who can read the place it came from."""
        return audience_of(self.channel_id, self.channel_type, self.user_id)

    @property
    def direct(self) -> bool:
        """Whether it was said to the assistant alone."""
        return self.channel_type == "im"

    def to_bytes(self) -> bytes:
        """JSON for the inbox; files and inputs included."""
        return orjson.dumps(self)

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Incoming":
        """The reverse of `to_bytes`."""
        fields = orjson.loads(payload)
        files = tuple(
            SharedFile(FileRef(**entry["ref"]), entry["url"]) for entry in fields.pop("files")
        )
        return cls(**fields, files=files)

    def said(self, text: str) -> "Incoming":
        """The same with other words."""
        return replace(self, text=text)

    def described(self) -> Json:
        """Everything but the words, for a log line."""
        hidden = {"text", "inputs", "files", "response_url"}
        return {name: value for name, value in asdict(self).items() if name not in hidden and value}


def audience_of(channel_id: str, channel_type: str, user_id: str) -> str:
    """Audience of what is said there: `channel_type` as in message events (`im`, `channel`, ...).

    An unknown type counts as private.
    """
    if channel_type == "im":
        return one_person(user_id)
    if channel_type == "channel":
        return PUBLIC
    return private_channel(channel_id)


def channel_type_of(channel_id: str, channel_name: str | None = None) -> str:
    """Type of a channel as far as its id and name tell, else ''.

    A mention, a command or a button does not say whether its channel is private: a private channel
    has a `C` id too. `Places` finds out.
    """
    if channel_id.startswith("D") or channel_name == "directmessage":
        return "im"
    if channel_id.startswith("G") or channel_name in ("privategroup", "mpdm"):
        return "group"
    return ""


def message_from(body: Json, bot_user_id: str) -> Incoming | None:
    """The message of a `message` or `app_mention` event; None where nobody said anything to us.

    What other bots say counts only where they mention us.
    """
    event = body["event"]
    text, mention = event.get("text") or "", f"<@{bot_user_id}"
    bot = bool(event.get("bot_id"))
    user = event.get("user") or event.get("bot_id")
    if not user or user == bot_user_id or (bot and mention not in text):
        return None
    if event.get("subtype") not in ANSWERABLE_SUBTYPES | ({"bot_message"} if bot else set()):
        return None
    team_id, app_id = body.get("team_id") or event.get("team") or "", body.get("api_app_id") or ""
    channel, ts = event["channel"], event["ts"]
    thread_ts = event.get("thread_ts")
    channel_type = event.get("channel_type") or channel_type_of(channel)
    return Incoming(
        kind="message",
        key=run_id_of(app_id, team_id, channel, ts),
        app_id=app_id,
        team_id=team_id,
        channel_id=channel,
        channel_type=SHARED if body.get("is_ext_shared_channel") else channel_type,
        user_id=user,
        text=text,
        ts=ts,
        thread_ts=thread_ts or ts,
        in_thread=bool(thread_ts and thread_ts != ts),
        mentioned=event["type"] == "app_mention" or mention in text,
        files=_files_from(event),
        received_at=time.time(),
        bot=bot,
    )


def _files_from(event: Json) -> tuple[SharedFile, ...]:
    return tuple(
        SharedFile(
            FileRef(
                file_id=entry["id"],
                name=entry.get("name") or entry.get("title") or "file",
                mimetype=entry.get("mimetype") or "application/octet-stream",
                size=int(entry.get("size") or 0),
            ),
            entry.get("url_private_download") or entry.get("url_private") or "",
        )
        for entry in event.get("files") or ()
        if entry.get("id")
    )


def plain_text(text: str, bot_user_id: str) -> str:
    """A message's text as the person wrote it, without the mention of the assistant at its start.

    Slack escapes `&`, `<`, `>` and wraps links and channel names; other people's mentions stay.
    """
    mention = f"<@{bot_user_id}"
    if mention in text:
        text = re.sub(rf"<@{re.escape(bot_user_id)}(?:\|[^>]*)?>", "", text, count=1)
        text = _LEADING_SPACE.sub("", text)
    if "<" in text:
        text = _LINK.sub(_link_text, text)
        text = _CHANNEL.sub(r"#\1", text)
    return html.unescape(text).strip() if "&" in text else text.strip()


def _link_text(match: re.Match[str]) -> str:
    url, label = match.group(1), match.group(2)
    bare = url.removeprefix("mailto:")
    return f"{label} ({bare})" if label and label not in (url, bare) else bare
