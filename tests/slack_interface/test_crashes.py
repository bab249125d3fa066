"""Killed between any two steps, the assistant has answered each message once after the restart."""

import os
import re
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import randint

import httpx
import pytest
import pytest_asyncio

from database.engine import ENGINE
from database.records import Run, RunQuery
from database.store import Store
from slack_interface.local_workspace import LocalWorkspace
from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.config import Limits
from slack_interface.slack_bot import Mode
from tests.people import ADA, BOT, TEAM, Json, People, eventually, find
from tests.slack_interface.crashing import Nursery, Order, Point, whole
from tests.slack_interface.refusals import Refusals
from tests.slack_interface.world import MANIFEST, over_both_transports

QUICK = [
    Point("accept"),
    Point("accept", after=True),
    Point("model"),
    Point("word", after=True, nth=3),
    Point("model", after=True),
    Point("note-answer"),
    Point("note-answer", after=True),
    Point("note-intent"),
    Point("note-intent", after=True),
    Point("chat.startStream"),
    Point("chat.startStream", after=True),
    Point("note-sent"),
    Point("note-sent", after=True),
    Point("chat.stopStream"),
    Point("chat.stopStream", after=True),
    Point("record"),
    Point("record", after=True),
    Point("settle"),
    Point("done"),
    Point("done", after=True),
]
"""Of an answer that is complete before anything of it is sent."""
SLOW = [
    Point("chat.startStream", after=True),
    Point("note-sent", after=True),
    Point("chat.appendStream"),
    Point("chat.appendStream", after=True),
    Point("chat.appendStream", after=True, nth=2),
    Point("chat.stopStream", after=True),
]
"""Of one that is seen while it grows."""
POSTED = [
    Point("chat.postMessage"),
    Point("chat.postMessage", after=True),
    Point("chat.update"),
    Point("chat.update", after=True),
    Point("record"),
]
"""Of one in a workspace without streaming."""
NOTES = [
    Point("note-intent", after=True),
    Point("chat.postMessage", after=True),
    Point("note-sent", after=True),
    Point("done"),
]
"""Of a message of ours that is no answer."""
BETTER = [
    Point("chat.postMessage", after=True),
    Point("note-sent", after=True),
    Point("chat.startStream", after=True),
    Point("chat.stopStream", after=True),
]
"""Of a command that says in the thread what was asked for, and then answers."""
RECOVERY = [
    Point("pending", after=True),
    Point("conversations.replies"),
    Point("chat.stopStream"),
    Point("chat.stopStream", after=True),
    Point("chat.update"),
    Point("chat.update", after=True),
    Point("record"),
    Point("done"),
]
"""Of the process that takes up a half answer."""
OUTGOING = [
    Point("queue-post", after=True),
    Point("note-intent", after=True),
    Point("chat.postMessage"),
    Point("chat.postMessage", after=True),
    Point("note-post"),
    Point("note-post", after=True),
]
"""Of a post that is nobody's reply."""

WHOSE = re.compile(r"From (\d+):.* end\.")
ALL = [*QUICK, *SLOW, *POSTED, *NOTES, *BETTER, *RECOVERY, *OUTGOING]


