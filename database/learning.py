"""The frozen records of learning: what was found, proposed, tried and decided.

Times are seconds since the epoch (float, UTC), money US dollars, shares and scores 0..1. What is a
Mapping can be written as JSON. Texts that people or models wrote carry an `audience`: the people
who may see all that they rest on.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from database.records import (
    PUBLIC,
    DocumentKind,
    Feedback,
    OutcomeSource,
    PolicyChange,
    Run,
    content_hash,
)

Risk = Literal["low", "medium", "high"]
ProposalState = Literal[
    "proposed", "trial", "awaiting", "live", "verified", "rolled_back", "rejected", "superseded"
]
ProposalOrder = Literal["newest", "moved_last", "waits_longest"]
"""By when they were made, the newest first; or by when they moved, the last or the first first."""


Method = Literal["replay", "shadow", "split"]
TrialState = Literal["running", "proven", "unproven", "harmful", "stopped"]
Aspect = Literal["outcome", "error", "latency_ms", "cost_usd", "complaint"]
FindingKind = Literal["pattern", "problem", "gap", "bottleneck", "trend", "alert", "lesson", "note"]
Strength = Literal["weak", "moderate", "strong", "very strong"]
FindingState = Literal["open", "verified", "dismissed"]
ExamPart = Literal["learn", "trial", "held_out"]

_NAMESPACE = uuid.UUID("0b1d1f0e-5a0c-5c58-8a58-9f3f5f2f8d11")


def learning_id(*parts: str) -> str:
    """The same parts always give the same id, so that what is found again is the same record."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(parts)))


@dataclass(frozen=True, slots=True)
class Change:
    """A wished change of one document.

    `base` is the version that it changes (None: there is none yet), `body` the new content (None:
    the document is retired). `forgotten` is the version of a body whose words were deleted, which
    is empty then.
    """

    kind: DocumentKind
    name: str
    base: str | None
    body: Mapping[str, Any] | None
    audience: str = PUBLIC
    forgotten: str | None = None

    @property
    def version(self) -> str | None:
        """The version that the new body will be."""
        if self.forgotten is not None:
            return self.forgotten
        return None if self.body is None else content_hash(self.body)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A wished improvement: changes that are made together or not at all.

    `learner` is who proposed it: a learner's name, or a person's id. `task_type` is the kind of
    request that it is for (None: all of the agent's). `evidence` holds what a person needs to judge
    it: `runs` (ids), figures, examples that its audience may see. `expected` is the effect that the
    learner expects on the share of right answers, with its bounds (`effect`, `low`, `high`), where
    it can say. `reason` says why the proposal is in its state, `decided_by` is the person who moved
    it there, or approved what was verified since (None: it moved by itself). `revision` counts its
    moves from 1: whoever moves a proposal names the revision that they saw.

    Forgetting goes by `evidence["runs"]`: name every run whose words are in the texts or changes.
    """

    proposal_id: str
    learner: str
    title: str
    why: str
    changes: tuple[Change, ...]
    evidence: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, float] | None = None
    task_type: str | None = None
    audience: str = PUBLIC
    state: ProposalState = "proposed"
    risk: Risk = "high"
    risk_reasons: tuple[str, ...] = ()
    reason: str = ""
    decided_by: str | None = None
    created_at: float = 0.0
    moved_at: float = 0.0
    revision: int = 1


def proposal_id_of(learner: str, changes: tuple[Change, ...]) -> str:
    """The same changes of the same bases are one proposal, whenever they are proposed."""
    parts = [f"{c.kind}/{c.name}@{c.base}={c.version}" for c in changes]
    return learning_id("proposal", learner, *sorted(parts))


@dataclass(frozen=True, slots=True)
class Trial:
    """The honest comparison of a proposal's candidate with what is active.

    `agent` is the document that the requests go to, `active` and `candidate` the versions compared.
    `share` is the share of requests that takes part. `alpha` is the level of the test, as given by
    the control over many proposals. `smallest_effect` is the smallest effect that the trial can be
    expected to see before it gives up at `most` requests. `figures` are what the last look said.
    """

    trial_id: str
    proposal_id: str
    method: Method
    agent: str
    active: str
    candidate: str
    task_type: str | None = None
    share: float = 1.0
    alpha: float = 0.05
    smallest_effect: float = 0.1
    most: int = 1000
    state: TrialState = "running"
    figures: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    started_at: float = 0.0
    ended_at: float | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Observation:
    """What one request showed in a trial (or in a verification), in one aspect.

    `run_id` is the reply, `other_run_id` the shadow or replay. A pair has both values; in a split
    only that of the arm which was served. `served` is the version that really answered the person,
    by hash. A fact: the first judgement of a request in an aspect counts.
    """

    observation_id: str
    trial_id: str
    run_id: str
    aspect: Aspect
    active: float | None = None
    candidate: float | None = None
    other_run_id: str | None = None
    served: str | None = None
    source: OutcomeSource | None = None
    created_at: float = 0.0


def observation_id_of(trial_id: str, run_id: str, aspect: Aspect) -> str:
    """One request is observed once in an aspect."""
    return learning_id("observation", trial_id, run_id, aspect)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth saying: `text` for a person, `data` for figures and charts.

    `runs` are ids of runs that it rests on (some of them, where they are many).
    """

    finding_id: str
    learner: str
    kind: FindingKind
    title: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)
    runs: tuple[str, ...] = ()
    strength: Strength | None = None
    audience: str = PUBLIC
    state: FindingState = "open"
    decided_by: str | None = None
    created_at: float = 0.0
    revision: int = 1


