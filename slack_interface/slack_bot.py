"""The Slack app: Bolt on Socket Mode or HTTP, with every listener wired to the parts it needs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import aiohttp
import structlog
from pydantic import SecretStr
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from database.errors import ConfigurationError, VirtuousError
from database.records import Reader
from slack_interface.administration import Administration, Decisions
from slack_interface.answering import Answering
from slack_interface.background import Background
from slack_interface.commands import Commands
from slack_interface.conversation import Conversation
from slack_interface.feedback_handler import FeedbackHandler, Likeness
from slack_interface.files import SharedFiles
from slack_interface.gate import ClickGuard, Gate, SpeakingPolicy
from slack_interface.http_server import HttpServer, Listen
from slack_interface.inbox import Inbox, InboxRows
from slack_interface.listeners.actions import Actions
from slack_interface.listeners.commands import SlashCommands
from slack_interface.listeners.failures import Failures
from slack_interface.listeners.home import Home
from slack_interface.listeners.lifecycle import Lifecycle
from slack_interface.listeners.messages import Messages
from slack_interface.members import Members
from slack_interface.outgoing import Outgoing, OutgoingRows
from slack_interface.pace import Pace
from slack_interface.places import Places
from slack_interface.ports import Orchestrator, Record, Workflows
from slack_interface.proactive import Proactive, ProactivePolicy
from slack_interface.running import RunningReplies
from slack_interface.sends import SendRows, Sends
from slack_interface.socket_mode import SocketMode
from slack_interface.transport import TRANSPORT_ERRORS, retry_handlers
from slack_interface.voice import Voice

log = structlog.get_logger()

Mode = Literal["socket", "http"]
"""How Slack's events come in."""

REQUEST_TIMEOUT_S = 30
CONNECTIONS = 100
"""Open connections to Slack's API at once."""
PROBE_S = 2.0
BACKLOG = 500
"""With so many messages unanswered this process is sent no more."""


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


class CoordinationRows(InboxRows, SendRows, Protocol):
    """The inbox's rows and the ledger of sends, in a file that can be tried."""

    async def claim(self, name: str, ttl: float) -> bool:
        """Write a row; True for one caller only until `ttl` seconds have passed."""


class SlackPolicy(SpeakingPolicy, Decisions, ProactivePolicy, Protocol):
    """What approvers decided, and the way to decide (orchestrator.policy.Policy)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are in the workspace (auth.test)."""

    team_id: str
    team_name: str
    bot_user_id: str


@dataclass(frozen=True, slots=True)
class _Wired:
    """The parts of a started bot."""

    inbox: Inbox
    outgoing: Outgoing
    background: Background
    places: Places
    home: Home


async def identify(client: AsyncWebClient) -> Identity:
    """Ask Slack who this token is.

    Raises:
        ConfigurationError: Slack refuses the token, or cannot be reached.
    """
    try:
        answer = await client.auth_test()
    except SlackApiError as error:
        raise ConfigurationError(
            f"Slack refuses SLACK_BOT_TOKEN ({error.response['error']}): copy it again from "
            "api.slack.com/apps, OAuth & Permissions."
        ) from error
    except TRANSPORT_ERRORS as error:
        raise ConfigurationError(
            f"{client.base_url} cannot be reached: check the network, or SLACK_API_URL."
        ) from error
    return Identity(answer["team_id"], answer.get("team") or "", answer["user_id"])


def needed_secrets(settings: SlackSettings, mode: Mode) -> tuple[str, str]:
    """The bot token, and the app token or in HTTP mode the signing secret.

    Raises ConfigurationError that says which is missing.
    """
    bot = _needed(settings.slack_bot_token, "SLACK_BOT_TOKEN (xoxb-...)")
    if mode == "socket":
        return bot, _needed(settings.slack_app_token, "SLACK_APP_TOKEN (xapp-...)")
    what = "SLACK_SIGNING_SECRET (api.slack.com/apps, Basic Information)"
    return bot, _needed(settings.slack_signing_secret, what)


def web_client(token: str, api_url: str, session: aiohttp.ClientSession) -> AsyncWebClient:
    """A Web API client that waits as long as Slack says and tries server errors again."""
    return AsyncWebClient(
        token=token,
        base_url=api_url,
        session=session,
        retry_handlers=retry_handlers(),
    )


