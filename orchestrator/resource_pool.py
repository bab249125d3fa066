"""Model calls shared fairly: replies before everything else, and nobody's flood before others.

One pool stands before each provider and has as many slots as the provider takes calls at once, or
its share of them where several processes call the same provider. Who waits for a call is found in
the context of the running task (`replying_to`, `working_for`); what runs outside of these is
nobody's background work.
"""

import asyncio
import contextlib
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, field
from typing import Protocol

from agents.errors import ModelRateLimited
from agents.turns import ModelEvent, ModelFinished, ToolSpec, Turn
from orchestrator.ports import Answered, ModelsPort

_BACKGROUND = ""
"""The one queue of everything that is done for nobody in particular."""
_FOR = "~"
"""Begins the name of the queue of what is done for somebody who does not sit and wait."""

_waiting_person: ContextVar[str] = ContextVar("waiting_person", default=_BACKGROUND)


@dataclass(slots=True)
class Waited:
    """How long somebody's model calls waited for their turn, together."""

    seconds: float = 0.0


_waited: ContextVar[Waited | None] = ContextVar("waited", default=None)


@contextlib.contextmanager
def counting_waits() -> Iterator[Waited]:
    """How long model calls made inside wait, which is nobody's work."""
    before, counted = _waited.get(), Waited()
    _waited.set(counted)
    try:
        yield counted
    finally:
        _waited.set(before)


@contextlib.contextmanager
def replying_to(user_id: str) -> Iterator[None]:
    """Model calls made inside are made for this person, who waits for them."""
    yield from _calling_for(user_id)


@contextlib.contextmanager
def working_for(user_id: str) -> Iterator[None]:
    """Model calls made inside are background work of this person, such as a goal's tasks."""
    yield from _calling_for(f"{_FOR}{user_id}")


@contextlib.contextmanager
def in_background() -> Iterator[None]:
    """Model calls made inside let every reply go first; whose work they are stays as it was."""
    current = _waiting_person.get()
    yield from _calling_for(current if _is_background(current) else _BACKGROUND)


def _calling_for(user_id: str) -> Iterator[None]:
    before = _waiting_person.get()
    _waiting_person.set(user_id)
    try:
        yield
    finally:
        # not reset by token: a generator may be closed in another context than it ran in
        _waiting_person.set(before)


def _is_background(person: str) -> bool:
    return person == _BACKGROUND or person.startswith(_FOR)


Turnstile = asyncio.Future[None]


