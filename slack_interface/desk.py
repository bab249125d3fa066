"""One workspace's desk: a Bolt app whose every listener knows that workspace's parts only."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import structlog
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from database.errors import VirtuousError
from slack_interface.administration import Administration, Decisions
from slack_interface.answering import Answering
from slack_interface.approvals import Approvals
from slack_interface.background import Background
from slack_interface.commands import Commands
from slack_interface.conversation import Conversation
from slack_interface.feedback_handler import FeedbackHandler, Likeness
from slack_interface.files import SharedFiles
from slack_interface.gate import ClickGuard, Gate, SpeakingPolicy
from slack_interface.goal_showing import GoalShowing
from slack_interface.goals import Goals
from slack_interface.inbox import Inbox, InboxRows
from slack_interface.learning import Learning, SummaryPolicy
from slack_interface.listeners.actions import Actions
from slack_interface.listeners.commands import SlashCommands
from slack_interface.listeners.failures import Failures
from slack_interface.listeners.goals import GoalClicks
from slack_interface.listeners.home import Home
from slack_interface.listeners.learning import LearningClicks
from slack_interface.listeners.lifecycle import Lifecycle
from slack_interface.listeners.messages import Messages
from slack_interface.listeners.my_data import MyDataClicks
from slack_interface.listeners.pressed import Pressed
from slack_interface.members import Members
from slack_interface.my_data import MyData
from slack_interface.outgoing import Outgoing, OutgoingRows, Post
from slack_interface.pace import Pace
from slack_interface.places import Places
from slack_interface.ports import (
    GoalsPort,
    ImprovementPort,
    Orchestrator,
    OwnData,
    Record,
    Workflows,
)
from slack_interface.proactive import Proactive, ProactivePolicy
from slack_interface.running import RunningReplies
from slack_interface.sends import SendRows, Sends
from slack_interface.voice import Voice
from slack_interface.web_client import Identity, WorkspaceClient

log = structlog.get_logger()

PROBE_S = 2.0
BACKLOG = 500
"""With so many messages unanswered this process is sent no more."""


class Rows(InboxRows, SendRows, OutgoingRows, Protocol):
    """What is on its way, in a file that can be tried (database.coordination)."""

    async def claim(self, name: str, ttl: float) -> bool:
        """Write a row; True for one caller only until `ttl` seconds have passed."""


class SlackPolicy(SpeakingPolicy, Decisions, ProactivePolicy, SummaryPolicy, Protocol):
    """What approvers decided, and the way to decide (orchestrator.policy.Policy)."""


@dataclass(frozen=True, slots=True)
class Backroom:
    """What stands behind the desk of one workspace; nothing in it knows of another one."""

    orchestrator: Orchestrator
    workflows: Workflows
    store: Record
    rows: Rows
    policy: SlackPolicy
    own_data: OwnData
    likeness: Likeness
    approvers: Sequence[str] = ()
    pace: Pace = field(default_factory=Pace)
    improvement: ImprovementPort | None = None
    improvements_channel: str = ""
    goals: GoalsPort | None = None


Furnish = Callable[[str], AbstractAsyncContextManager[Backroom]]
"""Makes the backroom of the workspace with this id, and puts it away again."""


class Desk:
    """Takes what Slack sends for one workspace, and answers there."""

    def __init__(
        self,
        identity: Identity,
        client: WorkspaceClient,
        backroom: Backroom,
        installer: str = "",
    ) -> None:
        self.identity = identity
        self.client = client
        self._rows = backroom.rows
        self._background = Background()
        self._app = _bolt_app(identity, client)
        sends = Sends(client, backroom.rows, identity.bot_user_id)
        self.voice = Voice(client, sends)
        members = Members(client, identity.team_id, identity.enterprise_id)
        self.places = Places(client, members)
        pace = backroom.pace
        self.outgoing = Outgoing(backroom.rows, self.voice, pace.post_gap_s, pace.post_pause_s)
        self._first_approvers = list(backroom.approvers)
        self._proactive = Proactive(backroom.policy, backroom.rows, self.outgoing)
        self.learning: Learning | None = None
        self.goals: Goals | None = None
        self._conversation = self._converses(backroom, sends)
        self._inbox = Inbox(backroom.rows, self._conversation.handle)
        self._register(backroom)
        self._named = bool(backroom.approvers)
        self.installed_by(installer)

    def installed_by(self, installer: str) -> None:
        """Who decides where no approver is named: whoever installed the app, if that is known."""
        if not self._named:
            self._first_approvers[:] = [installer] if installer else []

    async def open(self) -> int:
        """Take up what was left when the last process ended; how much there was."""
        await self.outgoing.start()
        if self.learning:
            self._background.spawn(self.learning.approvals.look())
        if self.goals:
            self._background.spawn(self.goals.showing.look())
        return await self._inbox.resume()

    async def close(self, grace_s: float = 5.0) -> None:
        """Let running answers end; the rest resumes with the next `open`."""
        await self._inbox.close(grace_s)
        await self._background.close()
        if self.goals:
            await self.goals.showing.close()
        await self.outgoing.close()

    async def idle(self) -> None:
        """Return when everything that came in is done (tests, benchmarks)."""
        await self._inbox.idle()
        await self._background.idle()
        if self.goals:
            await self.goals.showing.idle()
            await self._inbox.idle()
        await self.outgoing.idle()

    async def take(self, request: AsyncBoltRequest) -> BoltResponse:
        """Keep what Slack sent; it may be acknowledged when this returns."""
        return await self._app.async_dispatch(request)

    async def warn_approvers(self, about: str, text: str) -> None:
        """A direct message to each approver that was named: once a day, whatever the text."""
        day = datetime.now(UTC).date().isoformat()
        for user_id in self._conversation.gate.named:
            if channel := await self.voice.direct_channel(user_id):
                await self.outgoing.post(Post(f"{about}:{user_id}:{day}", channel, text))

    async def look_after_learning(self) -> None:
        """Show what a crash, another process or a time without Slack left unshown, of plans too;
        the summary.

        To be called each minute.
        """
        if self.goals:
            await self.goals.showing.look_again()
        if self.learning:
            await self.learning.approvals.look()
            await self.learning.look_at_the_clock()

    async def not_ready(self) -> list[str]:
        """Why messages cannot be answered right now; empty when they can."""
        reasons = []
        if self._inbox.unfinished >= BACKLOG:
            reasons.append(f"{self._inbox.unfinished} messages are not answered yet.")
        try:
            async with asyncio.timeout(PROBE_S):
                await self._rows.claim("readiness", ttl=0.0)
        except (VirtuousError, TimeoutError) as error:
            log.warning("database_not_writable", error=str(error) or "it takes too long")
            reasons.append("The database cannot be written; the log says why.")
        return reasons

    def _converses(self, room: Backroom, sends: Sends) -> Conversation:
        gate = Gate(
            room.policy,
            self.places.members,
            self.places,
            room.rows,
            self.voice,
            self._first_approvers,
        )
        answering = Answering(
            self.client,
            room.orchestrator,
            room.store,
            self.places,
            room.pace,
            RunningReplies(),
            sends,
            self.voice,
        )
        feedback = FeedbackHandler(room.orchestrator, room.store, room.likeness)
        files = SharedFiles(self.client)
        my_data = MyData(self.client, room.own_data, self.voice)
        self.learning = self._learns(room, gate)
        self.goals = self._plans(room, gate, answering, files)
        commands = Commands(
            answering, room.workflows, room.store, feedback, self.places, files, self.voice,
            my_data, self.learning, self.goals,
        )  # fmt: skip
        return Conversation(
            self.identity.bot_user_id,
            room.orchestrator,
            room.store,
            self.places,
            files,
            answering,
            commands,
            feedback,
            self.voice,
            gate,
            Administration(room.policy, gate, self.voice),
        )

    def _learns(self, room: Backroom, gate: Gate) -> Learning | None:
        if room.improvement is None:
            return None
        approvals = Approvals(
            room.improvement,
            gate,
            self.places,
            self._proactive,
            room.store,
            room.improvements_channel,
        )
        room.improvement.on_changed(approvals.moved)
        return Learning(room.improvement, approvals, room.policy, room.store, self.voice)

    def _plans(
        self, room: Backroom, gate: Gate, answering: Answering, files: SharedFiles
    ) -> Goals | None:
        if room.goals is None:
            return None
        showing = GoalShowing(
            room.goals, self.outgoing, answering, room.store, lambda item: self._inbox.accept(item),
            self.identity.team_id, room.pace.update_s,
        )  # fmt: skip
        room.goals.on_changed(showing.moved)
        return Goals(room.goals, gate, showing, answering, files, self.voice)

    def _register(self, room: Backroom) -> None:
        """Every listener, in the order in which Bolt asks them."""
        app, us, talk = self._app, self.identity.bot_user_id, self._conversation
        inbox, background, commands = self._inbox, self._background, talk.commands
        pressed = Pressed(inbox, self.voice)
        Messages(us, inbox, talk, background).register(app)
        SlashCommands(inbox).register(app)
        home = Home(commands, background, talk.administration)
        home.register(app)
        guard = ClickGuard(talk.gate, background)
        if self.learning:
            LearningClicks(pressed, self.learning, home, background, guard).register(app)
        if self.goals:
            GoalClicks(pressed, self.goals, background, guard).register(app)
        MyDataClicks(pressed, background, guard).register(app)
        Actions(pressed, commands, background, guard).register(app)
        Lifecycle(us, talk.answering.running, self._proactive).register(app)
        Failures(us, self.voice, background).register(app)


def _bolt_app(identity: Identity, client: AsyncWebClient) -> AsyncApp:
    """Bolt acknowledges when a listener returns, so that what it keeps is kept by then.

    Who we are is known already, so that Bolt asks nobody; it has no token, as we speak by our own
    client. It would find SLACK_CLIENT_ID in the environment and serve OAuth of its own, but
    whoever gives `authorize` is asked first, and nobody asks its OAuth.
    """

    async def authorize() -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=identity.enterprise_id or None,
            team_id=identity.team_id,
            bot_user_id=identity.bot_user_id,
            bot_id=identity.bot_id or None,
        )

    return AsyncApp(
        name="virtuous6",
        client=AsyncWebClient(base_url=client.base_url, session=client.session),
        authorize=authorize,
        process_before_response=True,
        request_verification_enabled=False,
        ssl_check_enabled=False,
        attaching_function_token_enabled=False,
        attaching_conversation_kwargs_enabled=False,
    )
