"""The search for a better prompt: candidates made of right answers and reasons, tried frugally.

What candidates are made from (`make`) and what they are chosen by (`choose`) are different
questions of the exam's learn part; the trial that follows asks others again.
"""

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import structlog

from agents.checks import judge
from agents.definition import MAX_PROMPT_CHARACTERS, AgentDefinition
from agents.improvement.examples import Known, as_demonstrations, by_answer, chosen
from agents.universal_agent import AgentStopped
from database.errors import BudgetExceeded

Answered = TypeVar("Answered")

FIRST_ROUND = 16
"""Questions that every candidate is asked."""

_HEADING = "Right answers given before, by answer:"
_PROMPT_ROOM = 200
_REFLECTED = 6
_REFLECTING_S = 180.0
"""A model that writes and tries instructions for longer than this, such as one that shares the
machine with everything else, is not waited for."""

_log = structlog.get_logger()


class Asks(Protocol):
    """Asks a definition (agents.improvement.asking)."""

    async def ask(self, definition: AgentDefinition, request: str) -> str:
        """One answer; '' where it failed."""


Reflect = Callable[[str], Awaitable[str]]
"""A model's answer to a prompt."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A changed definition; `made` says in words what was changed."""

    definition: AgentDefinition
    made: str


@dataclass(slots=True)
class Scores:
    """What a candidate answered, by the question's id, and whether it was right."""

    right: dict[str, bool] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)

    def share(self) -> float:
        """Share of right answers, 0 where nothing was asked."""
        return sum(self.right.values()) / len(self.right) if self.right else 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """The best candidate, on `n` questions that both answered; effects are differences of shares.

    `before` and `after` are the shares of right answers; `low` and `high` a 95% interval of the
    difference, which knows nothing of the choice among several.
    """

    candidate: Candidate
    n: int
    before: float
    after: float
    low: float
    high: float
    asked: int
    tried: tuple[tuple[str, float], ...]


