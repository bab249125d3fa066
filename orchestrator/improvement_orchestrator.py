"""The pipeline of improvements as people and the clock use it: submit, advance, decide, roll back.

`proposed -> trial -> (awaiting | live | rejected) -> live -> verified | rolled back`; each state is
saved before the next step, so that a restart goes on where it stopped.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from agents.variants import variant_of
from database.errors import (
    InputError,
    NotAllowed,
    RecordAway,
    StaleBase,
    StaleRevision,
    UnknownName,
)
from database.learning import (
    AuditEntry,
    Change,
    Decision,
    Finding,
    FindingState,
    Proposal,
    ProposalOrder,
    ProposalState,
    Trial,
    proposal_id_of,
)
from database.privacy import Redactor
from database.records import PolicyChange
from database.store import Store
from orchestrator.advancing import Advance
from orchestrator.learning_cycle import MOST_READ, OPEN, CycleReport, Cycles, Sifted
from orchestrator.learning_report import LearningReport
from orchestrator.learning_status import LearningFigures, LearningStatus
from orchestrator.moves import Moves
from orchestrator.policy import COMMAND_LINE, Mode, Policy
from orchestrator.proposal_days import waits
from orchestrator.proposal_rules import MOST_CHANGES
from orchestrator.verifying import verification_id

RECENT_SECONDS = 2 * 86_400.0
"""What moved so lately is announced again after a restart."""
_TRIES = 5
_ALSO_OF_ANOTHER = frozenset({"runs", "answers_now"})
"""Of a proposal's evidence what holds whatever is changed: figures and scores are its own."""

log = structlog.get_logger()


class AlreadyDecided(InputError):
    """Somebody, or the pipeline, was first; the message says what is the case now."""


