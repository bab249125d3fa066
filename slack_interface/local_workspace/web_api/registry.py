"""What a Web API method is, and what its handler gets to work with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from slack_interface.local_workspace.channel import Channel, Kind
from slack_interface.local_workspace.config import BOT_USER_ID, Json
from slack_interface.local_workspace.errors import SlackError
from slack_interface.local_workspace.installations import Token
from slack_interface.local_workspace.runtime import Runtime
from slack_interface.local_workspace.state import Workspace
from slack_interface.local_workspace.teams import Teams

TokenKind = Literal["bot", "app", "any", "none"]


@dataclass(slots=True)
class Call:
    """One call: its arguments however they came, the team it acts in, and the bot's token."""

    teams: Teams
    runtime: Runtime
    args: Json
    authorization: str = ""
    token: Token | None = None

    @property
    def workspace(self) -> Workspace:
        """The state that methods read and change."""
        return self.runtime.workspace

    @property
    def scopes(self) -> frozenset[str]:
        """What the caller's token may do."""
        return self.token.installation.scopes if self.token else frozenset()

    def conversation(self, channel: Channel) -> Json:
        """A channel as this team's Web API shows it."""
        return channel.as_slack(BOT_USER_ID, self.runtime.team.id)

    def required(self, name: str) -> str:
        """A string argument that must be there.

        Raises SlackError `invalid_arguments`.
        """
        value = self.args.get(name)
        if value in (None, ""):
            raise SlackError(
                "invalid_arguments", messages=[f"[ERROR] missing required field: {name}"]
            )
        return str(value)

    def text(self, name: str) -> str | None:
        """A string argument, or None."""
        value = self.args.get(name)
        return None if value in (None, "") else str(value)

    def flag(self, name: str) -> bool:
        """A boolean argument; forms send 1 or true."""
        return self.args.get(name) in (True, "1", "true", "True", 1)

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 1 to `most`.

        Raises SlackError `invalid_limit`.
        """
        value = self.args.get(name)
        if value in (None, ""):
            return default
        try:
            number = int(value)
        except (TypeError, ValueError):
            raise SlackError("invalid_limit") from None
        if number < 1:
            raise SlackError("invalid_limit")
        return min(number, most)

    def json(self, name: str, error: str = "invalid_json") -> Any:
        """A JSON argument: as it is in a JSON body, parsed from a string in a form."""
        value = self.args.get(name)
        if not isinstance(value, str):
            return value
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            raise SlackError(error) from None

    def channel(self, name: str = "channel") -> Channel:
        """The channel an argument names: an id, #name or name, or a person for their DM.

        Raises SlackError `channel_not_found`.
        """
        value = self.required(name)
        channel = self.workspace.channels.get(value)
        if channel is None and value in self.workspace.users and value != BOT_USER_ID:
            channel = self.workspace.direct_message(value)
        if channel is None:
            wanted = value.removeprefix("#")
            for known in self.workspace.channels.values():
                if known.kind != "im" and known.name == wanted:
                    channel = known
        if channel is None or (channel.kind == "private" and BOT_USER_ID not in channel.members):
            raise SlackError("channel_not_found")
        return channel

    def member_channel(self, name: str = "channel") -> Channel:
        """A channel the app is a member of.

        Raises SlackError `channel_not_found`, `not_in_channel`.
        """
        channel = self.channel(name)
        if BOT_USER_ID not in channel.members:
            raise SlackError("not_in_channel")
        return channel

    def message(self, channel: Channel, name: str = "ts") -> Json:
        """A message of a channel.

        Raises SlackError `message_not_found`.
        """
        message = channel.messages.get(self.required(name))
        if message is None:
            raise SlackError("message_not_found")
        return message

    def person(self, name: str = "user") -> str:
        """The id of a person.

        Raises SlackError `user_not_found`.
        """
        value = self.required(name)
        if value not in self.workspace.users:
            raise SlackError("user_not_found")
        return value

    def need_scope(self, scope: str) -> None:
        """Raises SlackError `missing_scope` unless the app's token has the scope."""
        if scope not in self.scopes:
            provided = ",".join(sorted(self.scopes))
            raise SlackError("missing_scope", needed=scope, provided=provided)

    def need_channel_scope(self, channel: Channel, right: str) -> None:
        """The scope for a kind of conversation, e.g. `history` is im:history in a DM."""
        self.need_scope(f"{SCOPE_NAMES[channel.kind]}:{right}")


SCOPE_NAMES: dict[Kind, str] = {"channel": "channels", "private": "groups", "im": "im"}

Handler = Callable[[Call], Json]


@dataclass(frozen=True, slots=True)
class Method:
    """A method: its handler, the token and scope it needs, its rate tier (see pacing).

    `needs_team`: an org-wide token must say which team_id it means. `of_token`: it concerns the
    token and no team, so that team_id is not looked at.
    """

    name: str
    handler: Handler
    scope: str | None
    tier: int
    token: TokenKind
    needs_team: bool
    of_token: bool


METHODS: dict[str, Method] = {}


def method(
    name: str,
    *,
    scope: str | None = None,
    tier: int = 3,
    token: TokenKind = "bot",
    needs_team: bool = False,
    of_token: bool = False,
) -> Callable[[Handler], Handler]:
    """Register a handler for a Web API method."""

    def register(handler: Handler) -> Handler:
        METHODS[name] = Method(name, handler, scope, tier, token, needs_team, of_token)
        return handler

    return register
