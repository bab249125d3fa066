"""A house that tries changes: all above the store, and trials as the pipeline begins them."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

from agents.definition import AgentDefinition
from agents.universal_agent import UniversalAgent
from database.learning import (
    Change,
    Decision,
    Method,
    Observation,
    Proposal,
    Trial,
    proposal_id_of,
)
from database.records import PUBLIC, Feedback, FeedbackKind, run_id_of
from orchestrator.requests import ReplyFinished
from orchestrator.trials.arms import Arms
from orchestrator.trials.background import Background
from orchestrator.trials.exam import Exam
from orchestrator.trials.judging import Judge
from orchestrator.trials.outcomes import Outcomes
from orchestrator.trials.replay import Replays
from orchestrator.trials.shadow import Shadows
from tests.clock import Clock
from tests.orchestrator.conftest import House
from tests.orchestrator.fakes import WordEmbedder, request
from tests.patience import PATIENCE_S


class FewDimensions(WordEmbedder):
    """Enough for a handful of agents, and a hundred times quicker to tell them apart."""

    dimensions = 96


@dataclass
class TryingHouse(House):
    """Wired as bootstrap does it; model calls of learning are the same script's."""

    paused: set[str] = field(default_factory=set)
    may_spend: bool = True
    gives_way: bool = False
    embedder: WordEmbedder = field(default_factory=FewDimensions)
    clock: Clock = field(default_factory=lambda: Clock(1_000_000.0))

    def serving(self) -> dict[str, Any]:
        self.arms = Arms(
            self.store, self.pool, off=lambda: self.off, paused=lambda agent: agent in self.paused
        )
        self.background = Background(gives_way=self.gives_way)
        self.judge = Judge(self.store, self.models, clock=self.clock)
        self.outcomes = Outcomes(
            self.store, self.arms, self.consent, self.judge, self.background, clock=self.clock
        )
        self.shadows = Shadows(
            self.store,
            self.arms,
            self.outcomes,
            build=self.unseen,
            redact=self.redactor.redact_run,
            background=self.background,
            may_spend=lambda: self.may_spend,
            clock=self.clock,
        )
        self.exam = Exam(
            self.store,
            self.consent,
            build=self.unseen,
            background=self.background,
            off=lambda: self.off,
            clock=self.clock,
        )
        self.replays = Replays(
            self.store, self.exam, redact=self.redactor.redact_run, clock=self.clock
        )
        self.bus.on("run_recorded", self.shadows.recorded)
        self.bus.on("run_recorded", self.outcomes.recorded)
        self.bus.on("feedback_given", self.exam.feedback_given)
        self.bus.on("feedback_given", self.outcomes.feedback_given)
        return {"arms": self.arms, "watch": self.shadows}

    def unseen(self, definition: AgentDefinition) -> UniversalAgent:
        return UniversalAgent(definition, self.models, self.tools)

    async def try_out(
        self,
        candidate: AgentDefinition,
        *,
        method: Method = "split",
        document: str = "",
        against: str = "",
        audience: str = PUBLIC,
        **more: Any,
    ) -> Trial:
        """Begin a trial of a candidate for a document (its own, unless it is another's)."""
        name = document or candidate.name
        known = await self.store.document("agent", name)
        base = known.version if known else None
        answers = against or (name if known else candidate.name)
        active = await self.store.document("agent", answers)
        assert active is not None
        change = Change("agent", name, base, candidate.body(), audience)
        made = Proposal(
            proposal_id_of("test", (change,)), "test", "Change it.", "Why not.", (change,),
            state="trial", audience=audience,
        )  # fmt: skip
        trial = Trial(
            f"trial-of-{made.proposal_id}-{method}", made.proposal_id, method, answers,
            active.version, candidate.version, **{"started_at": self.clock(), **more},
        )  # fmt: skip
        await self.store.decide(Decision(proposals=(made,), trials=(trial,)))
        await self.arms.refresh()
        return trial

    async def end(self, trial: Trial) -> None:
        ended = replace(trial, state="stopped", revision=trial.revision + 1)
        await self.store.decide(Decision(trials=(ended,)))
        await self.arms.refresh()

    async def ask_only(self, text: str, ts: str, **more: Any) -> ReplyFinished:
        """Ask, and record nothing yet."""
        finished = (await self.ask(request(text, ts, **more)))[-1]
        assert isinstance(finished, ReplyFinished)
        return finished

    async def asked(self, text: str, ts: str, **more: Any) -> ReplyFinished:
        """Ask and record, and let candidates answer."""
        finished = await self.answer(request(text, ts, **more), f"{ts}9")
        await self.shadows.done()
        return finished

    async def calls(self, many: int) -> None:
        """Wait until the models were asked so often."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.models.asked) < many:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def says(
        self,
        finished: ReplyFinished,
        kind: FeedbackKind,
        value: float,
        text: str | None = None,
        *,
        user_id: str = "U1",
        weight: float = 1.0,
    ) -> None:
        run_id = finished.run.run_id
        feedback_id = run_id_of(run_id, kind, str(value), str(text), user_id)
        await self.orchestrator.give_feedback(
            Feedback(feedback_id, run_id, kind, value, weight, text, user_id, self.clock())
        )
        assert await self.bus.drain()

    async def seen(self, trial: Trial, aspect: str = "outcome") -> list[Observation]:
        found = await self.store.observations(trial.trial_id)
        return [o for o in found if o.aspect == aspect]
