"""A learner's cycle: what is new, what it found and would change, saved with its watermark at once.

Cost follows what is new and not history; a cycle that is cut off saved nothing, and the next one
sees the same. Two cycles of a learner never run beside each other, in one process or many.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from agents.improvement.learner import Learned, Learner, Window
from database.errors import BudgetExceeded, InputError, StaleRevision, UnknownName
from database.learning import (
    AuditEntry,
    Decision,
    Finding,
    LearnerState,
    Proposal,
    ProposalState,
    WindowRows,
    proposal_id_of,
)
from database.records import Document, DocumentKind, Run, Step, random_run_id
from database.store import Store
from orchestrator.budgets import LearningBudget, LearningOff, metered
from orchestrator.learning_windows import (
    HIDDEN,
    SKIPPED_A_CYCLE,
    LearnerFailed,
    after_failure,
    kept_with,
    let_learn,
    trouble_in,
    unseen,
)
from orchestrator.leases import Claims, lease
from orchestrator.moves import Moves
from orchestrator.policy import Policy
from orchestrator.proposal_days import Days, until
from orchestrator.proposal_rules import (
    MOST_OPEN,
    Active,
    bases,
    by_name,
    changes_key,
    finding_kept_narrow,
    kept_narrow,
    problem,
    shortened,
    stale,
)
from orchestrator.trials import risk
from orchestrator.trials.exam_rules import READ_AT_ONCE, fair

KINDS: tuple[DocumentKind, ...] = ("agent", "runbook", "team", "lesson", "model")
AT_ONCE = 1_000
"""Runs in a window; more are seen in the next one: memory is bounded, and answers do not wait long
for what a learner computes."""
MOST_WINDOWS = 200
TOO_MANY = "Too many proposals today"
OPEN: frozenset[ProposalState] = frozenset({"proposed", "trial", "awaiting"})
MOST_READ = 10_000
"""Open proposals that are read at once: more than people or learners come to."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Held:
    """A proposal that was not taken up, and why."""

    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class CycleReport:
    """What a cycle saw and made; `skipped` says why it did not run, or ended early.

    `left_out` is how often it was given something alone that it fails on (learning_windows.py).
    """

    learner: str
    runs: int = 0
    feedback: int = 0
    findings: tuple[Finding, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    held: tuple[Held, ...] = ()
    seconds: float = 0.0
    tokens: int = 0
    cost_usd: float | None = 0.0
    skipped: str = ""
    left_out: int = 0

    def plus(self, other: "CycleReport") -> "CycleReport":
        """Two windows of one cycle as one report."""
        costs = (self.cost_usd, other.cost_usd)
        return replace(
            self,
            runs=self.runs + other.runs,
            feedback=self.feedback + other.feedback,
            findings=(*self.findings, *other.findings),
            proposals=(*self.proposals, *other.proposals),
            held=(*self.held, *other.held),
            seconds=self.seconds + other.seconds,
            tokens=self.tokens + other.tokens,
            cost_usd=None if None in costs else sum(c for c in costs if c is not None),
            left_out=self.left_out + other.left_out,
        )


Progress = Callable[[CycleReport], None]
Lull = Callable[[], Awaitable[None]]


async def no_lull() -> None:
    """Where nobody is answered there is nobody to wait for."""


@dataclass(slots=True)
class Sifted:
    """Proposals that are taken up, those that wait for a day with room, and why others are not."""

    taken: list[Proposal] = field(default_factory=list)
    later: list[Proposal] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)