class Improvement:
    """Everything that may be done about improvements; slack_interface.ports.ImprovementPort.

    `named` are the approvers named in the environment; where policy names some, those count. Where
    nobody is named, whoever calls has made sure (Slack's side asks for the workspace's admins).
    """

    def __init__(
        self,
        store: Store,
        policy: Policy,
        moves: Moves,
        cycles: Cycles,
        advance: Advance,
        report: LearningReport,
        *,
        redactor: Redactor,
        named: Sequence[str] = (),
        refresh: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._policy = policy
        self._moves = moves
        self._cycles = cycles
        self._advance = advance
        self._report = report
        self._redactor = redactor
        self._named = tuple(named)
        self._refresh = refresh
        self._clock = clock
        self._announced = -1

    # What there is

    async def proposal(self, proposal_id: str) -> Proposal | None:
        """One proposal."""
        return await self._store.proposal(proposal_id)

    async def proposals(
        self,
        states: Collection[ProposalState] | None = None,
        limit: int = 200,
        order: ProposalOrder = "newest",
        moved_since: float = 0.0,
    ) -> Sequence[Proposal]:
        """Those in any of some states, or all; of what moved since then, in an order.

        What waits for its day is not among them.
        """
        found = await self._store.proposals(states, limit, order, moved_since)
        return [one for one in found if not waits(one, self._clock())]

    async def trial_of(self, proposal_id: str) -> Trial | None:
        """The newest trial of a proposal, with the figures of its last look."""
        return await self._advance.trial_of(proposal_id)

    async def verification_of(self, proposal_id: str) -> Trial | None:
        """How a proposal that went live does since, where that is looked at."""
        return await self._store.trial(verification_id(proposal_id))

    async def trials(self) -> Sequence[Trial]:
        """Those that are running."""
        return await self._store.trials({"running"})

    async def finding(self, finding_id: str) -> Finding | None:
        """One finding."""
        return await self._store.finding(finding_id)

    async def findings(
        self, since: float | None = None, state: FindingState | None = None, limit: int = 200
    ) -> Sequence[Finding]:
        """Newest first."""
        return await self._store.findings(since, state, limit)

    async def before(self, change: Change) -> Mapping[str, Any] | None:
        """The body that a change was made from; None where there was none.

        That of a new variant is its agent's own, who answers its requests now.
        """
        if change.base is None:
            variant = variant_of(change.name) if change.kind == "agent" else None
            own = await self._store.document("agent", variant.agent) if variant else None
            return own.body if own else None
        document = await self._store.document(change.kind, change.name, change.base)
        return document.body if document else None

    async def status(self) -> LearningStatus:
        """How learning stands."""
        return await self._report.status()

    async def figures(self, since: float, until: float) -> LearningFigures:
        """What learning did between two times, and what it cost."""
        return await self._report.figures(since, until)

    # What learners and the clock do

    async def cycle(self, learner: str) -> CycleReport:
        """One cycle of a learner now. Raises UnknownName."""
        return await self._cycles.cycle(learner)

    async def submit(self, proposals: Sequence[Proposal]) -> Sifted:
        """Take up proposals, deduplicated and with their risk computed."""
        return await self._cycles.submit(proposals)

    async def advance(self) -> int:
        """Move everything that can move; how many moves. Doing it twice changes nothing more."""
        moves = await self._advance.advance()
        if moves:
            await self._refresh()
        return moves

    async def watch(self) -> int:
        """Look after what is live, as `advance` does first; for the clock, which waits for none."""
        moves = await self._advance.watch()
        if moves:
            await self._refresh()
        return moves

    # What people decide

    async def decide(
        self, proposal_id: str, person: str, approve: bool, reason: str = ""
    ) -> Proposal:
        """Approve or reject a proposal that waits; counts once.

        Raises NotAllowed for who is no approver, AlreadyDecided where it does not wait any more,
        StaleBase where a document has changed meanwhile (the proposal is superseded then),
        RecordAway where it could not be kept.
        """
        self._check(person)
        reason = self._redactor.redact(reason)
        proposal = await self._known(proposal_id)
        if proposal.state != "awaiting" and (
            approve or proposal.state not in ("proposed", "trial")
        ):
            raise AlreadyDecided(_as_it_is(proposal))
        try:
            moved = await self._first(proposal, lambda: self._decided(
                proposal, person, approve, reason
            ))  # fmt: skip
        except StaleBase:
            await self._superseded(proposal)
            raise
        await self._refresh()
        return moved

    async def _decided(
        self, proposal: Proposal, person: str, approve: bool, reason: str
    ) -> Proposal:
        if approve:
            told = reason or "Approved by a person."
            return await self._advance.promote(proposal, told, person=person)
        ended = await self._advance.ended(proposal, "A person rejected the proposal.")
        told = reason or "Rejected by a person."
        return await self._moves.move(proposal, "rejected", told, person=person, trials=ended)

    async def _first(
        self, proposal: Proposal, decide: Callable[[], Awaitable[Proposal]]
    ) -> Proposal:
        """What was decided, unless somebody else was first. Raises AlreadyDecided.

        Where something beside the proposal was moved meanwhile (its trial, a rival) it is tried
        again.
        """
        for _ in range(_TRIES):
            try:
                return await decide()
            except StaleRevision:
                now = await self._known(proposal.proposal_id)
                if now.revision != proposal.revision:
                    raise AlreadyDecided(_as_it_is(now)) from None
        raise AlreadyDecided("It is being looked at just now: decide again in a moment.")

    async def roll_back(self, proposal_id: str, person: str, reason: str = "") -> Proposal:
        """Take back what is live; at once, also while Supabase is away.

        Raises NotAllowed, AlreadyDecided where it is not live, StaleBase where a later change
        stands on it: that is to be taken back first.
        """
        self._check(person)
        reason = self._redactor.redact(reason)
        proposal = await self._known(proposal_id)
        if proposal.state not in ("live", "verified"):
            raise AlreadyDecided(_as_it_is(proposal))
        told = reason or "Taken back by a person."
        moved = await self._first(
            proposal, lambda: self._advance.take_back(proposal, told, person=person)
        )
        await self._refresh()
        return moved

    async def revise(
        self, proposal_id: str, person: str, changes: Sequence[Change], why: str
    ) -> Proposal:
        """What a discussion came to: a new proposal in place of one that is open.

        Raises NotAllowed, AlreadyDecided, and InputError for changes that cannot be made.
        """
        self._check(person)
        proposal = await self._known(proposal_id)
        if proposal.state not in ("proposed", "trial", "awaiting"):
            raise AlreadyDecided(_as_it_is(proposal))
        if len(changes) > MOST_CHANGES:
            raise InputError(f"At most {MOST_CHANGES} documents may change at once.")
        kept = tuple(self._redacted(change) for change in changes)
        made = replace(
            proposal, learner=person, changes=kept, why=self._redactor.redact(why),
            state="proposed", expected=None, proposal_id=proposal_id_of(person, kept),
            evidence={k: v for k, v in proposal.evidence.items() if k in _ALSO_OF_ANOTHER},
        )  # fmt: skip
        taken = await self._cycles.fitted(made)
        ended = await self._advance.ended(proposal, "Another proposal took its place.")
        await self._moves.move(
            proposal, "superseded", "A discussion came to another proposal.", person=person,
            trials=ended, also=[taken],
        )  # fmt: skip
        return taken

    async def judge_finding(self, finding_id: str, person: str, verified: bool) -> Finding:
        """A person says whether a finding is true; the last word counts."""
        finding = await self._store.finding(finding_id)
        if finding is None:
            raise UnknownName(f"There is no finding {finding_id}. See `virtuous6 patterns list`.")
        state: FindingState = "verified" if verified else "dismissed"
        if (finding.state, finding.decided_by) == (state, person):
            return finding
        judged = replace(finding, state=state, decided_by=person, revision=finding.revision + 1)
        entry = AuditEntry(person, state, finding_id, {"revision": judged.revision}, self._clock())
        await self._store.decide(Decision(findings=(judged,), audit=(entry,)))
        self._moves.announce_finding(judged)
        return judged

    async def switch(self, to: str, person: str) -> LearningStatus:
        """Turn learning `on`, `paused` or `off`; at once, also while Supabase is away."""
        self._check(person)
        try:
            await self._policy.set("improvement", to, person)
        except RecordAway:
            change = PolicyChange("improvement", self._policy.valid("improvement", to), person)
            await self._store.decide_here(
                Decision(policy=(change,), author=person, reason="The record was away.")
            )
            self._policy.reload()
        await self._refresh()
        return await self.status()

    async def set_mode(self, agent: str, mode: Mode, person: str) -> LearningStatus:
        """How the changes of an agent are promoted."""
        self._check(person)
        if await self._store.document("agent", agent) is None:
            raise UnknownName(f"There is no agent called {agent}. See `agents list`.")
        await self._policy.set(f"mode.{agent}", mode, person)
        await self._refresh()
        return await self.status()

    # Telling

    def on_changed(self, handler: Callable[[Proposal | Finding], Awaitable[None]]) -> None:
        """Call `handler` soon after each move of a proposal and each new or judged finding."""
        self._moves.tell(handler)

    async def announce(self) -> None:
        """Tell of what moved elsewhere, and after a restart of what is open or moved lately."""
        changes = self._store.learning_changes()
        if changes == self._announced:
            return
        self._announced = changes
        since = self._clock() - RECENT_SECONDS
        lately = await self._store.proposals(None, MOST_READ, "moved_last", since)
        still = await self._store.proposals({*OPEN, "live"}, MOST_READ, "moved_last")
        found = {proposal.proposal_id: proposal for proposal in (*lately, *still)}
        for proposal in sorted(found.values(), key=lambda p: p.moved_at):
            self._moves.announce(proposal)
        for finding in reversed(await self._store.findings(since)):
            self._moves.announce_finding(finding)

    def _redacted(self, change: Change) -> Change:
        """What a person typed into a document, without secrets and addresses."""
        if change.body is None:
            return change
        return replace(change, body=self._redactor.redact_body(change.body))

    def _check(self, person: str) -> None:
        named = self._policy.approvers or self._named
        if named and person not in named:
            told = "Say who decides with --as USER. " if person == COMMAND_LINE else ""
            raise NotAllowed(f"{told}Only approvers decide that: {', '.join(named)}.")

    async def _known(self, proposal_id: str) -> Proposal:
        proposal = await self._store.proposal(proposal_id)
        if proposal is None:
            raise UnknownName(
                f"There is no proposal {proposal_id}. See `virtuous6 proposals list`."
            )
        return proposal

    async def _superseded(self, proposal: Proposal) -> None:
        try:
            await self._moves.move(
                proposal, "superseded", "A document has changed since this was proposed."
            )
        except StaleRevision:
            log.info("already_superseded", proposal=proposal.proposal_id)


def _as_it_is(proposal: Proposal) -> str:
    """What is the case, for who came too late."""
    decided = proposal.decided_by and proposal.state != "verified"
    by = f" by {proposal.decided_by}" if decided else ""
    if proposal.state in ("proposed", "trial"):
        return "It is still being tried, so nobody can approve it yet: wait for its card."
    state = proposal.state.replace("_", " ")
    return f"It is {state}{by} already. {proposal.reason}".strip()
