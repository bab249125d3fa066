"""Goals: what somebody asked for that needs a plan, as one frozen record.

A goal holds its plan and how far each task is, so that every move of it is one compare-and-set:
read a Goal, make another one (goals.task_graph, pure), put it in its place unless somebody was
faster.
Times are seconds since the epoch, durations seconds, money US dollars (None: the price is unknown).
"""

from dataclasses import dataclass, field
from typing import Literal

from database.records import PUBLIC, Reader, one_person, run_id_of

GoalState = Literal["proposed", "running", "waiting", "done", "failed", "cancelled", "refused"]
"""proposed: the plan waits for Start. running: something runs or will without anybody's help.
waiting: nothing goes on before a person answers or decides. done: the answer is there, also where
parts are missing, which it says. failed: nothing of use came out. refused: there is no valid
plan."""

TaskState = Literal[
    "pending", "queued", "running", "waiting", "done", "failed", "skipped", "blocked", "cancelled"
]
"""pending: waits for other tasks. queued: may run, is on its way to a worker. waiting: for a
person. blocked: what it needs has failed."""

ENDED_GOAL: frozenset[GoalState] = frozenset({"done", "failed", "cancelled", "refused"})
ENDED_TASK: frozenset[TaskState] = frozenset({"done", "failed", "skipped", "blocked", "cancelled"})

ANSWER = "answer"
"""Key of the last task of every plan: it makes the answer of what the others found."""

Level = Literal["strategic", "tactical", "operational"]


def goal_id_of(run_id: str) -> str:
    """The id of the goal that the request of this Run becomes: known before there is a plan."""
    return run_id_of("goal", run_id)


@dataclass(frozen=True, slots=True)
class Spent:
    """What was used, or is expected to be: `usd` leaves out what has no known price."""

    seconds: float = 0.0
    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.seconds + other.seconds, self.tokens + other.tokens, self.usd + other.usd)

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(self.seconds - other.seconds, self.tokens - other.tokens, self.usd - other.usd)


NOTHING = Spent()


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a goal may use; `seconds` of work, not of waiting for people."""

    usd: float = 1.0
    tokens: int = 200_000
    seconds: float = 3_600.0
    agents: int = 8
    spawns: int = 2
    tasks: int = 12


@dataclass(frozen=True, slots=True)
class Estimate:
    """What something is expected to take. `chance` of going well in 0..1; `usd` None where no price
    is known; `known` says of how many earlier runs.
    """

    seconds: float
    tokens: int
    usd: float | None
    chance: float
    known: int = 0


UNKNOWN = Estimate(20.0, 1_500, None, 0.5)
"""What is expected of a task while nothing is known of its like."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A goal in the plan: tactical ones serve the strategic one, operational a tactical one."""

    key: str
    level: Level
    title: str
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work for one agent, and how far it is.

    `number` is what people call it ("step 3"). `agent` None asks for a new specialist that
    `specialty` describes. `others_words` says that what others wrote was read, or is repeated, in
    making it: it may do as little unasked as if it had read that itself. `question` is what it
    waits to hear from a person, `answers` what they said, oldest first. `run_id` is the Run of the
    last attempt; `held` attempts were put back, before they began or to go on later; `reserved` is
    held of the budgets while it runs, `least` what an attempt needs at least to go on. `result`
    is the text it came to, `reason` why it failed, was skipped or blocked.
    """

    key: str
    number: int
    title: str
    instruction: str
    agent: str | None
    specialty: str = ""
    objective: str = ""
    needs: tuple[str, ...] = ()
    estimate: Estimate = UNKNOWN
    model: str | None = None
    others_words: bool = False
    state: TaskState = "pending"
    attempt: int = 0
    held: int = 0
    run_id: str | None = None
    result: str | None = None
    reason: str = ""
    question: str | None = None
    answers: tuple[str, ...] = ()
    reserved: Spent = NOTHING
    least: Spent = NOTHING
    spent: Spent = NOTHING
    started_at: float | None = None
    ended_at: float | None = None

    @property
    def tries(self) -> int:
        """How often it was tried: an attempt that goes on after an answer is no other try."""
        return self.attempt - self.held - len(self.answers)


@dataclass(frozen=True, slots=True)
class Goal:
    """What somebody asked for, the plan for it and where it stands.

    `run_id` is the Run of the request, the parent of its tasks' runs; `message_ts` is the message
    it came with, '' from the command line. `title` is the strategic goal in a line. `notes` are
    sentences for the thread: what was repaired in the plan, what was changed, what is blocked and
    why. `asks` is a question of the goal itself, such as whether it may go on beyond its budget,
    which `asks_for_more` says that it is; `askings` counts them. `acts` are the names of the last
    things that people did with it, so that none is done twice.
    `replans` counts how often a failure was planned around. `revision` counts moves.
    `reader_channels` and `reader_public` are what might be read when it was asked for; of that
    `lost_channels` and, with `lost_public`, what is public may not be read any more.
    """

    goal_id: str
    user_id: str
    request: str
    run_id: str
    title: str = ""
    channel_id: str = ""
    thread_ts: str = ""
    message_ts: str = ""
    audience: str = PUBLIC
    reader_channels: frozenset[str] = frozenset()
    reader_public: bool = True
    lost_channels: frozenset[str] = frozenset()
    lost_public: bool = False
    state: GoalState = "proposed"
    objectives: tuple[Objective, ...] = ()
    tasks: tuple[Task, ...] = ()
    budget: Budget = field(default_factory=Budget)
    estimate: Estimate = UNKNOWN
    planning: Spent = NOTHING
    notes: tuple[str, ...] = ()
    asks: str | None = None
    asks_for_more: bool = False
    askings: int = 0
    acts: tuple[str, ...] = ()
    runbook: str | None = None
    replans: int = 0
    spawns: int = 0
    reason: str = ""
    created_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    revision: int = 0

    def task(self, key: str) -> Task:
        """The task of this key. Raises KeyError."""
        for task in self.tasks:
            if task.key == key:
                return task
        raise KeyError(key)

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state in ENDED_GOAL

    @property
    def spent(self) -> Spent:
        """All that was used for it so far, planning included."""
        total = self.planning
        for task in self.tasks:
            total += task.spent
        return total

    @property
    def reader(self) -> Reader:
        """What its tasks may read: what everybody can who reads the answer in that place.

        In a direct message, and from the command line, that is what the one who asked can read.
        """
        alone = self.audience == one_person(self.user_id)
        return Reader(
            self.user_id if alone else "",
            self.reader_channels - self.lost_channels,
            self.reader_public and not self.lost_public,
        )
