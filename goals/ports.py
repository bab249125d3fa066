"""What goals need of the rest of the house; orchestrator has it, bootstrap wires it."""

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from database.goals import NOTHING, Budget, Goal, Spent, Task
from database.records import Reader
from goals.budgets import DayLimit

Asked = TypeVar("Asked", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Specialist:
    """Somebody who can be given a task, and what the records say of them.

    `runs` are those with a known outcome, `succeeded` how many went well; `seconds` and `usd` are
    means of a run, None where nothing is known. `writes` says that it has tools with an effect.
    """

    name: str
    specialty: str
    description: str = ""
    runs: float = 0.0
    succeeded: float = 0.0
    seconds: float | None = None
    usd: float | None = None
    tokens: float | None = None
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Runbook:
    """A saved workflow that may serve as a plan: requests in their order, with their agents."""

    name: str
    description: str
    steps: tuple[tuple[str, str], ...]


class Wish(Protocol):
    """The request of a person that needs a plan (orchestrator.requests.Request is one)."""

    @property
    def run_id(self) -> str:
        """The Run of the request, from what was said: the same message is the same goal."""

    @property
    def user_id(self) -> str:
        """Who asks."""

    @property
    def channel_id(self) -> str:
        """Where."""

    @property
    def thread_ts(self) -> str:
        """In which thread."""

    @property
    def message_ts(self) -> str:
        """With which message."""

    @property
    def text(self) -> str:
        """What is asked."""

    @property
    def reader(self) -> Reader:
        """What they may read there."""

    @property
    def received_at(self) -> float:
        """When it came."""

    @property
    def audience(self) -> str:
        """Who can read the thread."""


class Planner(Protocol):
    """The models, as far as planning needs them."""

    async def ask(
        self,
        instructions: str,
        request: str,
        schema: type[Asked],
        *,
        model: str = "strong",
        examples: Sequence[tuple[str, str]] = (),
    ) -> tuple[Asked, Spent]:
        """An answer of the given shape and what it took. Raises ModelError.

        `examples` are requests with their answers, shown as turns before the request.
        """


class Roster(Protocol):
    """Who there is, and what has worked."""

    async def specialists(self, reader: Reader) -> Sequence[Specialist]:
        """Agents that may work for this reader."""

    async def runbook_for(self, request: str, reader: Reader) -> Runbook | None:
        """A saved workflow that was made for such a request, where one clearly fits."""

    def likeness(self, one: str, others: Sequence[str]) -> Sequence[float]:
        """How alike a text and each of the others are in meaning, -1..1."""


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """How an attempt at a task ended: with a result, with a question to a person, or a failure.

    `retry` says that another attempt may go better (the model was away); `uncertain` that something
    with an effect may or may not have been done, so that a person has to say; `away` that what it
    works with was away all the time, so that this is no failure of the task's; `lacks` is no end:
    so much must be held for the attempt that goes on from there.
    """

    result: str | None = None
    question: str | None = None
    failure: str | None = None
    retry: bool = False
    uncertain: bool = False
    away: bool = False
    lacks: Spent | None = None
    spent: Spent = NOTHING
    run_id: str | None = None
    agent: str | None = None
    spawned: bool = False


HoldMore = Callable[[Spent], Awaitable[Spent]]
"""Holds at least so much of the budgets for the attempt that runs; returns what it holds then.
Raises BudgetExceeded where the goal's budget or its person's day has no room for it."""


class BrokenOff(CancelledError):
    """An attempt was cancelled; `spent` is what it took until then."""

    def __init__(self, spent: Spent) -> None:
        super().__init__()
        self.spent = spent


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What an attempt at a task has done (orchestrator.journal); `position` is its own there."""

    attempt: int
    position: str
    kind: str
    body: Mapping[str, Any]


class JournalRows(Protocol):
    """Where entries are kept (goals.ledger), sealed. A position of an attempt has one."""

    async def journal(self, goal_id: str, key: str) -> Sequence[JournalEntry]:
        """Of all attempts at a task, as they were first noted, oldest first."""

    async def note(self, goal_id: str, key: str, entry: JournalEntry) -> None:
        """Keep an entry, in the place of one at its position; it is on disk when this returns."""


class Workforce(Protocol):
    """Carries out a task. At least once: what it did before a crash is found in its journal."""

    async def work(self, goal: Goal, task: Task, more: HoldMore | None = None) -> TaskOutcome:
        """Do one attempt and record its Run. Raises nothing but CancelledError.

        It takes no more than is held for it (`Task.reserved`) and what `more` adds to that; without
        `more` as much as it likes. BrokenOff is one that says what the attempt took.
        """

    async def stopped(
        self, goal: Goal, task: Task, spent: Spent = NOTHING, why: str = ""
    ) -> TaskOutcome:
        """Record the Run of an attempt that nobody goes on with, and say what it took.

        `spent` is what the worker knows of that; a person has stopped it unless `why` says more.
        Called at least once: the same again changes nothing.
        """


class Engine(Protocol):
    """Where attempts wait for a worker and are run once (goals/execution.py)."""

    async def enqueue(self, goal_id: str, key: str, attempt: int, person: str) -> None:
        """Have an attempt run by some worker, soon; the same one again changes nothing."""

    async def cancel(self, goal_id: str, key: str, attempt: int) -> None:
        """Stop it where it waits or runs; no matter if it is over."""


class Rules(Protocol):
    """What approvers decided about goals (orchestrator.goal_rules)."""

    def on(self) -> bool:
        """Whether requests are made into goals."""

    def budget(self) -> Budget:
        """What one goal may use."""

    def day(self, user_id: str) -> DayLimit:
        """What all goals of one person may use in a day."""

    async def starts_alone(self, goal: Goal) -> str:
        """Why a plan starts without being asked, for the thread; '' where it waits for Start."""

    def approvers(self) -> Sequence[str]:
        """Who may act on everybody's goals, where some are named."""


class Chronicle(Protocol):
    """What a goal leaves in the record (orchestrator.goals)."""

    async def ended(self, goal: Goal) -> None:
        """A goal has ended. Called at least once: the same goal again changes nothing."""
