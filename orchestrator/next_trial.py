"""Which trial a proposal is to have next: who answers now, by which method, at which level."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from agents.variants import agent_of, variant_of
from database.learning import Method, Proposal, Trial, learning_id
from database.store import Store
from orchestrator.proposal_rules import Active
from orchestrator.trial_ports import Replays
from orchestrator.trials import levels, planning
from orchestrator.verifying import verification_id, wished

METHODS: Sequence[Method] = ("replay", "shadow", "split")
"""The cheapest first."""
MOST_REQUESTS: Mapping[Method, int] = {"replay": 300, "shadow": 1_000, "split": 2_000}
"""After so many a trial gives up."""
SPLIT_SHARE = 0.2
"""Of the requests, so many take part in a split; half of them get the candidate."""
HOPELESS = 0.5
"""A trial that could only see an effect as large as this is not begun."""
_ALL_TRIALS = 10_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a proposal is to be compared with: who answers its requests now."""

    agent: str
    active: str
    candidate: str
    task_type: str | None


@dataclass(frozen=True, slots=True)
class _Occupied:
    """What was tried or watched after so many `changes`, and by which proposals, by document."""

    changes: int
    running: Sequence[Trial] = ()
    by: Mapping[tuple[str, str], AbstractSet[str]] = field(default_factory=dict)


class NextTrials:
    """Chooses; changes nothing."""

    def __init__(
        self, store: Store, replays: Replays, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._replays = replays
        self._clock = clock
        self._occupied = _Occupied(-1)

    async def comparison(self, proposal: Proposal, active: Active) -> Comparison | None:
        """Who answers the proposal's requests now; None where nothing can be compared."""
        if len(proposal.changes) != 1 or proposal.changes[0].kind != "agent":
            return None
        [change] = proposal.changes
        if change.version is None:
            return None
        variant = variant_of(change.name)
        task_type = proposal.task_type or (variant.task_type if variant else None)
        if change.base is not None:
            return Comparison(change.name, change.base, change.version, task_type)
        answers = variant.agent if variant else await self._who_answers(proposal)
        document = active.get(("agent", answers))
        if document is None:
            return None
        return Comparison(answers, document.version, change.version, task_type)

    async def next_trial(
        self, proposal: Proposal, compared: Comparison, done: Sequence[Trial]
    ) -> Trial | None:
        """The next honest way to compare that was not tried: replay, then shadow, then split."""
        tried = {trial.method for trial in done}
        level = levels.next_alpha(await self._earlier())
        for method in METHODS:
            if method in tried or (method == "split" and proposal.risk != "low"):
                continue  # in a split people get what is unproven: only where little can happen
            most, alpha = MOST_REQUESTS[method], level
            if method == "replay":
                alpha = levels.FALSE_SHARE  # it promotes nothing
                there = await self._replays.questions(compared.agent, compared.task_type)
                most = min(most, there)
            smallest = 1.0
            if most:  # in a thread: it takes a tenth of a second
                smallest = await asyncio.to_thread(planning.smallest_effect, method, alpha, most)
            if smallest >= HOPELESS:
                continue
            now = self._clock()
            return Trial(
                trial_id(proposal, method),
                proposal.proposal_id, method, compared.agent, compared.active, compared.candidate,
                compared.task_type, SPLIT_SHARE if method == "split" else 1.0, alpha, smallest,
                most, figures=wished(proposal), started_at=now,
            )  # fmt: skip
        return None

    async def busy(self, proposal: Proposal) -> bool:
        """Whether something else is tried or watched on the same documents and requests."""
        names = {(c.kind, c.name) for c in proposal.changes}
        occupied = await self._occupied_now()
        for name in names:
            if occupied.by.get(name, frozenset()) - {proposal.proposal_id}:
                return True
        agents = {agent_of(name) for kind, name in names if kind == "agent"}
        return any(
            agent_of(trial.agent) in agents and _overlap(trial.task_type, proposal.task_type)
            for trial in occupied.running
        )

    async def _occupied_now(self) -> "_Occupied":
        """What is tried or watched, read again only where something was decided since."""
        changes = self._store.learning_changes()
        if changes != self._occupied.changes:
            running = await self._store.trials({"running"}, _ALL_TRIALS)
            tried = {trial.proposal_id for trial in running}
            by: dict[tuple[str, str], set[str]] = {}
            for other in await self._store.proposals({"trial", "live"}, _ALL_TRIALS):
                if other.proposal_id in tried:
                    for change in other.changes:
                        by.setdefault((change.kind, change.name), set()).add(other.proposal_id)
            self._occupied = _Occupied(changes, tuple(running), by)
        return self._occupied

    async def _who_answers(self, proposal: Proposal) -> str:
        """The agent that answers now what a new specialist is proposed for."""
        if named := proposal.evidence.get("answers_now"):
            return str(named)
        found: Counter[str] = Counter()
        for run_id in list(proposal.evidence.get("runs", ()))[:50]:
            run = await self._store.run(str(run_id))
            if run:
                found[run.agent] += 1
        return found.most_common(1)[0][0] if found else ""

    async def _earlier(self) -> list[bool | None]:
        """How the trials that could promote ended, oldest first: the control counts these."""
        trials = await self._store.trials(limit=_ALL_TRIALS)
        ends: list[bool | None] = []
        for trial in sorted(trials, key=lambda t: t.started_at):
            watch = trial.trial_id == verification_id(trial.proposal_id)
            if not watch and trial.method != "replay":
                ends.append(None if trial.state == "running" else trial.state == "proven")
        return ends


def trial_id(proposal: Proposal, method: Method) -> str:
    """A proposal's trial by a method; another one where the same is proposed anew."""
    return learning_id("trial", proposal.proposal_id, method, str(proposal.created_at))


def _overlap(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def begins(trial: Trial) -> str:
    """What a trial is going to do, in a sentence."""
    how = {
        "replay": "It answers questions whose right answers are known, beside what answers now.",
        "shadow": "It answers the same requests as what answers now, unseen.",
        "split": "It answers a small share of the requests.",
    }
    return how[trial.method]
