"""The whole Slack side of a process: how events come in, the desks they go to, and readiness."""

from typing import Literal, Protocol

import aiohttp
import structlog
from pydantic import SecretStr
from slack_sdk.web.async_client import AsyncWebClient

from database.errors import ConfigurationError
from slack_interface.desk import Desk, Furnish
from slack_interface.http_server import HttpServer, Listen
from slack_interface.installations import Account, Installations
from slack_interface.socket_mode import SocketMode
from slack_interface.switchboard import Switchboard
from slack_interface.web_client import Identity, identify_own, session, web_client

log = structlog.get_logger()

Mode = Literal["socket", "http"]
"""How Slack's events come in."""


class SlackSettings(Protocol):
    """What the Slack side reads of the settings."""

    @property
    def slack_bot_token(self) -> SecretStr | None:
        """`xoxb-...`."""

    @property
    def slack_app_token(self) -> SecretStr | None:
        """`xapp-...`, for Socket Mode."""

    @property
    def slack_signing_secret(self) -> SecretStr | None:
        """Signs what Slack sends in HTTP mode."""

    @property
    def slack_api_url(self) -> str:
        """Where the Web API is."""


def needed_secrets(settings: SlackSettings, mode: Mode) -> tuple[str, str]:
    """The bot token, and the app token or in HTTP mode the signing secret.

    Raises ConfigurationError that says which is missing.
    """
    bot = _needed(settings.slack_bot_token, "SLACK_BOT_TOKEN (xoxb-...)")
    if mode == "socket":
        return bot, _needed(settings.slack_app_token, "SLACK_APP_TOKEN (xapp-...)")
    what = "SLACK_SIGNING_SECRET (api.slack.com/apps, Basic Information)"
    return bot, _needed(settings.slack_signing_secret, what)


async def check_token(settings: SlackSettings, mode: Mode) -> Identity:
    """Who the configured token is, before anything slow is started. Raises ConfigurationError."""
    token, _ = needed_secrets(settings, mode)
    async with session() as connections:
        return await identify_own(web_client(token, settings.slack_api_url, connections))


class SlackBot:
    """Connects the house to Slack; `start` returns when messages are being taken."""

    def __init__(self, *, settings: SlackSettings, furnish: Furnish) -> None:
        self._settings = settings
        self._installations = Installations()
        self._switchboard = Switchboard(self._installations, furnish, self._client_for)
        self._session: aiohttp.ClientSession | None = None
        self._socket: SocketMode | None = None
        self._server: HttpServer | None = None
        self.identity: Identity | None = None

    async def start(self, mode: Mode = "socket", listen: Listen | None = None) -> None:
        """Learn who we are, take up what was left, connect.

        `listen` is where HTTP is served: everything in HTTP mode, only health in Socket Mode.

        Raises:
            ConfigurationError: a token is missing or refused; nothing was started.
        """
        bot_token, key = needed_secrets(self._settings, mode)
        self._session = session()
        try:
            await self._serve(mode, listen, key)
            await self._open_own(bot_token)
            if mode == "socket":
                web = web_client(None, self._settings.slack_api_url, self._session)
                self._socket = SocketMode(self._switchboard.take, web, self._session, key)
                await self._socket.start()
            elif self._server:
                self._server.open_to(self._switchboard.take)
        except BaseException:
            await self.stop()
            raise
        log.info("slack_connected", desks=len(self._switchboard.desks))

    async def stop(self, grace_s: float = 5.0) -> None:
        """Take nothing new, let running answers end, close; the rest resumes with `start`."""
        if self._socket:
            await self._socket.stop()
            self._socket = None
        if self._server:
            await self._server.stop()
            self._server = None
        await self._switchboard.close(grace_s)
        if self._session:
            await self._session.close()
            self._session = None

    async def idle(self) -> None:
        """Return when everything that came in is done (tests, benchmarks)."""
        await self._switchboard.idle()

    async def connected(self) -> bool:
        """Whether Slack's events reach us right now."""
        if self._socket:
            return self._socket.connected()
        return self._server is not None and self._server.is_open

    @property
    def port(self) -> int | None:
        """The port where HTTP is served, while it is."""
        return self._server.port if self._server else None

    @property
    def desks(self) -> list[Desk]:
        """The workspaces that are being answered."""
        return self._switchboard.desks

    async def not_ready(self) -> list[str]:
        """Why messages cannot be answered right now, for whoever runs us; empty when they can."""
        reasons = []
        if self.identity is None:
            reasons.append("Slack has not said yet who we are.")
        elif not await self.connected():
            reasons.append("There is no connection to Slack.")
        return reasons + await self._switchboard.not_ready()

    async def _serve(self, mode: Mode, listen: Listen | None, key: str) -> None:
        if mode == "http":
            self._server = HttpServer(listen or Listen(), self.not_ready, key)
        elif listen:
            self._server = HttpServer(listen, self.not_ready)
        if self._server:
            await self._server.start()

    async def _open_own(self, bot_token: str) -> None:
        client = self._client_for(Account("", bot_token))
        self.identity = await identify_own(client)
        account = Account(self.identity.team_id, bot_token)
        self._installations.add(account)
        await self._switchboard.open(account, self.identity)

    def _client_for(self, account: Account) -> AsyncWebClient:
        assert self._session, "clients are made between start and stop"
        return web_client(account.token, self._settings.slack_api_url, self._session)


def _needed(value: SecretStr | None, name: str) -> str:
    if value is None or not value.get_secret_value().strip():
        raise ConfigurationError(
            f"Set {name}: see the README, connecting a workspace; or try `virtuous6 demo`."
        )
    return value.get_secret_value()
