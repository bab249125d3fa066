"""The frozen records that everything is built of and learned from.

Times are seconds since the epoch (float, UTC), durations milliseconds, money US dollars. A cost of
None means that the price is unknown, which is not the same as 0. Ids of people, channels and
messages are the workspace's own (Slack's `U...`, `C...`, `ts`).
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

RunKind = Literal["reply", "task", "shadow", "replay", "review"]
StepKind = Literal["model", "tool"]
OutcomeSource = Literal["check", "user", "implicit", "judge"]
FeedbackKind = Literal["rating", "reason", "better", "reaction", "rephrase", "correction"]
IMPLICIT: frozenset[FeedbackKind] = frozenset({"reaction", "rephrase", "correction"})
"""Feedback that is read between the lines."""
DocumentKind = Literal["agent", "runbook", "team", "lesson", "model"]
MessageRole = Literal["person", "assistant"]

LEARNING = "learning"
"""The setting of a person, and the policy (for one channel `learning.ID`), that `no` is said by to
being learned from."""

PUBLIC = "public"
"""Audience of what was said in a public channel: everybody in the workspace may read it."""

_RUN_NAMESPACE = uuid.UUID("6f0e7a52-3f0b-5b1e-9a53-0c2f8d6b1e66")


def private_channel(channel_id: str) -> str:
    """Audience of a private channel or group: its members."""
    return f"channel:{channel_id}"


def one_person(user_id: str) -> str:
    """Audience of a direct message: that person alone."""
    return f"person:{user_id}"


def run_id_of(*parts: str) -> str:
    """The same parts always give the same run, so that twin deliveries are one run.

    A message's parts are (app, workspace, channel, ts); a command's its trigger id; a task's
    (goal, task, attempt); a shadow's or replay's (parent run, arm).
    """
    return str(uuid.uuid5(_RUN_NAMESPACE, "\x1f".join(parts)))


def random_run_id() -> str:
    """A run that no message asked for (the command line, a benchmark)."""
    return str(uuid.uuid4())


def content_hash(body: Mapping[str, Any]) -> str:
    """Version of a document: the first 16 hex digits of SHA-256 over its canonical JSON."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, and who says so. `score` lies in 0..1 where one was given."""

    success: bool | None = None
    score: float | None = None
    source: OutcomeSource | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One model call or tool call inside a run; `position` counts from 0."""

    position: int
    kind: StepKind
    name: str
    arguments: Mapping[str, Any] | None = None
    ok: bool | None = None
    error: str | None = None
    duration_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One piece of work: a request from a person, or a run made by another run.

    `agent_version` is the content hash of the document as served; `route` says why this agent
    answered (JSON-able). Tokens and cost are the sums over the steps (cost None if any step's
    price is unknown).
    """

    run_id: str
    request: str
    agent: str
    kind: RunKind = "reply"
    parent_run_id: str | None = None
    started_at: float | None = None
    duration_ms: float | None = None
    first_token_ms: float | None = None
    user_id: str | None = None
    channel_id: str | None = None
    thread_ts: str | None = None
    message_ts: str | None = None
    reply_ts: str | None = None
    audience: str = PUBLIC
    task_type: str | None = None
    agent_version: str | None = None
    model: str | None = None
    reply: str | None = None
    error: str | None = None
    route: Mapping[str, Any] | None = None
    outcome: Outcome = field(default_factory=Outcome)
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody let us know about a run: `value` in -1..1, `weight` in 0..1.

    Explicit feedback (rating, reason, better) weighs 1; implicit (reaction, rephrase, correction)
    less, see slack_interface/feedback_handler.py; a reaction of weight 0 takes back an earlier one
    of the same person and value. `feedback_id` is made from the event, so that a
    repeated delivery is one feedback.
    """

    feedback_id: str
    run_id: str
    kind: FeedbackKind
    value: float
    weight: float = 1.0
    text: str | None = None
    user_id: str | None = None
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Message:
    """Something said where the assistant could hear it: our own memory of a conversation."""

    channel_id: str
    ts: str
    thread_ts: str
    role: MessageRole
    text: str
    user_id: str | None = None
    run_id: str | None = None
    audience: str = PUBLIC
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """What a thread said up to and including `until_ts`, shortened."""

    channel_id: str
    thread_ts: str
    until_ts: str
    text: str
    audience: str
    created_at: float = 0.0


Fact = Run | Feedback | Message | Summary
"""What happened: appended once, never changed."""


@dataclass(frozen=True, slots=True)
class Document:
    """One immutable version of something that can improve.

    `version` is `content_hash(body)`; `number` counts the versions of (kind, name) from 1;
    `base` is the version it was made from; `origin` says how it came to be (`shipped`, `person`,
    `spawn`, `proposal`).
    """

    kind: DocumentKind
    name: str
    body: Mapping[str, Any]
    version: str
    number: int = 1
    base: str | None = None
    origin: str = "shipped"
    author: str | None = None
    reason: str | None = None
    audience: str = PUBLIC
    created_at: float = 0.0
    active: bool = True


@dataclass(frozen=True, slots=True)
class Person:
    """What we keep of a person: the name for the roster, and their settings (JSON-able)."""

    user_id: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One decision about the assistant itself; a value of None means the default again."""

    key: str
    value: str | None
    set_by: str
    set_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Spent:
    """What the runs of a person in a channel took; `usd` leaves out what has no known price.

    By the agent that answered, and the workflow ('' for none) that they were steps of.
    """

    user_id: str
    channel_id: str
    tokens: int
    usd: float
    agent: str = ""
    workflow: str = ""


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who wants to read: their id and the private channels they are in.

    `public` is False for those who may not read what the whole workspace may: guests, and
    everybody in a channel that is shared with another organisation.
    """

    user_id: str
    channels: frozenset[str] = frozenset()
    public: bool = True

    def audiences(self) -> frozenset[str]:
        """The audiences whose texts this person may see."""
        private = {private_channel(channel) for channel in self.channels}
        open_to_all = {PUBLIC} if self.public else set()
        return frozenset(open_to_all | {one_person(self.user_id)} | private)


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs to look at; None means any. Newest first, at most `limit`."""

    user_id: str | None = None
    channel_id: str | None = None
    thread_ts: str | None = None
    agent: str | None = None
    since: float | None = None
    until: float | None = None
    kinds: tuple[RunKind, ...] = ("reply",)
    audiences: frozenset[str] | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class MetricsRow:
    """One row of the metrics table, for an agent, a day or a whole period.

    `success_rate` and `satisfaction` are None where nothing was judged; `cost_usd` sums the known
    prices and `unpriced_runs` counts the runs that it leaves out.
    """

    label: str
    runs: int
    succeeded: int
    judged: int
    p50_ms: float | None
    p95_ms: float | None
    input_tokens: int
    output_tokens: int
    cost_usd: float
    unpriced_runs: int
    feedback_up: int
    feedback_down: int

    @property
    def success_rate(self) -> float | None:
        """Share of judged runs that succeeded."""
        return self.succeeded / self.judged if self.judged else None

    @property
    def satisfaction(self) -> float | None:
        """Share of ratings that were positive."""
        total = self.feedback_up + self.feedback_down
        return self.feedback_up / total if total else None


