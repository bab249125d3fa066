"""Every move of a proposal: one transaction with what it changes and its audit entry, announced."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from database.learning import (
    AuditEntry,
    Change,
    Decision,
    Finding,
    Observation,
    Proposal,
    ProposalState,
    Trial,
)
from database.records import content_hash
from database.store import Store
from orchestrator.event_bus import EventBus
from orchestrator.proposal_days import waits

ITSELF = "virtuous6"
"""Who did what nobody decided."""

_ACTIONS: Mapping[ProposalState, str] = {
    "proposed": "proposed",
    "trial": "trial started",
    "awaiting": "asked",
    "live": "promoted",
    "verified": "verified",
    "rolled_back": "rolled back",
    "rejected": "rejected",
    "superseded": "superseded",
}

log = structlog.get_logger()


class Moves:
    """Saves moves and tells the house of them; each is one step from the revision that was read.

    Raises StaleRevision where somebody else has moved the proposal meanwhile, StaleBase where a
    document has changed; then nothing was changed.
    """

    def __init__(self, store: Store, bus: EventBus, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self.seen: dict[str, int] = {}

    async def move(
        self,
        proposal: Proposal,
        state: ProposalState,
        reason: str,
        *,
        person: str | None = None,
        changes: Sequence[Change] = (),
        trials: Sequence[Trial] = (),
        also: Sequence[Proposal] = (),
        figures: Mapping[str, Any] | None = None,
        here: bool = False,
    ) -> Proposal:
        """Put a proposal into a state; `person` is who decided, nobody where it moved by itself.

        `changes` are made to the documents, `trials` and other proposals are saved `also`, in the
        same transaction. `here`: at once where Supabase is away.
        """
        now = self._clock()
        # what was approved stays so when its use shows that it helps
        approver = proposal.decided_by if state == "verified" else None
        moved = replace(
            proposal, state=state, reason=reason, decided_by=person or approver, moved_at=now,
            revision=proposal.revision + 1,
        )  # fmt: skip
        decision = Decision(
            proposals=(moved, *also),
            trials=tuple(trials),
            changes=tuple(changes),
            audit=tuple(
                self._entries(proposal, moved, person, changes, trials, also, figures or {})
            ),
            author=person or proposal.learner,
            reason=proposal.title,
        )
        await (self._store.decide_here(decision) if here else self._store.decide(decision))
        log.info(
            "proposal_moved", proposal=proposal.proposal_id, state=state, by=person or ITSELF,
            before=proposal.state,
        )  # fmt: skip
        for each in (moved, *also):
            self.announce(each)
        return moved

    async def save_trial(self, trial: Trial) -> Trial:
        """Keep what the last look at a trial said; `trial` holds the revision that was read."""
        saved = replace(trial, revision=trial.revision + 1)
        entry = AuditEntry(
            ITSELF, "looked", trial.trial_id, {"state": trial.state, "proposal": trial.proposal_id},
            self._clock(),
        )  # fmt: skip
        await self._store.decide(Decision(trials=(saved,), audit=(entry,)))
        return saved

    def tell(self, handler: Callable[[Any], Awaitable[None]]) -> None:
        """Call `handler` with every proposal that moves and every finding, soon after."""
        self._bus.on("proposal_moved", handler)
        self._bus.on("finding_made", handler)

    def announce(self, proposal: Proposal) -> None:
        """Tell the house of a move, once in this process; of what waits for its day, then."""
        if waits(proposal, self._clock()):
            return
        if self.seen.get(proposal.proposal_id, 0) < proposal.revision:
            self.seen[proposal.proposal_id] = proposal.revision
            self._bus.emit("proposal_moved", proposal)

    def announce_finding(self, finding: Finding) -> None:
        """Tell the house of what was found, or judged by a person."""
        if self.seen.get(finding.finding_id, 0) < finding.revision:
            self.seen[finding.finding_id] = finding.revision
            self._bus.emit("finding_made", finding)

    def _entries(
        self,
        before: Proposal,
        moved: Proposal,
        person: str | None,
        changes: Sequence[Change],
        trials: Sequence[Trial],
        also: Sequence[Proposal],
        figures: Mapping[str, Any],
    ) -> list[AuditEntry]:
        actor, now = person or ITSELF, moved.moved_at
        details: dict[str, Any] = {
            "from": before.state,
            "revision": moved.revision,
            "risk": moved.risk,
            "learner": moved.learner,
            "versions": [[c.kind, c.name, c.base, c.version] for c in moved.changes],
            "evidence": content_hash(moved.evidence),
            **_numbers(figures),
        }
        if "seen" in figures:
            details["seen"] = str(figures["seen"])
        if trials:
            details["trials"] = [[t.trial_id, t.method, t.state] for t in trials]
        entries = [AuditEntry(actor, _ACTIONS[moved.state], moved.proposal_id, details, now)]
        entries += [
            AuditEntry(actor, _ACTIONS[p.state], p.proposal_id, {"revision": p.revision}, now)
            for p in also
        ]
        entries += [
            AuditEntry(
                actor, "changed" if c.body is not None else "retired", f"{c.kind}/{c.name}",
                {"base": c.base, "version": c.version, "proposal": moved.proposal_id}, now,
            )
            for c in changes
        ]  # fmt: skip
        return entries


def digest_of(seen: Sequence[Observation]) -> str:
    """The same for the same observations: what a decision rested on, for the audit."""
    told = [[o.observation_id, o.active, o.candidate, o.source] for o in seen]
    return content_hash({"seen": sorted(told, key=lambda one: str(one[0]))})


def _numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    """What of a trial's figures belongs into the audit: numbers, never texts."""
    return {
        key: round(value, 6)
        for key, value in figures.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
