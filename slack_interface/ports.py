"""What the Slack side needs from the rest of the house; bootstrap hands in the real parts."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Literal, Protocol

from agents.generalising import WorkflowInput
from agents.ports import FilesPort
from database.goals import Goal
from database.learning import (
    Change,
    Finding,
    FindingState,
    Proposal,
    ProposalOrder,
    ProposalState,
    Trial,
)
from database.records import (
    Document,
    Feedback,
    ForgetReport,
    Message,
    Metrics,
    Person,
    Reader,
    Run,
    RunQuery,
)
from orchestrator.learning_status import LearningFigures, LearningStatus
from orchestrator.own_data import OwnSummary
from orchestrator.policy import Mode
from orchestrator.requests import ReplyEvent, ReplyFinished, Request


class Orchestrator(Protocol):
    """Answers requests and keeps what was said and felt."""

    def reply(self, request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        """Answer; the last event is ReplyFinished, also on failure.

        A stop cancels the task that iterates: a generator that catches the CancelledError may
        still yield its ReplyFinished; otherwise one is made here of what was said so far.
        """

    async def record(self, finished: ReplyFinished, reply_ts: str | None) -> None:
        """Keep the run and its messages; `reply_ts` is where the answer can be seen."""

    async def heard(self, message: Message) -> None:
        """Remember a message that needs no answer."""

    async def edited(self, channel_id: str, ts: str, text: str) -> None:
        """A remembered message now says something else."""

    async def deleted(self, channel_id: str, ts: str) -> None:
        """A remembered message is gone."""

    async def give_feedback(self, feedback: Feedback) -> None:
        """Keep feedback; the same feedback_id twice is one feedback."""

    def learn_anew(self) -> None:
        """Somebody decided whether is learned from them."""

    def holds_secret(self, text: str) -> bool:
        """Whether there is a password or a key in it, which is not kept."""

    async def better_request(self, run: Run, wish: str, request_base: Request) -> Request:
        """The request of `run` again, to be answered with `wish` in mind."""


class Workflows(Protocol):
    """Saved workflows, as their readers may see them."""

    async def save(self, name: str, runs: Sequence[Run], author: str, audience: str) -> Document:
        """Keep these runs (oldest first) as a workflow. Raises InputError with what to do."""

    async def names(self, reader: Reader) -> Sequence[str]:
        """Names of the workflows that `reader` may see."""

    async def inputs(self, name: str, reader: Reader) -> Sequence[WorkflowInput]:
        """The blanks of a workflow. Raises UnknownName."""

    async def requests(
        self, name: str, inputs: Mapping[str, str], request_base: Request
    ) -> Sequence[Request]:
        """The requests to answer one after the other; blanks not given keep their example.

        Raises UnknownName, or InputError for an input that the workflow does not have.
        """


class MetricsSource(Protocol):
    """Figures over runs."""

    async def metrics(self, query: RunQuery) -> Metrics:
        """Success, speed, cost and feedback of the runs that `query` matches."""


class Record(MetricsSource, Protocol):
    """The part of the Store that the Slack side reads and writes."""

    async def run(self, run_id: str) -> Run | None:
        """The run with its steps."""

    async def runs(self, query: RunQuery) -> list[Run]:
        """Newest first."""

    async def feedback_on(self, run_id: str) -> list[Feedback]:
        """All that people let us know about the run."""

    async def run_of_message(self, channel_id: str, ts: str) -> Run | None:
        """The run whose reply or request is this message."""

    async def last_reply(
        self, channel_id: str, user_id: str, thread_ts: str | None = None
    ) -> Run | None:
        """The person's newest answered run there."""

    async def thread(self, channel_id: str, thread_ts: str, limit: int = 50) -> list[Message]:
        """What was said in the thread, oldest first."""

    async def person(self, user_id: str) -> Person | None:
        """What we keep of a person."""

    async def save_person(self, person: Person) -> None:
        """Keep or replace it."""


class OwnData(Protocol):
    """What is kept about one person, for that person."""

    async def summary(self, user_id: str) -> OwnSummary:
        """How much of what is kept. Raises StoreError."""

    async def export(self, user_id: str) -> Sequence[tuple[str, bytes]]:
        """All of it as files, by name; none where nothing is kept. Raises StoreError."""

    async def forget(self, user_id: str) -> ForgetReport:
        """Delete it everywhere; how many rows of what. Raises StoreError."""


