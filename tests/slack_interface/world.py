"""A workspace with the real Bolt app in it; only what stands behind the ports is scripted."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from agents.ports import FilesPort
from agents.turns import TextDelta
from database.coordination import Coordination
from database.errors import InputError, StoreError, UnknownName
from database.records import Document, Feedback, Message, Reader, Run, content_hash
from database.store import Store
from orchestrator.generalising import WorkflowInput
from orchestrator.requests import ReplyEvent, ReplyFinished, ReplyStarted, Request
from slack_interface.local_workspace import LocalWorkspace
from slack_interface.reply_stream import Pace
from slack_interface.slack_bot import SlackBot

MANIFEST = json.loads((Path(__file__).parents[2] / "slack_interface" / "manifest.json").read_text())
TEAM = "T0VIRTUOUS"
BOT = "U0VIRTUOUS"
ADA, GRACE, ALAN = "U0ADA", "U0GRACE", "U0ALAN"

Script = Callable[[Request, FilesPort], AsyncIterator[ReplyEvent]]
Json = dict[str, Any]


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


@dataclass(frozen=True, slots=True)
class Settings:
    slack_bot_token: SecretStr | None
    slack_app_token: SecretStr | None
    slack_api_url: str


def likeness(a: str, b: str) -> float:
    """Share of words in common."""
    one, two = set(a.lower().split()), set(b.lower().split())
    return len(one & two) / max(1, len(one | two))


async def eventually(
    condition: Callable[[], Awaitable[Any]], what: str = "condition", timeout: float = 8.0
) -> Any:
    """The condition's value once it is true."""
    try:
        async with asyncio.timeout(timeout):
            while not (value := await condition()):  # noqa: ASYNC110 (it polls what people would see)
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"never happened: {what}") from None
    return value


@dataclass(slots=True)
class World:
    """Acts as the people in the workspace, and looks at what they see."""

    workspace: LocalWorkspace
    http: httpx.AsyncClient
    store: Store
    orchestrator: ScriptedOrchestrator
    workflows: ScriptedWorkflows
    rows: Rows
    pace: Pace
    bot: SlackBot | None = None

    async def start(self, api_url: str = "") -> SlackBot:
        self.bot = SlackBot(
            settings=Settings(
                SecretStr(self.workspace.bot_token),
                SecretStr(self.workspace.app_token),
                api_url or self.workspace.api_url,
            ),
            orchestrator=self.orchestrator,
            workflows=self.workflows,
            store=self.store,
            inbox=self.rows,
            outgoing=self.rows,
            likeness=likeness,
            pace=self.pace,
        )
        await self.bot.start()

        async def connected() -> bool:
            return bool((await self.get("state"))["app"]["connected"])

        await eventually(connected, "the bot is connected")
        return self.bot

    async def post(self, path: str, **fields: Any) -> Json:
        answer = await self.http.post(f"/_control/{path}", json=fields)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def get(self, path: str) -> Json:
        answer = await self.http.get(f"/_control/{path}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def say(
        self, text: str, user: str = ADA, channel: str = "@assistant", thread: str | None = None
    ) -> str:
        more = {"thread_ts": thread} if thread else {}
        sent = await self.post("message", channel=channel, user=user, text=text, **more)
        return str(sent["message"]["ts"])

    async def share(self, name: str, content: bytes, text: str, user: str = ADA) -> None:
        answer = await self.http.post(
            "/_page/upload",
            params={"channel": "@assistant", "user": user},
            data={"text": text},
            files={"file": (name, content, "text/plain")},
        )
        assert answer.status_code == 200, answer.text

    async def command(
        self, command: str, text: str = "", user: str = ADA, channel: str = "@assistant"
    ) -> Json:
        return await self.post("command", channel=channel, user=user, command=command, text=text)

    async def thread(self, ts: str, channel: str = "D0ADA") -> list[Json]:
        """Everything in the thread after its root."""
        found = (await self.get(f"messages/{channel}?thread_ts={ts}"))["messages"]
        return [message for message in found if message["ts"] != ts]

    async def replies(self, ts: str, channel: str = "D0ADA", count: int = 1) -> list[Json]:
        """Our finished messages in the thread, once there are `count` and all is quiet."""

        async def enough() -> list[Json] | None:
            found = [m for m in await self.thread(ts, channel) if m.get("user") == BOT]
            return found if len(found) >= count else None

        await eventually(enough, f"{count} replies in {ts}")
        await self.idle()
        found: list[Json] = await enough() or []
        return found

    async def idle(self) -> None:
        assert self.bot
        await asyncio.wait_for(self.bot.idle(), 10)

    async def whispers(self, user: str = ADA, count: int = 1) -> list[Json]:
        async def enough() -> list[Json] | None:
            found: list[Json] = (await self.get(f"ephemeral/{user}"))["messages"]
            return found if len(found) >= count else None

        found: list[Json] = await eventually(enough, f"{count} whispers to {user}")
        return found

    async def modal(self, user: str = ADA) -> Json:
        async def opened() -> Json | None:
            found: list[Json] = (await self.get(f"views/{user}"))["modals"]
            return found[-1] if found else None

        view: Json = await eventually(opened, "a modal")
        return view

    async def home(self, user: str = ADA) -> Json:
        await self.post("open-home", user=user, tab="home")

        async def published() -> Json | None:
            home: Json | None = (await self.get(f"views/{user}"))["home"]
            return home

        await self.idle()
        view: Json = await eventually(published, "the Home tab")
        return view

    async def calls(self, method: str = "") -> list[str]:
        """Names of the Web API methods that were called, oldest first."""
        rows = (await self.get("log?kind=api"))["log"]
        names = [row["method"] for row in rows]
        return [name for name in names if name == method] if method else names

    async def press(
        self, message: Json, action: Json, channel: str = "D0ADA", user: str = ADA
    ) -> Json:
        return await self.post(
            "interact", channel=channel, message_ts=message["ts"], user=user, action=action
        )


def find(blocks: Sequence[Json], kind: str) -> list[Json]:
    """Elements and blocks of a type, however deep."""
    found: list[Json] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if value.get("type") == kind:
                found.append(value)
            for child in value.values():
                walk(child)
        elif isinstance(value, list):
            for child in value:
                walk(child)

    walk(list(blocks))
    return found
