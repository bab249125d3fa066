"""The real assistant in processes of its own that are killed at a named step.

`python -m tests.slack_interface.crashing` imports everything once, then reads one order a line
and forks a process for it; a fork starts in a fraction of the seconds that the imports take.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from slack_sdk.web.async_client import AsyncWebClient

from agents.turns import ModelEvent, ModelFinished, TextDelta, ToolSpec, Turn
from bootstrap import assistant
from database.coordination import Coordination, InboxRow
from database.store import Store
from orchestrator.agent_orchestrator import AgentOrchestrator
from orchestrator.requests import ReplyFinished
from orchestrator.settings import load_settings
from slack_interface.http_server import Listen
from slack_interface.slack_bot import Mode
from tests.orchestrator.fakes import ScriptedModels, WordEmbedder
from tests.people import TEAM

ROOT = Path(__file__).parents[2]
MODULE = "tests.slack_interface.crashing"
WORDS = 8


@dataclass(frozen=True, slots=True)
class Point:
    """The process ends at the `nth` time that it comes here: `after` is when the step is done.

    A Web API method is a step; `before` it Slack has not heard of the call, `after` it Slack has
    taken it and nothing else has happened.
    """

    step: str
    after: bool = False
    nth: int = 1

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'}-{self.step}-{self.nth}"


@dataclass(frozen=True, slots=True)
class Order:
    """One process: it counts steps from its start if `armed`, else from the signal on.

    `port` is where it serves in HTTP mode. It takes its time over words, `pause_s` for each, only
    while it counts.
    """

    number: int
    home: str
    api_url: str
    bot_token: str
    app_token: str
    signing_secret: str
    mode: Mode
    port: int
    point: Point | None = None
    armed: bool = False
    pause_s: float = 0.0


class Executioner:
    """Kills its own process, as kill -9 would."""

    def __init__(self, point: Point | None, armed: bool) -> None:
        self._point = point
        self.armed = armed
        self._count = 0

    def arm(self) -> None:
        self.armed = True

    @contextmanager
    def during(self, step: str) -> Iterator[None]:
        """Around a step: its end counts only where its beginning did."""
        counts = self.armed
        self.at(step, after=False)
        yield
        if counts:
            self.at(step, after=True)

    def at(self, step: str, *, after: bool) -> None:
        point = self._point
        if not self.armed or point is None or (point.step, point.after) != (step, after):
            return
        self._count += 1
        if self._count == point.nth:
            os.kill(os.getpid(), signal.SIGKILL)


class Numbered(ScriptedModels):
    """Answers in words that say which process answered."""

    def __init__(self, order: Order, executioner: Executioner) -> None:
        super().__init__(lambda turns, model: "", fast="m-strong")
        self._order = order
        self._executioner = executioner

    async def stream(
        self,
        turns: Sequence[Turn],
        *,
        model: str = "strong",
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[ToolSpec] = (),
    ) -> AsyncIterator[ModelEvent]:
        at = self._executioner.at
        at("model", after=False)
        pieces = [f"From {self._order.number}:", *(f" word{n}" for n in range(WORDS)), " end."]
        for piece in pieces:
            yield TextDelta(piece)
            at("word", after=True)
            if self._executioner.armed:
                await asyncio.sleep(self._order.pause_s)
        at("model", after=True)
        yield ModelFinished("m-strong", 10, 5, 0.001, 1.0)


def whole(number: int) -> str:
    """What process `number` answers."""
    return f"From {number}:" + "".join(f" word{n}" for n in range(WORDS)) + " end."


class Rows(Coordination):
    """The real rows; every step of them can be the last."""

    executioner: Executioner

    async def accept(self, event_key: str, thread_key: str, payload: bytes) -> bool:
        with self.executioner.during("accept"):
            return await super().accept(event_key, thread_key, payload)

    async def pending(self) -> list[InboxRow]:
        found = await super().pending()
        self.executioner.at("pending", after=True)
        return found

    async def done(self, event_key: str) -> None:
        with self.executioner.during("done"):
            await super().done(event_key)

    def note_send(
        self,
        run_id: str,
        state: str,
        ts: str | None = None,
        body: bytes | None = None,
        *,
        soon: bool = False,
    ) -> asyncio.Future[int]:
        self.executioner.at(f"note-{state}", after=False)
        noting = super().note_send(run_id, state, ts, body, soon=soon)
        noting.add_done_callback(lambda _: self.executioner.at(f"note-{state}", after=True))
        return noting

    def settle_sends(self, run_id: str) -> asyncio.Future[int]:
        self.executioner.at("settle", after=False)
        return super().settle_sends(run_id)

    async def queue_post(self, post_id: str, channel_id: str, body: bytes) -> bool:
        new = await super().queue_post(post_id, channel_id, body)
        self.executioner.at("queue-post", after=True)
        return new

    async def note_post(self, post_id: str, state: Any, ts: str | None = None) -> None:
        with self.executioner.during("note-post"):
            await super().note_post(post_id, state, ts)


def _watch_the_web(executioner: Executioner) -> None:
    """Every Web API call is a step, named by its method."""
    call = AsyncWebClient.api_call

    async def api_call(self: AsyncWebClient, api_method: str, **more: Any) -> Any:
        with executioner.during(api_method):
            return await call(self, api_method, **more)

    AsyncWebClient.api_call = api_call  # type: ignore[method-assign,assignment]


def _watch_the_record(executioner: Executioner) -> None:
    record = AgentOrchestrator.record

    async def recorded(self: AgentOrchestrator, finished: ReplyFinished, ts: str | None) -> None:
        with executioner.during("record"):
            await record(self, finished, ts)

    AgentOrchestrator.record = recorded  # type: ignore[method-assign,assignment]


async def live(order: Order) -> None:
    """The assistant, until it is killed."""
    executioner = Executioner(order.point, order.armed)
    # Not by the loop, which would first take in what came with the signal.
    signal.signal(signal.SIGUSR1, lambda *_: executioner.arm())
    _watch_the_web(executioner)
    _watch_the_record(executioner)
    home = Path(order.home)
    rows = Rows.open(home)
    rows.executioner = executioner
    settings = load_settings(
        slack_api_url=order.api_url,
        slack_bot_token=order.bot_token,
        slack_app_token=order.app_token,
        slack_signing_secret=order.signing_secret,
        virtuous6_home=home,
    )
    async with assistant(
        settings,
        models=Numbered(order, executioner),
        embedder=WordEmbedder(),
        store=Store.open(home, TEAM),
        coordination=rows,
        mode=order.mode,
        listen=Listen(port=order.port) if order.mode == "http" else None,
    ):
        await asyncio.Event().wait()


def _forked(order: Order) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        log = os.open(f"{order.home}/{order.number}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.close(0)
        asyncio.run(live(order))
    finally:
        os._exit(1)


def main() -> None:
    """Orders in, process ids out; `{"wait": pid}` answers when that process has ended."""
    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        said = json.loads(line)
        if "wait" in said:
            _, answer = os.waitpid(said["wait"], 0)
        else:
            point = said.pop("point")
            answer = _forked(Order(**said, point=Point(**point) if point else None))
        print(answer, flush=True)  # noqa: T201


class Nursery:
    """The process that forks assistants, as an async context manager."""

    _process: Process

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.slack_interface.crashing",
            cwd=ROOT,
            stdin=PIPE,
            stdout=PIPE,
        )
        assert await self._line() == "ready"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def start(self, order: Order) -> int:
        """The process id of a new assistant."""
        return int(await self._asked(asdict(order)))

    async def ended(self, pid: int) -> int | None:
        """The status with which a process ended, once it has; None where it lives on."""
        try:
            return int(await self._asked({"wait": pid}))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            await self._line()
            return None

    async def kill(self, pid: int) -> None:
        """End it, whatever it does."""
        os.kill(pid, signal.SIGKILL)
        await self.ended(pid)

    async def _asked(self, order: Any) -> str:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(60):
            return await self._line()

    async def _line(self) -> str:
        assert self._process.stdout
        return (await self._process.stdout.readline()).decode().strip()


if __name__ == "__main__":
    main()