@dataclass(slots=True)
class Mortals(People):
    """People, and one assistant after the other on the same home."""

    nursery: Nursery
    folder: Path
    api_url: str
    transport: Mode
    port: int
    pause_s: float = 0.0
    number: int = 0
    pid: int = 0
    asked: list[str] = field(default_factory=list)

    async def born(self, point: Point | None, *, armed: bool = False) -> None:
        """The next assistant, with the last one's work done unless it is to die at its start."""
        self.number += 1
        order = Order(
            self.number, str(self.folder), self.api_url,
            self.workspace.bot_token, self.workspace.app_token, self.workspace.signing_secret,
            self.transport, self.port, point, armed, self.pause_s,
        )  # fmt: skip
        self.pid = await self.nursery.start(order)
        if not armed:
            await self.connected()
            await self.idle()

    async def connected(self) -> None:
        """Return when what is sent reaches the living assistant."""
        if self.transport == "http":
            await eventually(self.is_ready, "the assistant is ready")
            if self.number == 1:
                url = f"http://127.0.0.1:{self.port}/slack/events"
                await self.workspace.set_request_url(url)
        await People.connected(self)

    async def is_ready(self) -> bool:
        """Whether it answers HTTP requests, and says that it can work."""
        try:
            url = f"http://127.0.0.1:{self.port}/health/ready"
            return (await self.http.get(url)).status_code == 200
        except httpx.TransportError:
            return False

    def arm(self) -> None:
        os.kill(self.pid, signal.SIGUSR1)

    async def died(self, point: Point) -> None:
        status = await self.nursery.ended(self.pid)
        self.pid = 0
        assert status == signal.SIGKILL, f"{point}: ended with {status}, see {self.folder}"

        async def gone() -> bool:
            return self.transport == "http" or not (await self.get("state"))["app"]["connected"]

        await eventually(gone, "the connection is gone")

    async def killed(self) -> None:
        """End the living assistant, wherever it is."""
        if self.pid:
            await self.nursery.kill(self.pid)
            self.pid = 0

    async def through(self, point: Point, text: str, channel: str = "@assistant") -> str:
        """Ask the living assistant, which dies at `point`; the next one is born."""
        self.arm()
        ts = await self.say(text, channel=channel)
        await self.died(point)
        return ts

    async def idle(self) -> None:
        """Return when nothing waits on the disk."""

        async def nothing_waits() -> bool:
            with closing(sqlite3.connect(self.folder / ENGINE)) as engine:
                sql = "SELECT count(*) FROM {} WHERE done_at IS NULL"
                counts = [engine.execute(sql.format(t)).fetchone() for t in ("inbox", "outgoing")]
            return not any(count for (count,) in counts)

        await eventually(nothing_waits, "everything is done", timeout=60)

    async def said_in(self, ts: str, channel: str = "D0ADA") -> list[Json]:
        """What the assistant has said in a thread, once nothing is on its way."""
        await self.replies(ts, channel)
        return [m for m in await self.thread(ts, channel) if m["user"] == BOT]

    async def runs(self) -> list[Run]:
        """Everything recorded, oldest first."""
        store = Store.open(self.folder, TEAM)
        try:
            return (await store.runs(RunQuery(limit=1000)))[::-1]
        finally:
            await store.close()


def free_port() -> int:
    """A port that one process can serve at after the other.

    It is below those that systems give to connections, so that nobody gets it in between.
    """
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", randint(10_000, 30_000))) as it:
            port: int = it.getsockname()[1]
            return port