@dataclass(frozen=True, slots=True)
class ExamQuestion:
    """A request whose right answer people let us know: `check` is a check of agents/checks.

    `part` never changes: learners see `learn`, replays ask `trial`, and `held_out` is only for
    scores.
    """

    question_id: str
    run_id: str
    request: str
    check: Mapping[str, Any]
    agent: str
    part: ExamPart
    task_type: str | None = None
    user_id: str | None = None
    audience: str = PUBLIC
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class LearnerState:
    """What a learner remembers: `runs_seen` and `feedback_seen` are its watermarks (seq)."""

    learner: str
    state: Mapping[str, Any] = field(default_factory=dict)
    runs_seen: int = 0
    feedback_seen: int = 0
    updated_at: float = 0.0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One decision: who did what to what, when, resting on what.

    `actor` is a person's id, a learner's name or a part of the house; `details` holds ids, hashes
    and numbers, never texts. `seq`, `previous` and `digest` (the chain) are given by the record;
    the actor is kept as a salted digest, whose salt is deleted when that person is forgotten.
    """

    actor: str
    action: str
    subject: str
    details: Mapping[str, Any] = field(default_factory=dict)
    at: float = 0.0
    seq: int = 0
    previous: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that changes together, or not at all.

    Each record's revision is one more than the one it replaces (1: it is new; for a learner's
    state 1 is the first as well). `changes` are applied to the documents and `policy` counts from
    then on, for `author` and because of `reason`. What moves and has no entry in `audit` (whose
    subject is its id, or KIND/NAME for a document) gets one.
    """

    proposals: tuple[Proposal, ...] = ()
    trials: tuple[Trial, ...] = ()
    findings: tuple[Finding, ...] = ()
    learners: tuple[LearnerState, ...] = ()
    changes: tuple[Change, ...] = ()
    policy: tuple[PolicyChange, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
    author: str | None = None
    reason: str | None = None


LearningFact = Observation | ExamQuestion
"""What learning saw: appended once, never changed."""


@dataclass(frozen=True, slots=True)
class WindowRows:
    """What is new since two watermarks, of those who may be learned from.

    `runs` in the order they were recorded, with steps; `older` are runs from before that new
    feedback speaks of; `feedback` is all there is on both, by run id. `runs_seen` and
    `feedback_seen` are the next watermarks; `more`: there is more beyond them already.
    """

    runs: tuple[Run, ...]
    feedback: Mapping[str, tuple[Feedback, ...]]
    older: tuple[Run, ...]
    runs_seen: int
    feedback_seen: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What checking the chain found: nothing in `broken` means that it is whole.

    `broken` are places (seq) with what is wrong there; `head` is the digest of the last entry: who
    notes it down elsewhere can tell later whether all of the chain was made anew.
    """

    entries: int
    broken: tuple[tuple[int, str], ...] = ()
    head: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing was changed, added or taken away."""
        return not self.broken


@dataclass(frozen=True, slots=True)
class ImprovementCounts:
    """What learning did for one agent on one day (UTC, days since the epoch).

    `rated` are the ratings that people gave, `coverage` is the share of replies that took part in a
    trial, `feedback_rate` the ratings for each reply. `caught` are trials that found harm before it
    went live. `learning_*` is what trials and reviews took (runs of kind shadow, replay, review).
    """

    day: int
    agent: str
    replies: int = 0
    judged: int = 0
    succeeded: int = 0
    rated: int = 0
    in_trial: int = 0
    cost_usd: float = 0.0
    proposed: int = 0
    trials: int = 0
    by_itself: int = 0
    by_people: int = 0
    caught: int = 0
    rolled_back: int = 0
    verified: int = 0
    learning_runs: int = 0
    learning_tokens: int = 0
    learning_cost_usd: float = 0.0

    @property
    def success_rate(self) -> float | None:
        """Share of judged replies that were right."""
        return self.succeeded / self.judged if self.judged else None

    @property
    def coverage(self) -> float | None:
        """Share of replies that took part in a trial."""
        return self.in_trial / self.replies if self.replies else None

    @property
    def feedback_rate(self) -> float | None:
        """Ratings for each reply."""
        return self.rated / self.replies if self.replies else None
