"""What moves proposals by themselves: trials begin and are looked at, what is live is watched.

Each move is saved before the next step and everything is computed from what is saved, so a
restart goes on where it stopped. One process at a time does this.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from agents.errors import AWAY
from agents.variants import agent_of
from database.errors import (
    BudgetExceeded,
    NotAllowed,
    StaleBase,
    StaleRevision,
    VirtuousError,
)
from database.learning import (
    Observation,
    Proposal,
    ProposalState,
    Trial,
    TrialState,
)
from database.store import Store
from orchestrator.active_documents import ActiveDocuments
from orchestrator.learning_cycle import MOST_READ, OPEN
from orchestrator.leases import Claims, lease
from orchestrator.moves import Moves, digest_of
from orchestrator.next_trial import METHODS, NextTrials, begins, trial_id
from orchestrator.policy import Mode, Policy
from orchestrator.proposal_days import waits
from orchestrator.proposal_rules import bases, stale
from orchestrator.trial_ports import HeldOut, Outcomes, Replays
from orchestrator.trials import gate, sequential, use, verification
from orchestrator.trials.guardrails import margins
from orchestrator.trials.who_told import mismatch
from orchestrator.verifying import by_use, inverse, verification_id, verification_of

_WEEK = 7 * 86_400.0
REPLAYED_AT_ONCE = 20
"""Exam questions that are replayed between two looks."""
LONGEST_SECONDS = 30 * 86_400.0
"""A trial that nothing comes of by then gives its document free for others."""
JUDGED = 20
"""Pairs with a judgement; where fewer than these were found, only people can judge."""

EXAM_SECONDS = 7 * 86_400.0
"""What is proven goes on without a score where none is to be had for so long: its model is gone."""
AT_ONCE = 1_000
"""Proposals of a state that a pass looks at, those that wait longest first."""
LATER = (BudgetExceeded, *AWAY)
"""Learning may ask no model just now: what it was to tell is asked in a later pass."""

Step = Callable[[Proposal], Awaitable[int]]

log = structlog.get_logger()


class Advance:
    """One pass over everything that is open."""

    def __init__(
        self,
        store: Store,
        claims: Claims,
        policy: Policy,
        moves: Moves,
        *,
        switch: Callable[[], str],
        next_trials: NextTrials,
        replays: Replays,
        held_out: HeldOut,
        outcomes: Outcomes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._claims = claims
        self._policy = policy
        self._moves = moves
        self._switch = switch
        self._next = next_trials
        self._replays = replays
        self._held_out = held_out
        self._outcomes = outcomes
        self._clock = clock
        self._active = ActiveDocuments(store)

    async def advance(self) -> int:
        """Move everything that can move; how many moves. 0 where another process does it."""
        moves = await self.watch()
        if self._switch() != "on":
            return moves
        async with lease(self._claims, "improvement:advance") as mine:
            if not mine:
                return moves
            moves += await self._each("trial", self._look)
            moves += await self._each("proposed", self._take_up)
            moves += await self._each("awaiting", self._still_fits)
        return moves

    async def _each(self, state: ProposalState, step: Step) -> int:
        """One step of each proposal in a state, as long as learning is on."""
        moves = 0
        for proposal in await self._longest_first(state):
            if self._switch() != "on":
                break
            moves += await self._guarded(proposal, step)
            await asyncio.sleep(0)  # replies go on between two of them
        return moves

    async def watch(self) -> int:
        """Look after what is live; how many moves. Harm does not wait for the exam of others."""
        if self._switch() == "off":
            return 0
        async with lease(self._claims, "improvement:watch") as mine:
            moves = 0
            for proposal in await self._longest_first("live") if mine else []:
                moves += await self._guarded(proposal, self._watch)
                await asyncio.sleep(0)
            return moves

    async def trial_of(self, proposal_id: str) -> Trial | None:
        """The newest trial of a proposal since it was proposed (anew), verification left out."""
        proposal = await self._store.proposal(proposal_id)
        tried = await self._tried(proposal) if proposal else ()
        return tried[-1] if tried else None

    async def ended(self, proposal: Proposal, reason: str) -> list[Trial]:
        """The running trials of a proposal as they are once it is decided, to be saved with it."""
        return [
            self._end(trial, "stopped", reason)
            for trial in await self._store.trials_of(proposal.proposal_id)
            if trial.state == "running"
        ]

    async def promote(
        self,
        proposal: Proposal,
        reason: str,
        *,
        person: str | None = None,
        trials: Sequence[Trial] = (),
    ) -> Proposal:
        """Make a proposal's changes, and watch what they do. Raises StaleBase, StaleRevision."""
        now = self._clock()
        tried = [*await self._tried(proposal), *trials]
        before = await self._store.trial(verification_id(proposal.proposal_id))
        watch = verification_of(
            proposal, sorted(tried, key=lambda t: (t.started_at, t.revision)), now,
            before.revision + 1 if before else 1,
        )  # fmt: skip
        figures = tried[-1].figures if tried else {}
        rivals, ended = await self._rivals(proposal, "Another change of the same went live first.")
        return await self._moves.move(
            proposal, "live", reason, person=person, changes=proposal.changes,
            trials=[*trials, *([watch] if watch else []), *ended], also=rivals, figures=figures,
        )  # fmt: skip

    async def take_back(
        self,
        proposal: Proposal,
        reason: str,
        *,
        person: str | None = None,
        figures: Mapping[str, Any] | None = None,
    ) -> Proposal:
        """Undo a proposal's changes; at once, also while Supabase is away. Raises StaleBase."""
        bodies: dict[tuple[str, str], Mapping[str, Any] | None] = {}
        for change in proposal.changes:
            if change.base is not None:
                old = await self._store.document(change.kind, change.name, change.base)
                bodies[change.kind, change.name] = old.body if old else None
        changes = inverse(proposal.changes, await self._active(), bodies)
        ended = await self.ended(proposal, reason)
        if figures:
            ended = [replace(t, state="harmful", figures={**t.figures, **figures}) for t in ended]
        rivals, theirs = await self._rivals(proposal, "What it would change was taken back.")
        return await self._moves.move(
            proposal, "rolled_back", reason, person=person, changes=changes,
            trials=[*ended, *theirs], also=rivals, figures=figures, here=True,
        )  # fmt: skip

    async def _rivals(self, proposal: Proposal, reason: str) -> tuple[list[Proposal], list[Trial]]:
        """What is open for the same documents, superseded, and its trials, ended."""
        names = {(c.kind, c.name) for c in proposal.changes}
        rivals: list[Proposal] = []
        trials: list[Trial] = []
        for other in await self._store.proposals(OPEN, MOST_READ):
            theirs = {(c.kind, c.name) for c in other.changes}
            if other.proposal_id != proposal.proposal_id and names & theirs:
                rivals.append(
                    replace(
                        other,
                        state="superseded",
                        reason=reason,
                        decided_by=None,
                        moved_at=self._clock(),
                        revision=other.revision + 1,
                    )
                )
                trials += await self.ended(other, reason)
        return rivals, trials

    async def _guarded(self, proposal: Proposal, step: Step) -> int:
        """One step; one that cannot be made now stops no other."""
        try:
            return await step(proposal)
        except StaleRevision:
            return 0  # somebody was first
        except StaleBase as error:
            return await self._overtaken(proposal, str(error))
        except LATER as error:
            log.info("learning_waits", proposal=proposal.proposal_id, reason=str(error))
        except VirtuousError as error:
            log.warning("proposal_not_moved", proposal=proposal.proposal_id, problem=str(error))
        except Exception:
            log.exception("proposal_not_moved", proposal=proposal.proposal_id)
        return 0

    async def _overtaken(self, proposal: Proposal, reason: str) -> int:
        try:
            ended = await self.ended(proposal, reason)
            await self._moves.move(proposal, "superseded", reason, trials=ended)
        except StaleRevision:
            return 0
        return 1

    # proposed -> trial | awaiting | live | rejected | superseded

    async def _take_up(self, proposal: Proposal) -> int:
        active = await self._active()
        if old := stale(proposal.changes, active):
            return await self._overtaken(proposal, old)
        later = waits(proposal, self._clock()) or self._paused(proposal)
        if later or await self._next.busy(proposal):
            return 0
        compared = await self._next.comparison(proposal, active)
        if compared is None:
            return await self._gate(proposal, None, None)
        trial = await self._next.next_trial(proposal, compared, ())
        if trial is None:
            reason = "There are too few requests of this kind to try it honestly."
            await self._moves.move(proposal, "rejected", reason)
            return 1
        await self._moves.move(proposal, "trial", begins(trial), trials=[trial])
        return 1

    async def _still_fits(self, proposal: Proposal) -> int:
        if old := stale(proposal.changes, await self._active()):
            return await self._overtaken(proposal, old)
        return 0

    # trial -> awaiting | live | rejected | superseded

    async def _look(self, proposal: Proposal) -> int:
        if old := stale(proposal.changes, await self._active()):
            return await self._overtaken(proposal, old)
        tried = await self._tried(proposal)
        if not tried:
            raise StaleRevision(f"The trial of {proposal.proposal_id} is not there yet.")
        trial = tried[-1]
        if trial.state != "running":
            return await self._concluded(proposal, trial, None)
        if self._paused(proposal):
            return 0
        left = 1
        if trial.method == "replay":
            left = await self._replayed(trial, proposal)
        seen = await self._store.observations(trial.trial_id)
        verdict = await _verdict(trial, seen, proposal)
        state, reason = self._said(trial, verdict, mismatch(trial, seen), left)
        figures = {**trial.figures, **await self._figures(trial, verdict)}
        if state == "running":
            await self._keep_look(trial, figures, reason)
            return 0
        figures["seen"] = digest_of(seen)
        ended = replace(self._end(trial, state, reason), figures=figures)
        return await self._concluded(proposal, ended, verdict)

    async def _replayed(self, trial: Trial, proposal: Proposal) -> int:
        """How many questions were asked, 0 where none are left; later ones may be now."""
        try:
            return await self._replays.run(trial, proposal, REPLAYED_AT_ONCE)
        except LATER as error:
            log.info("learning_waits", proposal=proposal.proposal_id, reason=str(error))
            return 1

    def _said(
        self, trial: Trial, verdict: sequential.Verdict, mismatched: str | None, left: int
    ) -> tuple[TrialState, str]:
        """The verdict, unless something beside the observations ends the trial."""
        if mismatched:
            return "stopped", mismatched
        if verdict.state == "running" and not left:
            return "unproven", f"No questions are left. {verdict.reason}"
        if verdict.state == "running" and self._clock() - trial.started_at > LONGEST_SECONDS:
            days = LONGEST_SECONDS / 86_400
            return "unproven", f"Not shown to be better within {days:.0f} days. {verdict.reason}"
        return verdict.state, verdict.reason

    async def _figures(self, trial: Trial, verdict: sequential.Verdict) -> dict[str, Any]:
        """What a card shows of a look, and what the gate asks of the judge."""
        return {
            **verdict.figures,
            **await self._outcomes.figures(trial),
            "effect": verdict.effect,
            "low": verdict.low,
            "high": verdict.high,
            "requests": verdict.requests,
            "pairs": verdict.pairs,
        }

    async def _concluded(
        self, proposal: Proposal, trial: Trial, verdict: sequential.Verdict | None
    ) -> int:
        """What follows from a trial that has ended; saved together with its end."""
        saved = [trial] if verdict else []
        if trial.state == "proven" and trial.method != "replay":
            if verdict is None:
                seen = await self._store.observations(trial.trial_id)
                verdict = await _verdict(trial, seen, proposal)
            try:
                exam = await self._held_out.score(trial, proposal)
            except LATER:
                if self._clock() - (trial.ended_at or 0.0) <= EXAM_SECONDS:
                    await self._keep_end(saved)
                    raise
                exam = None
            if exam:
                proposal = replace(proposal, evidence={**proposal.evidence, "exam": dict(exam)})
            return await self._gate(proposal, trial, verdict, saved)
        if self._may_go_on(trial):
            compared = await self._next.comparison(proposal, await self._active())
            done = [*await self._tried(proposal), trial]
            following = await self._next.next_trial(proposal, compared, done) if compared else None
            if following:
                await self._moves.move(
                    proposal, "trial", begins(following), trials=[*saved, following],
                    figures=trial.figures,
                )  # fmt: skip
                return 1
        await self._moves.move(
            proposal, "rejected", trial.reason, trials=saved, figures=trial.figures
        )
        return 1

    def _may_go_on(self, trial: Trial) -> bool:
        """Whether another way to compare is to say more.

        After the exam, whose questions are those that people spoke of, live requests; where
        hardly anything could be judged on these, people.
        """
        if trial.method == "replay":
            return trial.state in ("proven", "unproven")
        few = float(trial.figures.get("pairs", 0)) < JUDGED
        return trial.method == "shadow" and trial.state == "unproven" and few

    async def _gate(
        self,
        proposal: Proposal,
        trial: Trial | None,
        verdict: sequential.Verdict | None,
        saved: Sequence[Trial] = (),
    ) -> int:
        # computed anew: nothing that was written down since can lower it
        active = await self._active()
        allowed = gate.Allowed(
            self._policy.share("dearer_allowed"), self._policy.share("judge_floor"),
            await self._promotions_left(proposal),
        )  # fmt: skip
        if trial and verdict and not gate.priced(verdict):
            told = await self._outcomes.tokens(trial)
            trial = replace(trial, figures={**trial.figures, **told})
            saved = [trial] if saved else saved
        start = bases(proposal.changes, active)
        decided = gate.decide(proposal, trial, verdict, self._mode(proposal), allowed, start)
        proposal = replace(proposal, risk=decided.risk, risk_reasons=decided.risk_reasons)
        state, reason = decided.state, decided.reason
        figures = trial.figures if trial else {}
        if state == "live" and trial:
            told = await self._outcomes.without_one(trial)
            doubts = [gate.chosen_by_feedback(figures), gate.on_one_word(told)]
            if any(doubts):
                state, reason = "awaiting", " ".join(filter(None, doubts))
        if state == "live":
            try:
                await self.promote(proposal, reason, trials=saved)
            except NotAllowed as error:
                await self._moves.move(proposal, "rejected", str(error), trials=saved)
            return 1
        await self._moves.move(proposal, state, reason, trials=saved, figures=figures)
        return 1

    async def _promotions_left(self, proposal: Proposal) -> int | None:
        """How often the agents of a proposal may still change by themselves within seven days."""
        since = self._clock() - _WEEK
        promoted: Counter[str] = Counter()
        for other in await self._store.proposals({"live", "verified", "rolled_back"}, 1_000):
            watch = await self._store.trial(verification_id(other.proposal_id))
            if (watch.started_at if watch else other.moved_at) >= since:
                promoted.update({agent_of(c.name) for c in other.changes})
        left = [
            most - promoted[agent]
            for agent in {agent_of(c.name) for c in proposal.changes}
            if (most := self._policy.promotions_per_week(agent)) is not None
        ]
        return min(left, default=None)

    # live -> verified | rolled_back

    async def _watch(self, proposal: Proposal) -> int:
        trial = await self._store.trial(verification_id(proposal.proposal_id))
        if trial is None or trial.state != "running":
            return 0
        active = await self._active()
        for change in proposal.changes:
            document = active.get((change.kind, change.name))
            if (document.version if document else None) != change.version:
                reason = f"{change.name} was changed again before this could be verified."
                return await self._overtaken(proposal, reason)
        seen = await self._store.observations(trial.trial_id)
        found = await self._found(proposal, trial, seen)
        if found.state == "wait":
            await self._keep_look(trial, found.figures, found.reason)
            return 0
        figures = {**found.figures, "seen": digest_of(seen)}
        if found.state == "roll_back":
            await self.take_back(proposal, found.reason, figures=figures)
            return 1
        ended = replace(
            self._end(trial, "proven", found.reason), figures={**trial.figures, **figures}
        )
        await self._moves.move(proposal, "verified", found.reason, trials=[ended], figures=figures)
        return 1

    async def _found(
        self, proposal: Proposal, trial: Trial, seen: Sequence[Observation]
    ) -> verification.Verified:
        """How what is live does, by what was seen of it."""
        if by_use(proposal):
            return use.look(trial, seen, self._clock())
        before = await self._before(proposal)
        return await asyncio.to_thread(
            verification.look, trial, seen, before, margins(proposal.risk)
        )

    async def _before(self, proposal: Proposal) -> Sequence[Observation]:
        """What the proposal's own trial saw: what its live results are held against."""
        tried = await self._tried(proposal)
        return await self._store.observations(tried[-1].trial_id) if tried else ()

    # Parts

    async def _longest_first(self, state: ProposalState) -> list[Proposal]:
        return await self._store.proposals({state}, AT_ONCE, "waits_longest")

    async def _tried(self, proposal: Proposal) -> list[Trial]:
        """Its trials since it was proposed: what was said of it when it was superseded is past."""
        own = {trial_id(proposal, method) for method in METHODS}
        return [t for t in await self._store.trials_of(proposal.proposal_id) if t.trial_id in own]

    async def _keep_look(self, trial: Trial, figures: Mapping[str, Any], reason: str) -> None:
        """Save what a look said where it says noticeably more than the one before."""
        before, now = (float(f.get("requests", 0)) for f in (trial.figures, figures))
        if now - before >= max(1.0, 0.1 * before):
            await self._moves.save_trial(
                replace(trial, figures={**trial.figures, **figures}, reason=reason)
            )

    async def _keep_end(self, ended: Sequence[Trial]) -> None:
        """Save that a trial has ended, where what follows has to wait: it compares no more."""
        for trial in ended:
            await self._moves.save_trial(replace(trial, revision=trial.revision - 1))

    def _end(self, trial: Trial, state: TrialState, reason: str) -> Trial:
        return replace(
            trial, state=state, reason=reason, ended_at=self._clock(), revision=trial.revision + 1
        )

    def _paused(self, proposal: Proposal) -> bool:
        return self._mode(proposal) == "paused"

    def _mode(self, proposal: Proposal) -> Mode:
        """The strictest mode of the agents that a proposal changes."""
        agents = {agent_of(c.name) for c in proposal.changes if c.kind == "agent"} or {""}
        modes = {self._policy.mode(agent) for agent in agents}
        strictest_first: Sequence[Mode] = ("paused", "ask", "automatic")
        return next(mode for mode in strictest_first if mode in modes)


async def _verdict(
    trial: Trial, seen: Sequence[Observation], proposal: Proposal
) -> sequential.Verdict:
    """In a thread: a trial's first look computes its boundary, and replies go on meanwhile."""
    return await asyncio.to_thread(sequential.verdict, trial, seen, margins(proposal.risk))
