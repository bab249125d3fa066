"""What a local workspace is started with."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]

APP_ID = "A0VIRTUOUS"
BOT_ID = "B0VIRTUOUS"
BOT_USER_ID = "U0VIRTUOUS"
TEAM_ID = "T0VIRTUOUS"

DEFAULT_SCOPES = frozenset(
    [
        "app_mentions:read",
        "assistant:write",
        "channels:history",
        "channels:join",
        "channels:read",
        "chat:write",
        "chat:write.customize",
        "chat:write.public",
        "commands",
        "files:read",
        "files:write",
        "groups:history",
        "groups:read",
        "im:history",
        "im:read",
        "im:write",
        "mpim:history",
        "mpim:read",
        "pins:write",
        "reactions:read",
        "reactions:write",
        "team:read",
        "users:read",
        "users:read.email",
    ]
)

DEFAULT_EVENTS = frozenset(
    [
        "agent_session_stopped",
        "app_context_changed",
        "app_home_opened",
        "app_mention",
        "app_uninstalled",
        "file_shared",
        "member_joined_channel",
        "message.channels",
        "message.groups",
        "message.im",
        "message.mpim",
        "reaction_added",
        "reaction_removed",
        "team_access_granted",
        "team_access_revoked",
        "tokens_revoked",
    ]
)


@dataclass(frozen=True, slots=True)
class Enterprise:
    """An organisation of several teams; `installed` has the app in all of them from the start."""

    id: str = "E0VIRTUOUS"
    name: str = "Virtuous6 Org"
    installed: bool = False
    bot_token: str | None = None


@dataclass(frozen=True, slots=True)
class Team:
    """One workspace. `installed` False: nobody has installed the app there yet.

    `bot_token` is the token of an installed app, random unless given. Ids of people and channels
    are the same in every team, so that a mix-up of two teams shows.
    """

    id: str = TEAM_ID
    name: str = "Virtuous6 Local"
    enterprise: Enterprise | None = None
    installed: bool = True
    bot_token: str | None = None

    @property
    def domain(self) -> str:
        """The name as addresses have it."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def ids(self) -> tuple[str, ...]:
        """The team's id and that of its organisation."""
        return (self.id,) if self.enterprise is None else (self.id, self.enterprise.id)


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command the app declared; `should_escape` turns @name and #channel into ids."""

    command: str
    description: str = ""
    usage_hint: str = ""
    should_escape: bool = False


@dataclass(frozen=True, slots=True)
class Secrets:
    """Tokens and keys of the app; random unless given. `bot_token` is the first team's."""

    bot_token: str = field(default_factory=lambda: f"xoxb-local-{secrets.token_hex(16)}")
    app_token: str = field(default_factory=lambda: f"xapp-1-{APP_ID}-{secrets.token_hex(16)}")
    signing_secret: str = field(default_factory=lambda: secrets.token_hex(16))
    verification_token: str = field(default_factory=lambda: secrets.token_hex(12))
    client_id: str = "1000000000000.2000000000000"
    client_secret: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class AppConfig:
    """The app as its manifest describes it.

    `commands` is None when nothing was declared: then every slash command is passed on. Where no
    redirect URL was declared, OAuth goes back to any address on this machine.
    """

    name: str = "Virtuous6"
    description: str = ""
    scopes: frozenset[str] = DEFAULT_SCOPES
    events: frozenset[str] = DEFAULT_EVENTS
    commands: tuple[Command, ...] | None = None
    shortcuts: tuple[Json, ...] = ()
    prompts: tuple[Json, ...] = ()
    redirect_urls: tuple[str, ...] = ()
    token_rotation: bool = False
    org_deploy: bool = True

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> "AppConfig":
        """Read scopes, events, commands, shortcuts, prompts and OAuth from a manifest (JSON)."""
        features = manifest.get("features", {})
        agent = features.get("agent_view") or features.get("assistant_view") or {}
        about = manifest.get("display_information", {})
        settings = manifest.get("settings", {})
        oauth = manifest.get("oauth_config", {})
        events = settings.get("event_subscriptions", {}).get("bot_events", [])
        return cls(
            name=features.get("bot_user", {}).get("display_name") or about.get("name", "App"),
            description=agent.get("agent_description") or about.get("description", ""),
            scopes=frozenset(oauth.get("scopes", {}).get("bot", [])),
            events=frozenset(events),
            commands=tuple(_command(declared) for declared in features.get("slash_commands", [])),
            shortcuts=tuple(features.get("shortcuts", [])),
            prompts=tuple(agent.get("suggested_prompts", [])),
            redirect_urls=tuple(oauth.get("redirect_urls", [])),
            token_rotation=bool(settings.get("token_rotation_enabled")),
            org_deploy=bool(settings.get("org_deploy_enabled")),
        )


def _command(declared: Mapping[str, Any]) -> Command:
    return Command(
        declared["command"],
        declared.get("description", ""),
        declared.get("usage_hint", ""),
        bool(declared.get("should_escape")),
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """Slack's limits that a test may want to move. Lengths in characters, times in seconds.

    Sources: docs.slack.dev method and block pages; the stream's lifetime and size and the whole
    message's markdown budget are not documented and come from reports of people who measured.
    """

    ack_s: float = 3.0
    retry_after_s: tuple[float, ...] = (0.0, 60.0, 300.0)
    trigger_s: float = 3.0
    response_url_s: float = 1800.0
    response_url_uses: int = 5
    status_s: float = 120.0
    stream_lifetime_s: float = 300.0
    stream_chars: int = 40_000
    socket_refresh_s: float = 18_060.0
    sockets: int = 10
    oauth_code_s: float = 600.0
    access_token_s: float = 43_200.0


@dataclass(frozen=True, slots=True)
class WorkspaceConfig:
    """Everything `build_app` needs; the defaults make a fresh, forgetful workspace."""

    port: int = 0
    host: str = "127.0.0.1"
    state_file: Path | None = None
    teams: tuple[Team, ...] = (Team(),)
    app: AppConfig = field(default_factory=AppConfig)
    secrets: Secrets = field(default_factory=Secrets)
    limits: Limits = field(default_factory=Limits)
    pacing: bool = True
    clock_rate: float = 1.0
    echo_own_messages: bool = True
    log_size: int = 5_000