class ImprovementPort(Protocol):
    """How the assistant gets better: what was found, proposed and tried, and deciding on it.

    Everything may raise StoreError. Whoever shows something looks at its audience first: nothing
    here is filtered. Acts raise NotAllowed for who is no approver, and InputError (with what is
    the case now) where it was decided, superseded or changed meanwhile; each counts once.
    """

    async def proposal(self, proposal_id: str) -> Proposal | None:
        """One proposal."""

    async def proposals(
        self,
        states: Collection[ProposalState] | None = None,
        limit: int = 200,
        order: ProposalOrder = "newest",
        moved_since: float = 0.0,
    ) -> Sequence[Proposal]:
        """Those in any of some states, or all; of what moved since then, in an order."""

    async def trial_of(self, proposal_id: str) -> Trial | None:
        """The newest trial of a proposal, with the figures of its last look."""

    async def verification_of(self, proposal_id: str) -> Trial | None:
        """How a proposal that went live does since, where that is looked at."""

    async def trials(self) -> Sequence[Trial]:
        """Those that are running."""

    async def finding(self, finding_id: str) -> Finding | None:
        """One finding."""

    async def findings(
        self, since: float | None = None, state: FindingState | None = None, limit: int = 200
    ) -> Sequence[Finding]:
        """Newest first."""

    async def before(self, change: Change) -> Mapping[str, Any] | None:
        """The body that a change was made from; None where there was none. That of a new variant
        of an agent is the agent's own.
        """

    async def status(self) -> LearningStatus:
        """How learning stands."""

    async def figures(self, since: float, until: float) -> LearningFigures:
        """What learning did between two times, and what it cost."""

    async def decide(
        self, proposal_id: str, person: str, approve: bool, reason: str = ""
    ) -> Proposal:
        """Approve or reject a proposal that waits."""

    async def revise(
        self, proposal_id: str, person: str, changes: Sequence[Change], why: str
    ) -> Proposal:
        """What a discussion came to: a new proposal in place of one that waits, which it
        supersedes. Raises InputError for a body that is none.
        """

    async def roll_back(self, proposal_id: str, person: str, reason: str) -> Proposal:
        """Take back what is live."""

    async def judge_finding(self, finding_id: str, person: str, verified: bool) -> Finding:
        """A person says whether a finding is true; any member may."""

    async def switch(self, to: str, person: str) -> LearningStatus:
        """Turn learning `on`, `paused` or `off`; at once, also while Supabase is away."""

    async def set_mode(self, agent: str, mode: Mode, person: str) -> LearningStatus:
        """How the changes of an agent are promoted."""

    def on_changed(self, handler: Callable[[Proposal | Finding], Awaitable[None]]) -> None:
        """Call `handler` soon after each move of a proposal and each new or judged finding.

        In this process only, and not after a crash: Slack's side also looks by itself.
        """


class GoalsPort(Protocol):
    """Requests that need a plan, and what becomes of them (goals.goal_manager.GoalManager).

    Each act returns the goal as it is then. Acts raise NotAllowed for who neither asked for it nor
    decides here (`approver`: Slack's side has made sure), UnknownName for a goal that is not known,
    InputError where it makes no sense any more; all may raise StoreError. `act` is the name of what
    is done: the same one again, as after a crash, changes nothing, and is in the goal's `acts`.
    """

    def wanted(self, text: str) -> bool:
        """Whether a request needs a plan."""

    async def begin(self, request: Request) -> Goal:
        """Plan it, which may take minutes; the same request again is the same goal. Records
        nothing. Raises ModelError or BudgetExceeded where there is no plan.
        """

    async def goal(self, goal_id: str) -> Goal | None:
        """A goal as it is now."""

    async def in_thread(self, channel_id: str, thread_ts: str) -> Sequence[Goal]:
        """The goals of a thread, ended or not, oldest first."""

    async def of_person(self, user_id: str, limit: int = 5) -> Sequence[Goal]:
        """Their goals that have not ended, newest first."""

    async def start(
        self, goal_id: str, person: str, *, approver: bool = False, act: str = ""
    ) -> Goal:
        """Run a proposed plan; one that runs is left as it is."""

    async def cancel(
        self, goal_id: str, person: str, why: str = "", *, approver: bool = False, act: str = ""
    ) -> Goal:
        """Stop all of it; what is done stays."""

    async def skip(
        self,
        goal_id: str,
        numbers: Sequence[int],
        person: str,
        why: str = "",
        *,
        approver: bool = False,
        act: str = "",
    ) -> Goal:
        """Leave out steps, all of these or none."""

    async def change(
        self, goal_id: str, words: str, person: str, *, approver: bool = False, act: str = ""
    ) -> Goal:
        """Change the plan as the words say; the last of its notes says what came of it."""

    async def use_model(
        self,
        goal_id: str,
        model: Literal["fast", "strong"],
        person: str,
        numbers: Sequence[int] = (),
        *,
        approver: bool = False,
        act: str = "",
    ) -> Goal:
        """All that has not begun, or these steps of it, are done with this model."""

    async def answer(
        self,
        goal_id: str,
        text: str,
        person: str,
        number: int | None = None,
        *,
        approver: bool = False,
        act: str = "",
    ) -> Goal:
        """What a person says to the question of a step, or to the one that waits longest."""

    def on_changed(self, handler: Callable[[Goal], Awaitable[None]]) -> None:
        """Call `handler` soon after each move, whichever process made it; not after a crash."""

    def ask_readers_of(self, ask: Callable[[str, str], Awaitable[Reader]]) -> None:
        """Ask so what somebody may read by now, by their id and a channel's, while goals run."""