@dataclass(slots=True)
class FairSlots:
    """So many calls at once, handed out in turns.

    Replies go before background work; in both the one with the fewest calls under way is next, and
    among equals the one who had no turn for longest. A quarter of the slots (one at least) is never
    given to the replies of one person, so that whoever comes beside a flood finds one free;
    background work gets `background` of them at most, and one at least.
    """

    slots: int
    background: float = 0.5
    _using: Counter[str] = field(default_factory=Counter)
    _queues: OrderedDict[str, deque[Turnstile]] = field(default_factory=OrderedDict)

    @property
    def in_use(self) -> int:
        """Calls under way."""
        return self._using.total()

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return sum(len(queue) for queue in self._queues.values())

    @contextlib.asynccontextmanager
    async def one(self, person: str) -> AsyncIterator[None]:
        """Wait for a slot and hold it."""
        await self._take(person)
        try:
            yield
        finally:
            self._give_back(person)

    async def _take(self, person: str) -> None:
        if person not in self._queues and self._may_begin(person):
            self._using[person] += 1
            return
        turn: Turnstile = asyncio.get_running_loop().create_future()
        self._queues.setdefault(person, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(person)
            else:
                self._leave(person, turn)
            raise

    def _leave(self, person: str, turn: Turnstile) -> None:
        queue = self._queues.get(person)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._queues[person]

    def _give_back(self, person: str) -> None:
        self._using[person] -= 1
        if not self._using[person]:
            del self._using[person]
        self._hand_out()

    def resize(self, slots: int) -> None:
        """From now on so many; calls under way are not broken off."""
        self.slots = slots
        self._hand_out()

    def _hand_out(self) -> None:
        while (chosen := self._next()) is not None:
            queue = self._queues.pop(chosen)
            turn = queue.popleft()
            if queue:
                self._queues[chosen] = queue  # behind the others now
            if not turn.done():
                self._using[chosen] += 1
                turn.set_result(None)

    def _next(self) -> str | None:
        able = [person for person in self._queues if self._may_begin(person)]
        first = [person for person in able if not _is_background(person)] or able
        return min(first, key=lambda person: self._using[person], default=None)

    def _may_begin(self, person: str) -> bool:
        if self.in_use >= self.slots:
            return False
        if _is_background(person):
            return self._in_background() < max(1, int(self.slots * self.background))
        return self._using[person] < max(1, self.slots - max(1, self.slots // 4))

    def _in_background(self) -> int:
        return sum(calls for person, calls in self._using.items() if _is_background(person))


class Rate(Protocol):
    """How many calls a minute a provider takes from all processes together (goals.rates)."""

    async def turn(self, *, background: bool = False) -> None:
        """Wait until one more call may be made; background work lets replies go first."""

    async def refused(self, seconds: float | None) -> None:
        """The provider said that it has had too many; where it said so, for how long."""


class ResourcePool:
    """The models of one provider, as ModelsPort, with each call in its turn."""

    def __init__(
        self,
        models: ModelsPort,
        concurrency: int,
        *,
        background: float = 0.5,
        rate: Rate | None = None,
    ) -> None:
        self._models = models
        self.rate = rate
        self._workspace = ""
        self._concurrency = concurrency
        self.slots = FairSlots(concurrency, background)

    def share_among(self, processes: int) -> None:
        """So many processes call this provider: each takes its part of what it takes at once.

        Beside others a quarter is only for replies: the process that people talk to has it besides,
        however much the others have to do.
        """
        kept = self._concurrency // 4 if processes > 1 else 0
        slots = max(1, (self._concurrency - kept) // max(1, processes))
        if self.slots.background < 1:
            slots += kept
        if slots != self.slots.slots:
            self.slots.resize(slots)

    def of(self, workspace: str) -> "ResourcePool":
        """The same slots for the people of a workspace: ids may be the same in another one."""
        theirs = copy(self)
        theirs._workspace = workspace
        return theirs

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a slot and for one's turn in the minute, and have them."""
        began = time.perf_counter()
        async with self.slots.one(self._person()), self._within_the_rate():
            if (waited := _waited.get()) is not None:
                waited.seconds += time.perf_counter() - began
            yield

    @contextlib.asynccontextmanager
    async def _within_the_rate(self) -> AsyncIterator[None]:
        """Wait for one's turn in the minute; a refusal is told to all who call this provider."""
        if self.rate is None:
            yield
            return
        await self.rate.turn(background=_is_background(self._person()))
        try:
            yield
        except ModelRateLimited as error:
            await self.rate.refused(error.retry_after)
            raise

    def _person(self) -> str:
        person = _waiting_person.get()
        if person == _BACKGROUND:
            return person
        kind = _FOR if person.startswith(_FOR) else ""
        return f"{kind}{self._workspace}:{person.removeprefix(_FOR)}"

    def resolve(self, model: str) -> str:
        """The real name behind `strong`, `fast` or a real name."""
        return self._models.resolve(model)

    async def stream(
        self,
        turns: Sequence[Turn],
        *,
        model: str = "strong",
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[ToolSpec] = (),
    ) -> AsyncGenerator[ModelEvent, None]:
        """One model call, once it is its turn. Closing the generator hangs up."""
        async with self._turn():
            events = self._models.stream(
                turns, model=model, temperature=temperature, max_tokens=max_tokens, tools=tools
            )
            try:
                async for event in events:
                    yield event
            finally:
                if isinstance(events, AsyncGenerator):
                    await events.aclose()

    async def structured(
        self,
        turns: Sequence[Turn],
        schema: type[Answered],
        *,
        model: str = "strong",
        temperature: float | None = 0.0,
        max_tokens: int | None = None,
    ) -> tuple[Answered, ModelFinished]:
        """An answer of the given shape, once it is its turn."""
        async with self._turn():
            return await self._models.structured(
                turns, schema, model=model, temperature=temperature, max_tokens=max_tokens
            )
