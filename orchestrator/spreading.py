"""What helped one agent much is suggested to similar ones, where it is tried like anything else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from agents.variants import agent_of, variant_of
from database.learning import Change, Proposal, Trial, proposal_id_of
from database.records import PUBLIC, Document
from database.store import Store
from orchestrator.learning_cycle import Cycles
from orchestrator.routing import GENERALIST, Embedder

WORTH_TELLING = 0.1
"""Of right answers: what helped by more is suggested to others."""
ALIKE = 0.3
"""Agents whose descriptions are as alike as this are similar: most shipped ones have one or two."""
MOST = 2
"""Similar agents that hear of one success."""
SPREADING = "success-elsewhere"

_MOST_ADDED = 600
"""Characters of instructions: longer ones are about the requests of the one agent."""
_PLAIN = ("temperature", "max_tokens", "model")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Spreading:
    """Listens to moves on the bus; the same success is suggested once."""

    store: Store
    cycles: Cycles
    embedder: Embedder

    async def moved(self, proposal: Proposal) -> None:
        """A proposal moved: suggest what it showed to hold, if it held."""
        if proposal.state != "verified" or proposal.audience != PUBLIC:
            return
        if len(proposal.changes) != 1 or proposal.changes[0].kind != "agent":
            return
        trials = await self.store.trials_of(proposal.proposal_id)
        effect = effect_of(trials)
        if effect is None or effect <= WORTH_TELLING:
            return
        [change] = proposal.changes
        before = await self._before(change, trials)
        if before is None or change.body is None:
            return
        agents = [d for d in await self.store.documents("agent") if not variant_of(d.name)]
        others = self._similar(agent_of(change.name), [d for d in agents if d.audience == PUBLIC])
        made = [suggestion(proposal, before.body, change.body, other, effect) for other in others]
        sifted = await self.cycles.submit([one for one in made if one])
        log.info("success_suggested", proposal=proposal.proposal_id, to=len(sifted.taken))

    async def _before(self, change: Change, trials: Sequence[Trial]) -> Document | None:
        """What the change was held against: a new variant, its agent as it answered then."""
        if change.base is not None:
            return await self.store.document("agent", change.name, change.base)
        if variant_of(change.name) is None:
            return None
        name = agent_of(change.name)
        for trial in trials:  # that it holds is shown beside the old version, too
            if trial.active != change.version:
                return await self.store.document("agent", name, trial.active)
        return None

    def _similar(self, name: str, agents: Sequence[Document]) -> list[Document]:
        known = [d for d in agents if d.name == name]
        others = [d for d in agents if d.name not in (name, GENERALIST)]
        if not known or not others:
            return []
        vectors = self.embedder.embed([_about(d) for d in [*known, *others]])
        likeness = vectors[1:] @ vectors[0]
        ranked = sorted(zip(likeness, others, strict=True), key=lambda one: -float(one[0]))
        return [other for like, other in ranked[:MOST] if like >= ALIKE]


def effect_of(trials: Sequence[Trial]) -> float | None:
    """What the trial of a verified proposal showed that it adds to right answers."""
    effects = [t.figures.get("effect") for t in trials if t.state == "proven"]
    known = [float(effect) for effect in effects if effect is not None]
    return min(known, default=None)


def suggestion(
    proposal: Proposal,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    other: Document,
    effect: float,
) -> Proposal | None:
    """The same change of another agent; None where it says nothing to it.

    A value is carried over where the other agent has the one that was changed, instructions where
    a little was added to them. Examples are about the one agent's requests and stay there.
    """
    body = dict(other.body)
    for field in _PLAIN:
        if before.get(field) != after.get(field) and body.get(field) == before.get(field):
            body[field] = after.get(field)
    added = _added(str(before.get("system_prompt", "")), str(after.get("system_prompt", "")))
    if added and added not in str(body.get("system_prompt", "")):
        body["system_prompt"] = f"{str(body.get('system_prompt', '')).rstrip()}\n\n{added}"
    if body == dict(other.body):
        return None
    helped = agent_of(proposal.changes[0].name)
    change = Change("agent", other.name, other.version, body, other.audience)
    return Proposal(
        proposal_id_of(SPREADING, (change,)),
        SPREADING,
        f"Let {other.name} do what helped {helped}",
        f"It made {effect:.0%} more of {helped}'s answers right, and {other.name} is for "
        "similar requests. Whether it helps here as well is what its trial shows.",
        (change,),
        evidence={
            "figures": {f"effect at {helped}": round(effect, 3)},
            "runs": list(proposal.evidence.get("runs", ())),
            "success": proposal.proposal_id,
        },
        expected={"effect": effect / 2},
    )


def _added(before: str, after: str) -> str:
    """What was added at the end of instructions; '' where anything else was done, or too much."""
    if not after.startswith(before.rstrip()):
        return ""
    added = after[len(before.rstrip()) :].strip()
    return added if len(added) <= _MOST_ADDED else ""


def _about(document: Document) -> str:
    return f"{document.body.get('specialty', '')}. {document.body.get('description', '')}"
