"""One conversation: its messages in order, its threads, its members."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from slack_interface.local_workspace.config import Json

Kind = Literal["channel", "private", "im"]

CHANNEL_TYPES: dict[Kind, str] = {"channel": "channel", "private": "group", "im": "im"}


@dataclass(slots=True)
class Channel:
    """A public or private channel, or the direct message of one person with the app.

    Timestamps grow, so `roots` and each list in `replies` are sorted and looked up by bisection.
    """

    id: str
    name: str
    kind: Kind
    topic: str = ""
    members: set[str] = field(default_factory=set)
    user: str | None = None
    created: int = 1_750_000_000
    messages: dict[str, Json] = field(default_factory=dict)
    roots: list[str] = field(default_factory=list)
    replies: dict[str, list[str]] = field(default_factory=dict)

    @property
    def channel_type(self) -> str:
        """What Slack's message events call this kind."""
        return CHANNEL_TYPES[self.kind]

    def add(self, message: Json) -> None:
        """Append a message with a new, greater `ts`; a reply also updates its thread's root."""
        ts, root_ts = message["ts"], message.get("thread_ts")
        self.messages[ts] = message
        if root_ts is None or root_ts == ts:
            self.roots.append(ts)
            return
        self.replies.setdefault(root_ts, []).append(ts)
        self._count_replies(root_ts, message)

    def remove(self, ts: str) -> Json | None:
        """Take a message out; a root with replies takes its thread along."""
        message = self.messages.pop(ts, None)
        if message is None:
            return None
        root_ts = message.get("thread_ts", ts)
        if root_ts != ts:
            _discard(self.replies.get(root_ts, []), ts)
            self._count_replies(root_ts, None)
            return message
        _discard(self.roots, ts)
        for reply in self.replies.pop(ts, ()):
            self.messages.pop(reply, None)
        return message

    def _count_replies(self, root_ts: str, reply: Json | None) -> None:
        root = self.messages.get(root_ts)
        if root is None:
            return
        thread = self.replies.get(root_ts, [])
        if not thread:
            for key in ("thread_ts", "reply_count", "latest_reply", "reply_users_count"):
                root.pop(key, None)
            root.pop("reply_users", None)
            return
        root["thread_ts"] = root_ts
        root["reply_count"] = len(thread)
        root["latest_reply"] = thread[-1]
        users = root.setdefault("reply_users", [])
        if reply is not None and reply.get("user") and reply["user"] not in users:
            users.append(reply["user"])
        root["reply_users_count"] = len(users)

    def newest_roots(self, oldest: str, latest: str | None, inclusive: bool) -> Iterator[Json]:
        """Thread roots and plain messages between two timestamps, newest first."""
        yield from _between(self.roots, self.messages, oldest, latest, inclusive, newest_first=True)

    def thread(
        self, root_ts: str, oldest: str = "", latest: str | None = None, inclusive: bool = False
    ) -> Iterator[Json]:
        """Replies of a thread between two timestamps, oldest first (without the root)."""
        timestamps = self.replies.get(root_ts, [])
        yield from _between(timestamps, self.messages, oldest, latest, inclusive)

    def as_slack(self, bot_user_id: str, team_id: str) -> Json:
        """The conversation object of the Web API, as the team sees it."""
        answer: Json = {
            "id": self.id,
            "created": self.created,
            "is_channel": self.kind == "channel",
            "is_group": self.kind == "private",
            "is_im": self.kind == "im",
            "is_mpim": False,
            "is_private": self.kind != "channel",
            "is_archived": False,
            "is_shared": False,
            "is_ext_shared": False,
            "is_org_shared": False,
            "context_team_id": team_id,
            "updated": self.created * 1000,
        }
        if self.kind == "im":
            return answer | {"user": self.user, "is_user_deleted": False, "priority": 0}
        return answer | {
            "name": self.name,
            "name_normalized": self.name,
            "is_general": self.name == "general",
            "is_member": bot_user_id in self.members,
            "creator": next(iter(sorted(self.members)), ""),
            "topic": {"value": self.topic, "creator": "", "last_set": 0},
            "purpose": {"value": "", "creator": "", "last_set": 0},
            "previous_names": [],
            "num_members": len(self.members),
        }


def _between(
    timestamps: list[str],
    messages: dict[str, Json],
    oldest: str,
    latest: str | None,
    inclusive: bool,
    *,
    newest_first: bool = False,
) -> Iterator[Json]:
    low_cut, high_cut = (bisect_left, bisect_right) if inclusive else (bisect_right, bisect_left)
    low = low_cut(timestamps, oldest) if oldest else 0
    high = high_cut(timestamps, latest) if latest else len(timestamps)
    indexes = range(high - 1, low - 1, -1) if newest_first else range(low, high)
    for index in indexes:
        yield messages[timestamps[index]]


def _discard(timestamps: list[str], ts: str) -> None:
    index = bisect_left(timestamps, ts)
    if index < len(timestamps) and timestamps[index] == ts:
        del timestamps[index]