def shown(reply: Json) -> str:
    """An answer's text, and that it is a finished one."""
    assert not reply.get("streaming")
    assert len(find(reply["blocks"], "feedback_buttons")) == 1
    return "".join(block["text"] for block in find(reply["blocks"], "markdown"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nursery() -> AsyncIterator[Nursery]:
    async with Nursery() as nursery:
        yield nursery


@asynccontextmanager
async def mortals(
    nursery: Nursery, home: Path, transport: Mode, *, streaming: bool = True
) -> AsyncIterator[Mortals]:
    """A workspace that soon sends again what was not acknowledged."""
    limits = Limits(ack_s=1.0, retry_after_s=(0.3,) * 200)
    home.mkdir(parents=True)
    async with (
        LocalWorkspace(manifest=MANIFEST, pacing=False, limits=limits) as workspace,
        httpx.AsyncClient(base_url=workspace.url) as http,
        Refusals(workspace.api_url) as refusals,
    ):
        if not streaming:
            refusals.refuse("chat.startStream", "unknown_method")
        url = workspace.api_url if streaming else refusals.url
        people = Mortals(workspace, http, nursery, home, url, transport, free_port())
        try:
            yield people
        finally:
            await people.killed()


def test_there_are_enough_of_them() -> None:
    assert len({(str(point)) for point in ALL}) >= 30
    assert len(ALL) >= 50


@over_both_transports
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.timeout(300)
async def test_a_quick_answer(nursery: Nursery, home: Path, transport: Mode) -> None:
    async with mortals(nursery, home, transport) as people:
        asked: list[str] = []
        for point in QUICK:
            await people.born(point)
            asked.append(await people.through(point, f"What is {point}?"))
        await people.born(None)
        await answered_once(people, QUICK, asked)
        again = [number for number in range(len(QUICK)) if _was_complete(QUICK[number])]
        for number in again:
            [reply] = await people.said_in(asked[number])
            assert shown(reply) == whole(number + 1), "the complete answer was not made again"


def _was_complete(point: Point) -> bool:
    """Whether the whole answer was on disk by then."""
    names = [str(entry) for entry in QUICK]
    return names.index(str(point)) >= names.index("before-chat.startStream-1")


async def answered_once(
    people: Mortals, points: Sequence[Point], asked: Sequence[str], channel: str = "D0ADA"
) -> None:
    """Each question has one whole answer of one process, and one run that knows where it is."""
    runs = {run.message_ts: run for run in await people.runs()}
    assert len(runs) == len(await people.runs())
    for point, ts in zip(points, asked, strict=True):
        replies = await people.said_in(ts, channel)
        assert len(replies) == 1, (point, replies)
        found = WHOSE.fullmatch(shown(replies[0]))
        assert found, (point, replies)
        assert shown(replies[0]) == whole(int(found.group(1))), point
        assert runs[ts].reply_ts == replies[0]["ts"], point
        assert runs[ts].reply == shown(replies[0]), point


@over_both_transports
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.timeout(300)
async def test_an_answer_that_is_seen_while_it_grows(
    nursery: Nursery, home: Path, transport: Mode
) -> None:
    async with mortals(nursery, home, transport) as people:
        people.pause_s = 0.15
        asked: list[str] = []
        for point in SLOW:
            await people.born(point)
            text = f"@Virtuous6 what is {point}?"
            asked.append(await people.through(point, text, "general"))
        await people.born(None)
        await answered_once(people, SLOW, asked, "C0GENERAL")


@over_both_transports
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.timeout(300)
async def test_an_answer_without_streaming(nursery: Nursery, home: Path, transport: Mode) -> None:
    async with mortals(nursery, home, transport, streaming=False) as people:
        people.pause_s = 0.25
        asked: list[str] = []
        for point in POSTED:
            await people.born(point)
            asked.append(await people.through(point, f"What is {point}?"))
        await people.born(None)
        await answered_once(people, POSTED, asked)


@over_both_transports
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.timeout(300)
async def test_a_message_that_is_no_answer(nursery: Nursery, home: Path, transport: Mode) -> None:
    async with mortals(nursery, home, transport) as people:
        asked: list[str] = []
        for point in NOTES:
            await people.born(point)
            asked.append(await people.through(point, "help"))
        await people.born(None)
        for point, ts in zip(NOTES, asked, strict=True):
            [said] = await people.said_in(ts)
            assert "/better" in said["text"], point


@over_both_transports
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.timeout(300)
async def test_a_command_that_is_answered_in_a_thread(
    nursery: Nursery, home: Path, transport: Mode
) -> None:
    async with mortals(nursery, home, transport) as people:
        asked: list[str] = []
        for point in BETTER:
            await people.born(point)
            asked.append(await people.say("What is tea?"))
            await people.said_in(asked[-1])
            people.arm()
            await people.command("/better", "shorter")
            await people.died(point)
        await people.born(None)
        for point, ts in zip(BETTER, asked, strict=True):
            first, opener, second = await people.said_in(ts)
            assert "asked for a better answer" in opener["text"], point
            numbers = [WHOSE.fullmatch(shown(reply)) for reply in (first, second)]
            assert all(numbers), point


@over_both_transports
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.timeout(300)
async def test_the_process_that_takes_up_a_half_answer(
    nursery: Nursery, home: Path, transport: Mode
) -> None:
    half = Point("chat.startStream", after=True)
    async with mortals(nursery, home, transport) as people:
        asked: list[str] = []
        for point in RECOVERY:
            people.pause_s = 0.15
            await people.born(half)
            asked.append(await people.through(half, f"What is {point}?"))
            people.pause_s = 0.0
            await people.born(point, armed=True)
            await people.died(point)
        await people.born(None)
        await answered_once(people, RECOVERY, asked)


@over_both_transports
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.timeout(300)
async def test_a_post_that_is_nobodys_reply(nursery: Nursery, home: Path, transport: Mode) -> None:
    async with mortals(nursery, home, transport) as people:
        rooms = [
            Channel(f"C0ROOM{number}", f"room-{number}", "channel", members={ADA})
            for number in range(len(OUTGOING))
        ]
        for room, point in zip(rooms, OUTGOING, strict=True):
            people.workspace.runtime.workspace.channels[room.id] = room
            await people.born(point)
            people.arm()
            await people.post("join", channel=room.id, user=BOT)
            await people.died(point)
        await people.born(None)
        for room, point in zip(rooms, OUTGOING, strict=True):
            said = (await people.get(f"messages/{room.id}"))["messages"]
            hellos = [m for m in said if m.get("bot_id") and "Mention me" in m["text"]]
            assert len(hellos) == 1, (point, said)
