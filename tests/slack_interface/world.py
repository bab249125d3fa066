"""A workspace with the real Bolt app in it; only what stands behind the ports is scripted."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from agents.generalising import WorkflowInput
from agents.ports import FilesPort
from agents.turns import TextDelta
from database.coordination import Coordination
from database.errors import InputError, StoreError, UnknownName
from database.installations import InstallationRows
from database.records import Document, Feedback, Message, Reader, Run, content_hash
from database.store import Store
from orchestrator.own_data import OwnData
from orchestrator.policy import RELOAD_SECONDS, Policy
from orchestrator.requests import ReplyEvent, ReplyFinished, ReplyStarted, Request
from slack_interface.desk import Backroom
from slack_interface.http_server import Listen
from slack_interface.pace import Pace
from slack_interface.ports import GoalsPort, ImprovementPort
from slack_interface.slack_bot import Mode, SlackBot
from tests.people import People

MANIFEST = json.loads((Path(__file__).parents[2] / "slack_interface" / "manifest.json").read_text())

over_both_transports = pytest.mark.parametrize("transport", ["socket", "http"])
"""For a test that uses `world`: once over Socket Mode, once over HTTP."""

Script = Callable[[Request, FilesPort], AsyncIterator[ReplyEvent]]


def run_for(request: Request, reply: str | None, **more: Any) -> Run:
    return Run(
        run_id=request.run_id,
        request=request.text,
        agent="generalist",
        parent_run_id=request.parent_run_id,
        started_at=request.received_at,
        duration_ms=120.0,
        user_id=request.user_id,
        channel_id=request.channel_id,
        thread_ts=request.thread_ts,
        message_ts=request.message_ts,
        audience=request.audience,
        reply=reply,
        **more,
    )


def finished(request: Request, reply: str | None, problem: str | None = None) -> ReplyFinished:
    question = Message(
        request.channel_id,
        request.message_ts,
        request.thread_ts,
        "person",
        request.text,
        user_id=request.user_id,
        run_id=request.run_id,
        audience=request.audience,
        created_at=request.received_at,
    )
    answer = replace(question, ts="", role="assistant", text=reply or "", user_id=None)
    messages = (question, answer) if reply else (question,)
    return ReplyFinished(run_for(request, reply, error=problem), messages, problem)


async def echo(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
    reply = f"You said: {request.text}"
    if request.instruction:
        reply = f"Better ({request.instruction}): {request.text}"
    yield ReplyStarted("generalist", "Generalist", "It answers everything.")
    for start in range(0, len(reply), 5):
        yield TextDelta(reply[start : start + 5])
    yield finished(request, reply)


def saying(*pieces: str) -> Script:
    async def script(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        for piece in pieces:
            yield TextDelta(piece)
        yield finished(request, "".join(pieces))

    return script


@dataclass(slots=True)
class ScriptedOrchestrator:
    """Answers by script and keeps everything in the real store."""

    store: Store
    script: Script = echo
    requests: list[Request] = field(default_factory=list)
    feedback: list[Feedback] = field(default_factory=list)
    recorded: list[tuple[ReplyFinished, str | None]] = field(default_factory=list)
    heard_messages: list[Message] = field(default_factory=list)
    edits: list[tuple[str, str, str]] = field(default_factory=list)
    deletions: list[tuple[str, str]] = field(default_factory=list)

    def reply(self, request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        self.requests.append(request)
        return self.script(request, files)

    async def record(self, finished: ReplyFinished, reply_ts: str | None) -> None:
        self.recorded.append((finished, reply_ts))
        messages = (
            message if message.ts else replace(message, ts=reply_ts or "")
            for message in finished.messages
        )
        self.store.append(
            replace(finished.run, reply_ts=reply_ts), *(entry for entry in messages if entry.ts)
        )

    async def heard(self, message: Message) -> None:
        self.heard_messages.append(message)
        self.store.append(message)

    async def edited(self, channel_id: str, ts: str, text: str) -> None:
        self.edits.append((channel_id, ts, text))

    async def deleted(self, channel_id: str, ts: str) -> None:
        self.deletions.append((channel_id, ts))

    async def give_feedback(self, feedback: Feedback) -> None:
        self.feedback.append(feedback)
        self.store.append(feedback)

    def learn_anew(self) -> None:
        pass

    def holds_secret(self, text: str) -> bool:
        return "hunter2" in text

    async def better_request(self, run: Run, wish: str, request_base: Request) -> Request:
        return replace(request_base, text=run.request, instruction=wish, parent_run_id=run.run_id)


@dataclass(slots=True)
class ScriptedWorkflows:
    """Workflows kept in memory: one blank, `topic`, for all of them."""

    saved: dict[str, tuple[list[Run], str, str]] = field(default_factory=dict)

    async def save(self, name: str, runs: Sequence[Run], author: str, audience: str) -> Document:
        if name in self.saved:
            raise InputError(f"There is a workflow {name} already: choose another name.")
        self.saved[name] = (list(runs), author, audience)
        body = {"name": name}
        return Document("runbook", name, body, content_hash(body), author=author)

    async def names(self, reader: Reader) -> Sequence[str]:
        readable = reader.audiences()
        return [name for name, (_, _, audience) in self.saved.items() if audience in readable]

    async def inputs(self, name: str, reader: Reader) -> Sequence[WorkflowInput]:
        if name not in self.saved:
            raise UnknownName(f"There is no workflow {name}.")
        return [WorkflowInput("topic", "tea")]

    async def requests(
        self, name: str, inputs: Mapping[str, str], request_base: Request
    ) -> Sequence[Request]:
        topic = inputs.get("topic", "tea")
        return [
            replace(request_base, run_id=f"{request_base.run_id}-{step}", text=f"{step} {topic}")
            for step, _ in enumerate(self.saved[name][0], start=1)
        ]


class Rows(Coordination):
    """The real rows, which can fail to be written."""

    failures = 0

    async def accept(self, event_key: str, thread_key: str, payload: bytes) -> bool:
        if self.failures:
            self.failures -= 1
            raise StoreError("The disk is full.")
        return await super().accept(event_key, thread_key, payload)

    async def claim(self, name: str, ttl: float) -> bool:
        if self.failures:
            raise StoreError("The disk is full.")
        return await super().claim(name, ttl)


@dataclass(frozen=True, slots=True)
class Settings:
    slack_bot_token: SecretStr | None
    slack_app_token: SecretStr | None
    slack_api_url: str
    slack_signing_secret: SecretStr | None = None
    slack_client_id: str | None = None
    slack_client_secret: SecretStr | None = None
    virtuous6_public_url: str | None = None


def likeness(a: str, b: str) -> float:
    """Share of words in common."""
    one, two = set(a.lower().split()), set(b.lower().split())
    return len(one & two) / max(1, len(one | two))


@dataclass(slots=True)
class World(People):
    """The people in the workspace, and a bot whose orchestrator is scripted."""

    store: Store
    orchestrator: ScriptedOrchestrator
    workflows: ScriptedWorkflows
    rows: Rows
    pace: Pace
    transport: Mode = "socket"
    improvement: ImprovementPort | None = None
    improvements_channel: str = ""
    goals: GoalsPort | None = None

    async def start(self, api_url: str = "", listen: Listen | None = None) -> SlackBot:
        if self.transport == "http":
            listen = listen or Listen(port=0)
        self.bot = self.bot_with(
            Settings(
                SecretStr(self.workspace.bot_token),
                SecretStr(self.workspace.app_token),
                api_url or self.workspace.api_url,
                SecretStr(self.workspace.signing_secret),
            )
        )
        await self.bot.start(self.transport, listen)
        if self.transport == "http":
            await self.workspace.set_request_url(f"http://127.0.0.1:{self.bot.port}/slack/events")
        await self.connected()
        return self.bot

    def bot_with(self, settings: Settings) -> SlackBot:
        """A bot that is not started, with this world's parts behind its desk."""
        return SlackBot(
            settings=settings,
            furnish=self._furnished,
            ledger=InstallationRows(self.rows.engine),
            erase=self._erase,
        )

    async def _erase(self, team_id: str) -> Mapping[str, int]:
        return {**await self.store.erase(), "under_way": await self.rows.erase()}

    @asynccontextmanager
    async def _furnished(self, team_id: str) -> AsyncIterator[Backroom]:
        yield Backroom(
            orchestrator=self.orchestrator,
            workflows=self.workflows,
            store=self.store,
            rows=self.rows,
            policy=Policy(self.store.policy),
            own_data=OwnData(self.store, self.rows, InstallationRows(self.rows.engine), 90),
            likeness=likeness,
            pace=self.pace,
            improvement=self.improvement,
            improvements_channel=self.improvements_channel,
            goals=self.goals,
        )

    async def bot_follows_policy(self) -> None:
        """Return when a decision made beside the bot, as on the command line, has reached it."""
        await asyncio.sleep(RELOAD_SECONDS)
