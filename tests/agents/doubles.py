"""Working stand-ins at the ports: a model that follows a script, small memories and folders."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agents.ports import FileRef, SpawnPort, ToolContext
from agents.turns import (
    ModelEvent,
    ModelFinished,
    TextDelta,
    ToolCall,
    ToolCallsRequested,
    ToolSpec,
    Turn,
)
from database.errors import BudgetExceeded, UnknownName
from database.records import Message, Reader

NOW = datetime(2026, 11, 21, 9, 5, tzinfo=UTC)


@dataclass
class Reply:
    """One scripted answer: text pieces, then calls, then `fails` or the end.

    With `stalls` it never ends by itself.
    """

    pieces: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    fails: Exception | None = None
    stalls: bool = False
    tokens: tuple[int | None, int | None] = (10, 5)
    cost: float | None = 0.001


def says(*pieces: str) -> Reply:
    return Reply(pieces)


def calls(*wanted: tuple[str, Mapping[str, object]], saying: str = "") -> Reply:
    made = tuple(ToolCall(f"call-{at}", name, given) for at, (name, given) in enumerate(wanted))
    return Reply((saying,) if saying else (), made)


@dataclass
class Asked:
    """What the model was given in one call."""

    turns: tuple[Turn, ...]
    tools: tuple[str, ...]
    model: str
    temperature: float | None
    max_tokens: int | None


class ScriptedModel:
    """Gives the replies of its script in order, the last one again and again."""

    def __init__(self, *script: Reply) -> None:
        self.script = list(script)
        self.asked: list[Asked] = []
        self.closed = 0
        self.stalled = asyncio.Event()

    async def stream(
        self,
        turns: Sequence[Turn],
        *,
        model: str = "strong",
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[ToolSpec] = (),
    ) -> AsyncIterator[ModelEvent]:
        names = tuple(tool.name for tool in tools)
        self.asked.append(Asked(tuple(turns), names, model, temperature, max_tokens))
        reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        try:
            for piece in reply.pieces:
                yield TextDelta(piece)
            if reply.stalls:
                self.stalled.set()
                await asyncio.Event().wait()
            if reply.fails:
                raise reply.fails
            if reply.calls:
                yield ToolCallsRequested(reply.calls)
            yield ModelFinished("scripted", *reply.tokens, reply.cost, 1.0)
        finally:
            self.closed += 1


@dataclass
class Memory:
    """Remembered messages; a search matches any word."""

    messages: list[Message] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)

    async def search_messages(
        self, words: str, reader: Reader, limit: int = 10
    ) -> Sequence[Message]:
        self.readers.append(reader)
        wanted = set(words.lower().split())
        seen = [m for m in self.messages if m.audience in reader.audiences()]
        return [m for m in seen if wanted & set(m.text.lower().split())][:limit]


@dataclass
class Folder:
    """Files by name; `sizes` may claim another size than the real one."""

    contents: dict[str, bytes] = field(default_factory=dict)
    mimetypes: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)

    def files(self) -> Sequence[FileRef]:
        return [
            FileRef(
                f"F{at}",
                name,
                self.mimetypes.get(name, "application/octet-stream"),
                self.sizes.get(name, len(raw)),
            )
            for at, (name, raw) in enumerate(self.contents.items())
        ]

    async def read(self, file_id: str) -> bytes:
        self.reads.append(file_id)
        for file in self.files():
            if file.file_id == file_id:
                return self.contents[file.name]
        raise UnknownName(f"There is no file {file_id}.")


@dataclass
class Shelf:
    """Saved workflows: the answer of each by name."""

    saved: dict[str, str] = field(default_factory=dict)
    ran: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    async def names(self, reader: Reader) -> Sequence[str]:
        return sorted(self.saved)

    async def named_in(self, text: str, reader: Reader) -> Sequence[str]:
        return [name for name in await self.names(reader) if name in text]

    async def run_inline(self, name: str, inputs: Mapping[str, str], reader: Reader) -> str:
        if name not in self.saved:
            raise UnknownName(f"There is no workflow '{name}'.")
        self.ran.append((name, dict(inputs)))
        return self.saved[name]


@dataclass
class Nursery:
    """Takes in specialists until it is full."""

    room: int = 1
    born: list[tuple[str, str]] = field(default_factory=list)

    async def spawn(self, description: str, author: str) -> str:
        if len(self.born) >= self.room:
            raise BudgetExceeded("No more specialists today; an approver can raise the limit.")
        self.born.append((description, author))
        return f"specialist-{len(self.born)}"


def context(
    *,
    recall: Memory | None = None,
    files: Folder | None = None,
    workflows: Shelf | None = None,
    spawn: SpawnPort | None = None,
    now: datetime = NOW,
) -> ToolContext:
    return ToolContext(
        user_id="U1",
        channel_id="C1",
        thread_ts="1.0",
        reader=Reader("U1", frozenset({"C9"})),
        now=now,
        recall=recall or Memory(),
        files=files or Folder(),
        workflows=workflows or Shelf(),
        spawn=spawn,
        named_workflows=sorted(workflows.saved) if workflows else (),
    )