@dataclass(frozen=True, slots=True)
class Behind:
    """Work that is no reply but was paid for: summaries, steps of workflows, drafts."""

    runs: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced_runs: int = 0

    def sentence(self) -> str:
        """The figures in words for a person; '' where there was nothing."""
        if not self.runs:
            return ""
        tokens = f"{self.input_tokens + self.output_tokens:,} tokens"
        unpriced = f" + {self.unpriced_runs} unpriced" if self.unpriced_runs else ""
        priced = f"{tokens}, ${self.cost_usd:.4f}{unpriced}"
        took = f"{tokens} of unknown price" if unpriced and not self.cost_usd else priced
        return f"Besides, for summaries, steps of workflows and goals: {took}"


@dataclass(frozen=True, slots=True)
class Metrics:
    """Success, speed, cost and feedback of the runs a query matches.

    `behind` is what the same people and channels took besides.
    """

    query: RunQuery
    total: MetricsRow
    by_agent: tuple[MetricsRow, ...]
    by_day: tuple[MetricsRow, ...]
    behind: Behind = field(default_factory=Behind)
    note: str = ""
    """What a reader must know of where the figures come from; mostly nothing."""


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """How an agent did with a type of task; `task_type` None gathers runs without one.

    `judged` and `succeeded` are sums of weights: a run judged by a check or by a person's word
    weighs 1, one that only implicit feedback speaks of weighs that feedback's weight.
    """

    agent: str
    task_type: str | None
    runs: int
    judged: float
    succeeded: float
    mean_ms: float | None
    mean_cost_usd: float | None


@dataclass(frozen=True, slots=True)
class TaskType:
    """A cluster of similar requests: `centroid` is a float32 vector's bytes, `count` its size."""

    name: str
    centroid: bytes
    count: int


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """How many rows were emptied or deleted, by table."""

    user_id: str
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RecordHealth:
    """How far the local record and the one at Supabase are apart; nothing without Supabase.

    `copied_at` is when the local copy of what was decided was last known to be the truth;
    `warnings` say what somebody should do, `only_there` what this machine cannot tell.
    """

    supabase: bool = False
    away_since: float | None = None
    copied_at: float | None = None
    waiting: int = 0
    refused: int = 0
    oldest_s: float | None = None
    problem: str | None = None
    warnings: tuple[str, ...] = ()
    only_there: str = ""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did: runs that were new, and runs that the record knew already."""

    added: int
    known: int