class SlackBot:
    """Connects the house to one workspace; `start` returns when messages are being taken."""

    def __init__(
        self,
        *,
        settings: SlackSettings,
        orchestrator: Orchestrator,
        workflows: Workflows,
        store: Record,
        inbox: CoordinationRows,
        outgoing: OutgoingRows,
        likeness: Likeness,
        policy: SlackPolicy,
        approvers: Sequence[str] = (),
        pace: Pace | None = None,
    ) -> None:
        self._settings = settings
        self._orchestrator = orchestrator
        self._workflows = workflows
        self._store = store
        self._inbox_rows = inbox
        self._outgoing_rows = outgoing
        self._likeness = likeness
        self._policy = policy
        self._approvers = approvers
        self._pace = pace or Pace()
        self._session: aiohttp.ClientSession | None = None
        self._socket: SocketMode | None = None
        self._server: HttpServer | None = None
        self._wired: _Wired | None = None
        self.identity: Identity | None = None

    async def start(self, mode: Mode = "socket", listen: Listen | None = None) -> None:
        """Learn who we are, take up what was left, connect.

        `listen` is where HTTP is served: everything in HTTP mode, only health in Socket Mode.

        Raises:
            ConfigurationError: a token is missing or refused; nothing was started.
        """
        bot_token, key = needed_secrets(self._settings, mode)
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        )
        try:
            await self._serve(mode, listen, key)
            client = web_client(bot_token, self._settings.slack_api_url, self._session)
            self.identity = await identify(client)
            app = self._app(client)
            self._wired = self._wire(app, client, self.identity.bot_user_id)
            await self._wired.outgoing.start()
            resumed = await self._wired.inbox.resume()
            if mode == "socket":
                self._socket = SocketMode(app, self._session, key)
                await self._socket.start()
            elif self._server:
                self._server.open_to(app)
        except BaseException:
            await self.stop()
            raise
        log.info("slack_connected", team=self.identity.team_id, resumed=resumed)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Take nothing new, let running answers end, close; the rest resumes with `start`."""
        if self._socket:
            await self._socket.stop()
            self._socket = None
        if self._server:
            await self._server.stop()
            self._server = None
        if self._wired:
            await self._wired.inbox.close(grace_s)
            await self._wired.background.close()
            await self._wired.outgoing.close()
            self._wired = None
        if self._session:
            await self._session.close()
            self._session = None

    async def idle(self) -> None:
        """Return when everything that came in is done (tests, benchmarks)."""
        if self._wired:
            await self._wired.inbox.idle()
            await self._wired.background.idle()
            await self._wired.outgoing.idle()

    async def connected(self) -> bool:
        """Whether Slack's events reach us right now."""
        if self._socket:
            return self._socket.connected()
        return self._server is not None and self._server.is_open

    @property
    def port(self) -> int | None:
        """The port where HTTP is served, while it is."""
        return self._server.port if self._server else None

    async def not_ready(self) -> list[str]:
        """Why messages cannot be answered right now, for whoever runs us; empty when they can."""
        reasons = []
        if self.identity is None:
            reasons.append("Slack has not said yet who we are.")
        elif not await self.connected():
            reasons.append("There is no connection to Slack.")
        if self._wired and self._wired.inbox.unfinished >= BACKLOG:
            reasons.append(f"{self._wired.inbox.unfinished} messages are not answered yet.")
        try:
            async with asyncio.timeout(PROBE_S):
                await self._inbox_rows.claim("readiness", ttl=0.0)
        except (VirtuousError, TimeoutError) as error:
            log.warning("database_not_writable", error=str(error) or "it takes too long")
            reasons.append("The database cannot be written; the log says why.")
        return reasons

    async def reader(self, user_id: str) -> Reader:
        """Everything a person may read, their private channels included."""
        return await self._wired.places.reader(user_id) if self._wired else Reader(user_id)

    async def _serve(self, mode: Mode, listen: Listen | None, key: str) -> None:
        if mode == "http":
            self._server = HttpServer(listen or Listen(), self.not_ready, key)
        elif listen:
            self._server = HttpServer(listen, self.not_ready)
        if self._server:
            await self._server.start()

    def _app(self, client: AsyncWebClient) -> AsyncApp:
        """Bolt acknowledges when a listener returns, so that what it keeps is kept by then."""
        return AsyncApp(
            name="virtuous6",
            client=client,
            process_before_response=True,
            request_verification_enabled=False,
            ssl_check_enabled=False,
            attaching_function_token_enabled=False,
            attaching_conversation_kwargs_enabled=False,
        )

    def _wire(self, app: AsyncApp, client: AsyncWebClient, bot_user_id: str) -> _Wired:
        sends = Sends(client, self._inbox_rows, bot_user_id)
        voice, files, members = Voice(client, sends), SharedFiles(client), Members(client)
        places = Places(client, members)
        gate = Gate(self._policy, members, places, self._inbox_rows, voice, self._approvers)
        administration = Administration(self._policy, gate, voice)
        running, background = RunningReplies(), Background()
        feedback = FeedbackHandler(self._orchestrator, self._store, self._likeness)
        answering = Answering(
            client, self._orchestrator, self._store, places, self._pace, running, sends, voice
        )
        commands = Commands(answering, self._workflows, self._store, feedback, places, files, voice)
        conversation = Conversation(
            bot_user_id,
            self._orchestrator,
            self._store,
            places,
            files,
            answering,
            commands,
            feedback,
            voice,
            gate,
            administration,
        )
        inbox = Inbox(self._inbox_rows, conversation.handle)
        outgoing = Outgoing(self._outgoing_rows, voice)
        proactive = Proactive(self._policy, self._inbox_rows, outgoing)
        home = Home(commands, background, administration)
        guard = ClickGuard(gate, background)
        Messages(bot_user_id, inbox, conversation, background).register(app)
        SlashCommands(inbox).register(app)
        home.register(app)
        Actions(inbox, commands, background, guard).register(app)
        Lifecycle(bot_user_id, running, proactive).register(app)
        Failures(bot_user_id, voice, background).register(app)
        return _Wired(inbox, outgoing, background, places, home)


def _needed(value: SecretStr | None, name: str) -> str:
    if value is None or not value.get_secret_value().strip():
        raise ConfigurationError(
            f"Set {name}: see the README, connecting a workspace; or try `virtuous6 demo`."
        )
    return value.get_secret_value()
