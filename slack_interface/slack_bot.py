"""The whole Slack side of a process: how events come in, the desks they go to, and readiness."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Literal, Protocol

import aiohttp
import structlog
from pydantic import SecretStr

from database.errors import ConfigurationError
from database.installations import Installation
from slack_interface.background import Background
from slack_interface.departures import Departures, Erase, Farewell
from slack_interface.desk import Desk, Furnish
from slack_interface.http_server import Figures, HttpServer, Listen
from slack_interface.installations import Account, Installations, Ledger
from slack_interface.oauth import InstallPages, OAuthApp
from slack_interface.renewing import Renewals
from slack_interface.socket_mode import SocketMode
from slack_interface.switchboard import Switchboard
from slack_interface.web_client import (
    Identity,
    WorkspaceClient,
    identify_own,
    session,
    web_client,
)

log = structlog.get_logger()

Mode = Literal["socket", "http"]
"""How Slack's events come in."""

OPENING_AT_ONCE = 8


class SlackSettings(Protocol):
    """What the Slack side reads of the settings."""

    @property
    def slack_bot_token(self) -> SecretStr | None:
        """`xoxb-...`: the one workspace, where it does not come by OAuth."""

    @property
    def slack_app_token(self) -> SecretStr | None:
        """`xapp-...`, for Socket Mode."""

    @property
    def slack_signing_secret(self) -> SecretStr | None:
        """Signs what Slack sends in HTTP mode."""

    @property
    def slack_client_id(self) -> str | None:
        """With the secret: the app can be installed from our page."""

    @property
    def slack_client_secret(self) -> SecretStr | None:
        """Proves to Slack that we are the app."""

    @property
    def slack_api_url(self) -> str:
        """Where the Web API is."""

    @property
    def virtuous6_public_url(self) -> str | None:
        """Where our HTTP server is reached from outside."""


def installable(settings: SlackSettings) -> bool:
    """Whether workspaces can install the app by OAuth. Raises ConfigurationError for a half."""
    name, secret = settings.slack_client_id, _text(settings.slack_client_secret)
    if bool(name) != bool(secret):
        missing = "SLACK_CLIENT_SECRET" if name else "SLACK_CLIENT_ID"
        raise ConfigurationError(
            f"Set {missing} too (api.slack.com/apps, Basic Information), or neither of the two."
        )
    return bool(name)


def needed_secret(settings: SlackSettings, mode: Mode) -> str:
    """The app token, or in HTTP mode the signing secret.

    Raises ConfigurationError that says which is missing, also of the token of a workspace.
    """
    if not installable(settings):
        _needed(settings.slack_bot_token, "SLACK_BOT_TOKEN (xoxb-...)")
    if mode == "socket":
        return _needed(settings.slack_app_token, "SLACK_APP_TOKEN (xapp-...)")
    what = "SLACK_SIGNING_SECRET (api.slack.com/apps, Basic Information)"
    return _needed(settings.slack_signing_secret, what)


async def check_token(settings: SlackSettings, mode: Mode) -> None:
    """Whether what is configured is good, before anything slow is started.

    Raises ConfigurationError.
    """
    needed_secret(settings, mode)
    if token := _text(settings.slack_bot_token):
        async with session() as connections:
            await identify_own(web_client(token, settings.slack_api_url, connections))


