"""The Slack app: Bolt on Socket Mode, with every listener wired to the parts it needs."""

from dataclasses import dataclass
from typing import Protocol

import aiohttp
import structlog
from pydantic import SecretStr
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
    AsyncServerErrorRetryHandler,
)
from slack_sdk.web.async_client import AsyncWebClient

from database.errors import ConfigurationError
from database.records import Reader
from slack_interface.answering import Answering
from slack_interface.background import Background
from slack_interface.commands import Commands
from slack_interface.conversation import Conversation
from slack_interface.feedback_handler import FeedbackHandler, Likeness
from slack_interface.files import SharedFiles
from slack_interface.inbox import Inbox, InboxRows
from slack_interface.listeners.actions import Actions
from slack_interface.listeners.commands import SlashCommands
from slack_interface.listeners.home import Home
from slack_interface.listeners.lifecycle import Lifecycle
from slack_interface.listeners.messages import Messages
from slack_interface.outgoing import Outgoing, OutgoingRows
from slack_interface.places import Places
from slack_interface.ports import Orchestrator, Record, Workflows
from slack_interface.reply_stream import Pace
from slack_interface.running import RunningReplies
from slack_interface.transport import TRANSPORT_ERRORS
from slack_interface.voice import Voice

log = structlog.get_logger()

REQUEST_TIMEOUT_S = 30
CONNECTIONS = 100
"""Open connections to Slack's API at once."""


class SlackSettings(Protocol):
    """What the Slack side reads of the settings."""

    @property
    def slack_bot_token(self) -> SecretStr | None:
        """`xoxb-...`."""

    @property
    def slack_app_token(self) -> SecretStr | None:
        """`xapp-...`, for Socket Mode."""

    @property
    def slack_api_url(self) -> str:
        """Where the Web API is."""


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


def web_client(token: str, api_url: str, session: aiohttp.ClientSession) -> AsyncWebClient:
    """A Web API client that waits as long as Slack says and tries server errors again."""
    return AsyncWebClient(
        token=token,
        base_url=api_url,
        session=session,
        retry_handlers=[
            AsyncConnectionErrorRetryHandler(max_retry_count=2),
            AsyncRateLimitErrorRetryHandler(max_retry_count=5),
            AsyncServerErrorRetryHandler(max_retry_count=2),
        ],
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
        inbox: InboxRows,
        outgoing: OutgoingRows,
        likeness: Likeness,
        pace: Pace | None = None,
    ) -> None:
        self._settings = settings
        self._orchestrator = orchestrator
        self._workflows = workflows
        self._store = store
        self._inbox_rows = inbox
        self._outgoing_rows = outgoing
        self._likeness = likeness
        self._pace = pace or Pace()
        self._session: aiohttp.ClientSession | None = None
        self._handler: AsyncSocketModeHandler | None = None
        self._wired: _Wired | None = None
        self.identity: Identity | None = None

    async def start(self) -> None:
        """Learn who we are, take up what was left, connect.

        Raises:
            ConfigurationError: a token is missing or refused; nothing was started.
        """
        bot_token, app_token = self._tokens()
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        )
        try:
            client = web_client(bot_token, self._settings.slack_api_url, self._session)
            self.identity = await identify(client)
            app = self._app(client)
            self._wired = self._wire(app, client, self.identity.bot_user_id)
            await self._wired.outgoing.start()
            resumed = await self._wired.inbox.resume()
            self._handler = AsyncSocketModeHandler(app, app_token)
            await self._connect(self._handler)
        except BaseException:
            await self.stop()
            raise
        log.info("slack_connected", team=self.identity.team_id, resumed=resumed)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Take nothing new, let running answers end, close; the rest resumes with `start`."""
        if self._handler:
            await self._handler.client.close()  # type: ignore[no-untyped-call]
            self._handler = None
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
        return self._handler is not None and await self._handler.client.is_connected()

    async def reader(self, user_id: str) -> Reader:
        """Everything a person may read, their private channels included."""
        return await self._wired.places.reader(user_id) if self._wired else Reader(user_id)

    def _tokens(self) -> tuple[str, str]:
        bot, app = self._settings.slack_bot_token, self._settings.slack_app_token
        if bot is None or app is None:
            missing = "SLACK_BOT_TOKEN (xoxb-...)" if bot is None else "SLACK_APP_TOKEN (xapp-...)"
            raise ConfigurationError(
                f"Set {missing}: see the README, connecting a workspace; or try `virtuous6 demo`."
            )
        return bot.get_secret_value(), app.get_secret_value()

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
        voice, places, files = Voice(client), Places(client), SharedFiles(client)
        running, background = RunningReplies(), Background()
        feedback = FeedbackHandler(self._orchestrator, self._store, self._likeness)
        answering = Answering(client, self._orchestrator, places, self._pace, running)
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
        )
        inbox = Inbox(self._inbox_rows, conversation.handle)
        outgoing = Outgoing(self._outgoing_rows, voice)
        home = Home(commands, background)
        Messages(bot_user_id, inbox, conversation, background).register(app)
        SlashCommands(inbox).register(app)
        home.register(app)
        Actions(inbox, commands, background).register(app)
        Lifecycle(bot_user_id, running, outgoing).register(app)
        return _Wired(inbox, outgoing, background, places, home)

    async def _connect(self, handler: AsyncSocketModeHandler) -> None:
        try:
            await handler.client.connect_to_new_endpoint()
        except SlackApiError as error:
            raise ConfigurationError(
                f"Slack refuses SLACK_APP_TOKEN ({error.response['error']}): make an app-level "
                "token with connections:write at api.slack.com/apps, Basic Information."
            ) from error