class PromptSearch:
    """One search. `calls` is how many answers it may ask for."""

    def __init__(
        self,
        asks: Asks,
        reflect: Reflect | None = None,
        *,
        calls: int = 120,
        remarks: Mapping[str, str] | None = None,
        reflecting_s: float = _REFLECTING_S,
    ) -> None:
        self._reflecting_s = reflecting_s
        self._asks = asks
        self._reflect = reflect
        self._calls = calls
        self._remarks = remarks or {}
        self.asked = 0
        self._scores: dict[str, Scores] = {}

    async def search(
        self,
        active: AgentDefinition,
        make: Sequence[Known],
        choose: Sequence[Known],
        wrong: frozenset[str] = frozenset(),
    ) -> Found | None:
        """The best candidate that did better than `active` on `choose`, if there is one.

        What learning's budget or an absent model cut short is judged by what was asked until then.
        """
        candidates = await asyncio.to_thread(static_candidates, active, make, wrong)
        try:
            await self._halving(active, candidates, choose)
            best = self._best(candidates)
            if self._reflect is not None and self.asked < self._calls:
                start = best.definition if best else active
                candidates += await self._reflected(start, make, choose)
        except (BudgetExceeded, AgentStopped) as error:
            _log.info("prompt_search_cut_short", agent=active.name, reason=str(error))
        return self._found(active, candidates)

    async def _halving(
        self, active: AgentDefinition, candidates: Sequence[Candidate], choose: Sequence[Known]
    ) -> None:
        """All are asked a few questions; only the better half and the active one are asked on."""
        left = list(candidates)
        await self._ask(active, choose[:FIRST_ROUND])
        for candidate in left:
            await self._ask(candidate.definition, choose[:FIRST_ROUND])
        left.sort(key=lambda one: self._share(one.definition), reverse=True)
        left = left[: max(1, len(left) // 2)]
        for at in range(FIRST_ROUND, len(choose), FIRST_ROUND):
            if self.asked + (len(left) + 1) * FIRST_ROUND > self._calls:
                return
            some = choose[at : at + FIRST_ROUND]
            await self._ask(active, some)
            for candidate in left:
                await self._ask(candidate.definition, some)

    async def _ask(self, definition: AgentDefinition, questions: Sequence[Known]) -> Scores:
        """Ask those of `questions` that were not asked yet; answers are judged and kept."""
        scores = self._scores.setdefault(definition.version, Scores())
        for known in questions:
            key = known.question.question_id
            if key in scores.right:
                continue
            self.asked += 1
            answer = await self._asks.ask(definition, known.request)
            scores.right[key] = (await judge([known.check], answer)).passed
            scores.answers[key] = answer
        return scores

    def _share(self, definition: AgentDefinition) -> float:
        kept = self._scores.get(definition.version)
        return kept.share() if kept else 0.0

    def _best(self, candidates: Sequence[Candidate]) -> Candidate | None:
        """The most right answers; among equals the one asked more, then the shorter prompt."""
        tried = [one for one in candidates if one.definition.version in self._scores]
        if not tried:
            return None
        return max(
            tried,
            key=lambda one: (
                len(self._scores[one.definition.version].right) >= FIRST_ROUND,
                self._share(one.definition),
                len(self._scores[one.definition.version].right),
                -len(one.definition.system_prompt),
            ),
        )

    def _found(self, active: AgentDefinition, candidates: Sequence[Candidate]) -> Found | None:
        best = self._best(candidates)
        mine = self._scores.get(active.version)
        if best is None or mine is None:
            return None
        theirs = self._scores[best.definition.version].right
        both = [key for key in mine.right if key in theirs]
        if not both:
            return None
        before = [mine.right[key] for key in both]
        after = [theirs[key] for key in both]
        gained = sum(a and not b for a, b in zip(after, before, strict=True))
        lost = sum(b and not a for a, b in zip(after, before, strict=True))
        low, high = _interval(gained, lost, len(both))
        tried = tuple(
            (one.made, round(self._share(one.definition), 3))
            for one in candidates
            if one.definition.version in self._scores
        )
        if gained <= lost:
            return None
        n = len(both)
        return Found(best, n, sum(before) / n, sum(after) / n, low, high, self.asked, tried)

    async def _reflected(
        self, start: AgentDefinition, make: Sequence[Known], choose: Sequence[Known]
    ) -> list[Candidate]:
        """What gepa makes of the instructions: a model reads its mistakes and writes them anew.

        gepa runs in a thread and asks through this loop, so that everything else goes on.
        """
        # takes 0.15 s to import, and only a search needs it
        from agents.improvement.reflection import reflect  # noqa: PLC0415

        assert self._reflect is not None
        bare, _, lines = start.system_prompt.partition(_HEADING)
        ending = f"\n\n{_HEADING}{lines}" if lines else ""
        loop = asyncio.get_running_loop()
        ended = threading.Event()
        until = time.monotonic() + self._reflecting_s

        def changed(prompt: str) -> AgentDefinition:
            fitting = prompt[: MAX_PROMPT_CHARACTERS - len(ending)]
            return start.changed(system_prompt=f"{fitting.rstrip()}{ending}")

        async def evaluate(prompt: str, questions: Sequence[Known]) -> list[tuple[str, float]]:
            scores = await self._ask(changed(prompt), questions)
            keys = [one.question.question_id for one in questions]
            return [(scores.answers[key], float(scores.right[key])) for key in keys]

        def here(work: Coroutine[Any, Any, Answered]) -> Answered:
            if ended.is_set() or time.monotonic() > until:
                work.close()
                raise BudgetExceeded("The search was stopped.")
            return asyncio.run_coroutine_threadsafe(work, loop).result()

        try:
            prompts = await asyncio.to_thread(
                reflect,
                bare.rstrip(),
                make,
                choose[: 2 * FIRST_ROUND],
                evaluate=lambda prompt, questions: here(evaluate(prompt, questions)),
                ask=lambda prompt: here(self._ask_model(prompt)),
                remarks=self._remarks,
                calls=max(0, self._calls - self.asked),
            )
        finally:
            ended.set()
        return [Candidate(changed(one), "instructions rewritten") for one in prompts[:_REFLECTED]]

    async def _ask_model(self, prompt: str) -> str:
        assert self._reflect is not None
        return await self._reflect(prompt)


def static_candidates(
    active: AgentDefinition, make: Sequence[Known], wrong: frozenset[str]
) -> list[Candidate]:
    """Candidates that need no model: right answers as earlier turns, or gathered in the prompt.

    Where the choices stand in the questions they are also tried without tools: there is nothing to
    look up, and a small model that may look something up often does.
    """
    shown = as_demonstrations(chosen(make, 12, wrong))
    found = [_candidate(active, f"{len(shown)} right answers shown", demonstrations=shown)]
    few = as_demonstrations(chosen(make, 2, wrong))
    bare = _without_examples(active.system_prompt)
    room = MAX_PROMPT_CHARACTERS - len(bare) - _PROMPT_ROOM
    some, many = by_answer(make, room // 2), by_answer(make, room)
    closed = bool(active.tools) and all(one.labels for one in make)
    for lines, words in ((some, "some"), (many, "many")):
        if not lines or (lines == some and words == "many"):
            continue
        made = f"{words} right answers gathered in the instructions"
        changed = {"system_prompt": f"{bare}\n\n{_HEADING}\n{lines}", "demonstrations": few}
        if closed:
            found.append(_candidate(active, f"{made}, and no tools", **changed, tools=()))
        if not closed or words == "many":
            found.append(_candidate(active, made, **changed))
    unlike = {one.definition.version: one for one in found}
    return [one for one in unlike.values() if one.definition.version != active.version]


def _candidate(active: AgentDefinition, made: str, **fields: Any) -> Candidate:
    return Candidate(active.changed(**fields), made)


def _without_examples(prompt: str) -> str:
    return prompt.partition(_HEADING)[0].rstrip()


def _interval(gained: int, lost: int, n: int) -> tuple[float, float]:
    """Wald's interval of a paired difference with Agresti and Min's half an answer added (2005)."""
    b, c, m = gained + 0.5, lost + 0.5, n + 2
    middle = (b - c) / m
    spread = 1.96 * math.sqrt(max(b + c - (b - c) ** 2 / m, 0)) / m
    return max(-1.0, middle - spread), min(1.0, middle + spread)