class SlackBot:
    """Connects the house to Slack; `start` returns when messages are being taken."""

    def __init__(
        self,
        *,
        settings: SlackSettings,
        furnish: Furnish,
        ledger: Ledger,
        erase: Erase,
        figures: Figures | None = None,
    ) -> None:
        self._settings = settings
        self._figures = figures
        self._ledger = ledger
        self._installations = Installations(ledger, alone=not settings.slack_client_id)
        self._switchboard = Switchboard(
            self._installations, furnish, self._client_for, self._sent_away
        )
        self._departures = Departures(
            ledger, self._installations, self._client_for, self._switchboard.close_one, erase
        )
        self._renewals = Renewals(
            ledger,
            self._installations,
            settings.slack_client_id or "",
            _text(settings.slack_client_secret),
            self._web,
            self._renewed,
        )
        self._background = Background()
        self._coming_and_going = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._socket: SocketMode | None = None
        self._server: HttpServer | None = None
        self._started = False

    async def start(self, mode: Mode = "socket", listen: Listen | None = None) -> None:
        """Learn who we are, take up what was left, connect.

        `listen` is where HTTP is served: everything in HTTP mode, only health and the pages for
        installing in Socket Mode.

        Raises:
            ConfigurationError: a token is missing or refused; nothing was started.
        """
        key = needed_secret(self._settings, mode)
        self._session = session()
        try:
            await self._serve(mode, listen, key)
            self._installations.load()
            await self._open_own()
            self._started = True
            if mode == "socket":
                self._socket = SocketMode(self._switchboard.take, self._web(), self._session, key)
                await self._socket.start()
            elif self._server:
                self._server.open_to(self._switchboard.take)
            self._background.spawn(self._catch_up())
        except BaseException:
            await self.stop()
            raise
        log.info("slack_connected", mode=mode)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Take nothing new, let running answers end, close; the rest resumes with `start`."""
        if self._socket:
            await self._socket.stop()
            self._socket = None
        if self._server:
            await self._server.stop()
            self._server = None
        await self._background.close()
        await self._switchboard.close(grace_s)
        if self._session:
            await self._session.close()
            self._session = None

    async def look_after(self) -> None:
        """Every few minutes: tokens that expire, departures not settled, desks not open."""
        self._installations.load()
        await self._catch_up()
        await self._switchboard.check()

    async def idle(self) -> None:
        """Return when everything that came in is done (tests, benchmarks)."""
        await self._background.idle()
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
        if not self._started:
            reasons.append("Slack has not said yet who we are.")
        elif not await self.connected():
            reasons.append("There is no connection to Slack.")
        return reasons + await self._switchboard.not_ready()

    async def install(self, installation: Installation) -> None:
        """Keep an installation and open its desk; the same one again brings new tokens.

        Raises StoreError where it could not be kept.
        """
        async with self._coming_and_going:
            await self._ledger.save(installation)
            await self._ledger.stay(installation.holder)
            self._renewals.replaced(installation.holder)
            self._installations.learn(installation)
            self._renewed(installation)
        await self._open_installed()

    async def _serve(self, mode: Mode, listen: Listen | None, key: str) -> None:
        pages = self._pages().routes() if installable(self._settings) else []
        if mode == "http":
            server = listen or Listen()
            self._server = HttpServer(server, self.not_ready, key, pages, self._figures)
        elif listen:
            self._server = HttpServer(listen, self.not_ready, "", pages, self._figures)
        if self._server:
            await self._server.start()

    def _pages(self) -> InstallPages:
        settings = self._settings
        app = OAuthApp(
            settings.slack_client_id or "",
            _text(settings.slack_client_secret),
            settings.slack_api_url,
            settings.virtuous6_public_url or "",
        )
        return InstallPages(app, self._ledger, self._web, self.install)

    async def _open_own(self) -> None:
        """The workspace of the environment's token, if there is one."""
        if token := _text(self._settings.slack_bot_token):
            identity: Identity = await identify_own(self._client_for(Account("", token)))
            account = self._installations.add_own(identity.team_id, token)
            await self._switchboard.open(account, identity)

    async def _catch_up(self) -> None:
        await self._renewals.check()
        await self._settle()
        await self._open_installed()

    async def _open_installed(self) -> None:
        """Every other desk, so that its inbox resumes; one that fails keeps none from opening."""
        turns = asyncio.Semaphore(OPENING_AT_ONCE)

        async def open_one(account: Account) -> None:
            async with turns:
                await self._switchboard.try_open(account)

        await asyncio.gather(*(open_one(one) for one in self._installations.accounts()))

    async def _sent_away(self, said: Sequence[Farewell]) -> None:
        for farewell in said:
            await self._departures.note(farewell)
        if said:
            self._background.spawn(self._settle())

    async def _settle(self) -> None:
        async with self._coming_and_going:
            await self._departures.settle_all()

    def _renewed(self, installation: Installation) -> None:
        for account in self._installations.accounts():
            if account.holder == installation.holder:
                self._switchboard.renewed(account)

    def _client_for(self, account: Account) -> WorkspaceClient:
        team_id = account.team_id if account.org else None
        client = self._web(account.token, team_id)
        if account.holder:
            client.renew = partial(self._renewals.renew, account.holder)
        return client

    def _web(self, token: str | None = None, team_id: str | None = None) -> WorkspaceClient:
        assert self._session, "clients are made between start and stop"
        return web_client(token, self._settings.slack_api_url, self._session, team_id)


def _text(value: SecretStr | None) -> str:
    return value.get_secret_value().strip() if value else ""


def _needed(value: SecretStr | None, name: str) -> str:
    if not _text(value):
        raise ConfigurationError(
            f"Set {name}: see the README, connecting a workspace; or try `virtuous6 demo`."
        )
    return _text(value)