class Cycles:
    """Runs learners, and takes up proposals from anybody."""

    def __init__(
        self,
        store: Store,
        claims: Claims,
        policy: Policy,
        moves: Moves,
        budget: LearningBudget,
        learners: Mapping[str, Learner],
        *,
        tools: Collection[str],
        switch: Callable[[], str],
        clock: Callable[[], float] = time.time,
        at_once: int = AT_ONCE,
        lull: Lull = no_lull,
    ) -> None:
        """Before each window it waits for a `lull`: what a learner computes slows answers."""
        self.learners = learners
        self.running: set[str] = set()
        self._store = store
        self._claims = claims
        self._policy = policy
        self._moves = moves
        self._budget = budget
        self._tools = tools
        self._switch = switch
        self._clock = clock
        self._at_once = at_once
        self._lull = lull

    async def cycle(self, name: str, progress: Progress = lambda _: None) -> CycleReport:
        """Let a learner see all that is new since it looked last. Raises UnknownName.

        `progress` is told after each window what there is until then.
        """
        learner = self.learners.get(name)
        if learner is None:
            raise UnknownName(
                f"There is no learner {name}. There are: {', '.join(sorted(self.learners))}."
            )
        if self._switch() != "on":
            return CycleReport(name, skipped=f"Learning is {self._switch()}: `learn on` starts it.")
        async with lease(self._claims, f"cycle:{name}") as mine:
            if not mine:
                return CycleReport(name, skipped="A cycle of this learner is running already.")
            self.running.add(name)
            try:
                return await self._windows(learner, progress)
            finally:
                self.running.discard(name)

    async def submit(self, proposals: Sequence[Proposal]) -> Sifted:
        """Take up proposals that come from no cycle (people's, a team review's)."""
        sifted = await self._sifted(proposals, {})
        if sifted.taken or sifted.later:
            await self._store.decide(self._decision([*sifted.taken, *sifted.later], ()))
            for proposal in sifted.taken:
                self._moves.announce(proposal)
        return sifted

    async def fitted(self, proposal: Proposal) -> Proposal:
        """A proposal as it may be taken up in place of another. Raises InputError."""
        made = await self._made_fit(proposal, {}, by_name(await self._documents()))
        if isinstance(made, str):
            raise InputError(made)
        return made

    async def _windows(self, learner: Learner, progress: Progress) -> CycleReport:
        report = CycleReport(learner.name)
        progress(report)
        for _ in range(MOST_WINDOWS):
            await self._lull()
            try:
                made, more = await self._next(learner, report.left_out < SKIPPED_A_CYCLE)
            except StaleRevision:
                return replace(report, skipped="Another process has seen this already.")
            except (BudgetExceeded, LearnerFailed) as error:
                return replace(report, skipped=str(error))
            report = report.plus(made)
            progress(report)
            if not more or self._switch() != "on":
                break
        log.info("learning_cycle", learner=learner.name, runs=report.runs,
                 findings=len(report.findings), proposals=len(report.proposals),
                 seconds=round(report.seconds, 3))  # fmt: skip
        return report

    async def _next(self, learner: Learner, may_skip: bool) -> tuple[CycleReport, bool]:
        """The next window, and whether there is more; of one that it fails on, perhaps a part."""
        state = await self._store.learner_state(learner.name)
        trouble = trouble_in(state.state)
        at_once = trouble.at_once or self._at_once
        rows = await self._store.window(state.runs_seen, state.feedback_seen, at_once)
        try:
            return await self._window(learner, state, rows), rows.more
        except LearnerFailed as error:
            after = after_failure(state, rows, error, may_skip=may_skip)
            await self._store.decide(self._decision((), (), after))
            now = trouble_in(after.state)
            left_out = now.skipped - trouble.skipped
            if error.ended or not (left_out or now.at_once != trouble.at_once):
                raise
            return CycleReport(learner.name, left_out=left_out), True

    async def _window(self, learner: Learner, state: LearnerState, rows: WindowRows) -> CycleReport:
        began, now = time.perf_counter(), self._clock()
        documents = await self._documents()
        exam = fair(await self._store.exam("learn", limit=READ_AT_ONCE))
        hidden = [q for part in HIDDEN for q in await self._store.exam(part, limit=READ_AT_ONCE)]
        shown = await asyncio.to_thread(unseen, learner.name, rows, hidden)  # replies go on
        window = Window(shown.runs, now, shown.feedback, shown.older, documents, exam)
        with metered() as steps:
            try:
                learned = await let_learn(learner, window, state.state)
            finally:
                took = self._keep_cost(learner.name, steps, now)
        if self._switch() == "off":
            raise LearningOff("Learning was switched off meanwhile: what it found is not kept.")
        seen = {run.run_id: run for run in (*rows.runs, *rows.older)}
        sifted = await self._sifted(learned.proposals, seen)
        findings = await self._found(learned, seen)
        after = replace(
            state, state=kept_with(trouble_in(state.state).went_well(self._at_once), learned.state),
            runs_seen=rows.runs_seen, feedback_seen=rows.feedback_seen, updated_at=now,
            revision=state.revision + 1,
        )  # fmt: skip
        proposed = [*sifted.taken, *sifted.later]
        await self._store.decide(self._decision(proposed, findings, after))
        for finding in findings:
            self._moves.announce_finding(finding)
        for proposal in sifted.taken:
            self._moves.announce(proposal)
        feedback = sum(len(found) for found in rows.feedback.values())
        return CycleReport(
            learner.name, len(rows.runs), feedback, tuple(findings), tuple(sifted.taken),
            tuple(sifted.held), time.perf_counter() - began, *took,
        )  # fmt: skip

    async def _documents(self) -> list[Document]:
        return [document for kind in KINDS for document in await self._store.documents(kind)]

    def _decision(
        self,
        proposals: Sequence[Proposal],
        findings: Sequence[Finding],
        state: LearnerState | None = None,
    ) -> Decision:
        now = self._clock()
        entries = [
            AuditEntry(
                p.learner, "proposed", p.proposal_id,
                {"risk": p.risk, "revision": p.revision,
                 "versions": [[c.kind, c.name, c.base, c.version] for c in p.changes]}, now,
            )
            for p in proposals
        ]  # fmt: skip
        entries += [
            AuditEntry(f.learner, "found", f.finding_id, {"revision": f.revision}, now)
            for f in findings
        ]
        return Decision(
            proposals=tuple(proposals),
            findings=tuple(findings),
            learners=(state,) if state else (),
            audit=tuple(entries),
        )

    # Which proposals are taken up

    async def _sifted(self, proposals: Sequence[Proposal], seen: Mapping[str, Run]) -> Sifted:
        sifted = Sifted()
        if not proposals:
            return sifted
        active = by_name(await self._documents())
        known = await self._known()
        now = self._clock()
        days = Days(self._policy.count("proposals_per_day"), known, now)
        for proposal in sorted(proposals, key=_promise, reverse=True):
            made = await self._made_fit(proposal, seen, active)
            beside = [*sifted.taken, *sifted.later, *known]
            reason = made if isinstance(made, str) else self._not_now(made, beside)
            if isinstance(made, str) or reason:
                sifted.held.append(Held(proposal.title, reason))
                continue
            day = days.next()
            if day == now:
                sifted.taken.append(made)
                continue
            when = f"it waits until {until(day)}" if day else "the next days are full"
            reason = f"{TOO_MANY}: {when}. `policy set proposals_per_day NUMBER` allows more."
            sifted.held.append(Held(proposal.title, reason))
            if day:
                sifted.later.append(replace(made, reason=reason, created_at=day, moved_at=day))
        for held in sifted.held:
            log.info("proposal_held", reason=held.reason)
        return sifted

    async def _made_fit(
        self, proposal: Proposal, seen: Mapping[str, Run], active: Active
    ) -> Proposal | str:
        """The proposal as it may be taken up, its risk and audience computed; or why not."""
        if wrong := problem(proposal.changes, active, self._tools):
            return wrong
        if old := stale(proposal.changes, active):
            return old
        fitted = kept_narrow(shortened(proposal), seen, active)
        if isinstance(fitted, str):
            return fitted
        level, reasons = risk.assess(fitted.changes, bases(fitted.changes, active))
        wanted = proposal_id_of(fitted.learner, fitted.changes)
        before = await self._store.proposal(wanted)
        if before and before.state != "superseded":
            return _proposed_before(before)
        if before is None and await self._store.proposal_revision(wanted):
            return "The same was proposed before, and its record is damaged."
        now = self._clock()
        return replace(
            fitted, proposal_id=wanted, state="proposed", risk=level, risk_reasons=tuple(reasons),
            reason="", decided_by=None, created_at=now, moved_at=now,
            revision=before.revision + 1 if before else 1,
        )  # fmt: skip

    async def _known(self) -> list[Proposal]:
        """What new proposals are held against: the newest ones, and all that are open."""
        newest = await self._store.proposals(limit=1_000)
        there = {proposal.proposal_id for proposal in newest}
        still = await self._store.proposals(OPEN, MOST_READ)
        return [*newest, *(p for p in still if p.proposal_id not in there)]

    def _not_now(self, proposal: Proposal, known: Sequence[Proposal]) -> str:
        """Why a proposal is not taken up beside those that there are, in a sentence."""
        key = changes_key(proposal.changes)
        for other in known:
            if changes_key(other.changes) == key and other.state != "superseded":
                return _proposed_before(other)
        names = {(c.kind, c.name) for c in proposal.changes}
        beside = [
            p for p in known if p.state in OPEN and names & {(c.kind, c.name) for c in p.changes}
        ]
        if len(beside) >= MOST_OPEN:
            return f"{len(beside)} proposals for the same document are open already."
        return ""

    async def _found(self, learned: Learned, seen: Mapping[str, Run]) -> list[Finding]:
        """What is new among the findings, or says more than before; people's word on it stays."""
        found: dict[str, Finding] = {}
        for finding in learned.findings:
            narrow = finding_kept_narrow(finding, seen)
            before = await self._store.finding(finding.finding_id)
            if before is None:
                created = finding.created_at or self._clock()
                found[finding.finding_id] = replace(narrow, created_at=created, revision=1)
                continue
            again = replace(
                narrow, state=before.state, decided_by=before.decided_by,
                created_at=before.created_at, revision=before.revision,
            )  # fmt: skip
            if again != before:
                found[finding.finding_id] = replace(again, revision=before.revision + 1)
        return list(found.values())

    # What it took

    def _keep_cost(
        self, learner: str, steps: Sequence[Step], began: float
    ) -> tuple[int, float | None]:
        """The model calls of a cycle, as a run of its own; they are counted already."""
        if not steps:
            return 0, 0.0
        costs = [step.cost_usd for step in steps]
        tokens = [(step.input_tokens or 0, step.output_tokens or 0) for step in steps]
        cost = None if None in costs else sum(c for c in costs if c is not None)
        self._store.append(
            Run(
                random_run_id(), "", learner, kind="review", started_at=began,
                duration_ms=sum(step.duration_ms or 0.0 for step in steps), model=steps[0].name,
                input_tokens=sum(t[0] for t in tokens), output_tokens=sum(t[1] for t in tokens),
                cost_usd=cost, steps=tuple(steps),
            )
        )  # fmt: skip
        return sum(map(sum, tokens)), cost


def _proposed_before(other: Proposal) -> str:
    return f"The same was proposed before: {other.state}. {other.reason}".strip()


def _promise(proposal: Proposal) -> float:
    """What its learner expects of it: where not all are taken up, the best ones are."""
    return (proposal.expected or {}).get("effect", 0.0)
