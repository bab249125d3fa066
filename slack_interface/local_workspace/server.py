"""A workspace, or several, that run in the caller's event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import uvicorn

from slack_interface.local_workspace import consent, persistence
from slack_interface.local_workspace.application import build_app
from slack_interface.local_workspace.config import (
    AppConfig,
    Limits,
    Secrets,
    Team,
    WorkspaceConfig,
)
from slack_interface.local_workspace.errors import WorkspaceError
from slack_interface.local_workspace.runtime import Runtime
from slack_interface.local_workspace.teams import Teams
from slack_interface.local_workspace.web_api.endpoint import PREFIX


@dataclass(frozen=True, slots=True)
class LocalTeam:
    """One team of a running workspace, as a caller sees it."""

    runtime: Runtime

    @property
    def id(self) -> str:
        """T..."""
        return self.runtime.team.id

    @property
    def name(self) -> str:
        """What people call it."""
        return self.runtime.team.name

    @property
    def url(self) -> str:
        """Address of its page, and of its scripting API with /_control; no slash at the end."""
        return self.runtime.base_url

    @property
    def bot_token(self) -> str:
        """The newest token of the app here (an org-wide one too); empty when not installed."""
        installation = self.runtime.installation
        return installation.token.value if installation else ""


class LocalWorkspace:
    """A running workspace: `async with LocalWorkspace() as ws:` serves until the block ends.

    `port` 0 takes a free one. With a `state_file` a second start remembers, tokens included.
    `manifest` is the app's manifest (scopes, events, commands); `limits` moves Slack's limits.
    Several `teams` have one API address, one app and one connection of it; the first is the one
    that the properties here speak of.
    """

    def __init__(
        self,
        port: int = 0,
        state_file: Path | None = None,
        *,
        manifest: Mapping[str, Any] | None = None,
        app: AppConfig | None = None,
        teams: Sequence[Team] = (Team(),),
        token_rotation: bool | None = None,
        redirect_urls: Sequence[str] | None = None,
        secrets: Secrets | None = None,
        limits: Limits | None = None,
        pacing: bool = True,
        clock_rate: float = 1.0,
        echo_own_messages: bool = True,
    ) -> None:
        snapshot = persistence.load(state_file) if state_file else None
        described = AppConfig.from_manifest(manifest) if manifest is not None else AppConfig()
        described = app or described
        if token_rotation is not None:
            described = replace(described, token_rotation=token_rotation)
        if redirect_urls is not None:
            described = replace(described, redirect_urls=tuple(redirect_urls))
        self._socket = _listen(port)
        self.config = WorkspaceConfig(
            port=self._socket.getsockname()[1],
            state_file=state_file,
            teams=tuple(teams),
            app=described,
            secrets=secrets or persistence.stored_secrets(snapshot) or Secrets(),
            limits=limits or Limits(),
            pacing=pacing,
            clock_rate=clock_rate,
            echo_own_messages=echo_own_messages,
        )
        self._teams = Teams(self.config)
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def runtime(self) -> Runtime:
        """The first team's state, and what all share."""
        return self._teams.first

    @property
    def teams(self) -> tuple[LocalTeam, ...]:
        """All teams, in the order given."""
        return tuple(LocalTeam(runtime) for runtime in self._teams.runtimes.values())

    @property
    def url(self) -> str:
        """Address of the page, without a slash at the end."""
        return self.runtime.base_url

    @property
    def api_url(self) -> str:
        """For SLACK_API_URL: http://127.0.0.1:PORT/api/."""
        return f"{self.url}{PREFIX}"

    @property
    def bot_token(self) -> str:
        """xoxb-..., or empty while the app is not installed."""
        return LocalTeam(self.runtime).bot_token

    @property
    def app_token(self) -> str:
        """xapp-..."""
        return self.config.secrets.app_token

    @property
    def signing_secret(self) -> str:
        """For HTTP mode."""
        return self.config.secrets.signing_secret

    @property
    def client_id(self) -> str:
        """The app's, for OAuth."""
        return self.config.secrets.client_id

    @property
    def client_secret(self) -> str:
        """The app's, for OAuth."""
        return self.config.secrets.client_secret

    @property
    def authorize_url(self) -> str:
        """Where an installation begins: /oauth/v2/authorize, as at Slack."""
        return f"{self.url}/oauth/v2/authorize"

    def consent(self, url: str, team: str, user: str = "ada", *, allow: bool = True) -> str:
        """Answer the consent page at `url` as a person; the address they are sent to.

        `team` is a workspace or, for an org-wide installation, an organisation. Raises SlackError
        for what the app asked wrongly, ControlError for a team or person that is not there.
        """
        asked = consent.read(self._teams, dict(parse_qsl(urlsplit(url).query)))
        return consent.decide(self._teams, asked, team, user, allow=allow)

    @property
    def oauth_environment(self) -> dict[str, str]:
        """The variables of an app that is installed by OAuth, in several teams perhaps."""
        wanted = {name: v for name, v in self.environment.items() if name != "SLACK_BOT_TOKEN"}
        return {
            **wanted,
            "SLACK_CLIENT_ID": self.client_id,
            "SLACK_CLIENT_SECRET": self.client_secret,
        }

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point an app at this workspace."""
        return {
            "SLACK_API_URL": self.api_url,
            "SLACK_BOT_TOKEN": self.bot_token,
            "SLACK_APP_TOKEN": self.app_token,
            "SLACK_SIGNING_SECRET": self.signing_secret,
        }

    async def set_request_url(self, url: str | None) -> None:
        """HTTP mode at this URL (verified first), or Socket Mode again with None."""
        await self._teams.platform.set_request_url(url)

    async def reset(self) -> None:
        """Forget everything of every team; the app stays connected."""
        await self._teams.reset()

    async def __aenter__(self) -> Self:
        """Serve; returns once requests are answered."""
        app = build_app(self.config, self._teams)
        settings = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            ws="websockets-sansio",
            ws_ping_interval=30,
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(settings)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._serving.done():
                await self._serving
                raise WorkspaceError("The local workspace stopped before it served anything.")
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving; the snapshot is written."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
        self._socket.close()

    async def wait(self) -> None:
        """Until the server ends."""
        if self._serving is not None:
            await self._serving


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the event loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as problem:
        listener.close()
        raise WorkspaceError(
            f"Port {port} cannot be used ({problem.strerror}); choose another with --port."
        ) from None
    return listener
