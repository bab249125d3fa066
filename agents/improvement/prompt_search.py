"""The search for a better prompt: right answers and reasons made into candidates, tried frugally.

Few right answers are known, and none may be spent twice: they are dealt into folds. A candidate is
asked the questions of a fold as it is made without them, and what is proposed of the best is made
of all (cross-validation; Stone 1974). So every known answer chooses, and every one is shown. The
worst candidate gives up after each round (successive rejects; Audibert, Bubeck and Munos 2010). The
trial that follows asks other questions.
"""

import asyncio
import hashlib
import math
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import structlog

from agents.checks import judge
from agents.definition import MAX_PROMPT_CHARACTERS, AgentDefinition
from agents.improvement.examples import (
    MAX_DEMONSTRATIONS,
    Known,
    as_demonstrations,
    by_answer,
    chosen,
)
from agents.universal_agent import AgentStopped
from database.errors import BudgetExceeded

Answered = TypeVar("Answered")

ROUND = 16
"""Questions after which the worst candidate gives up."""

FOLDS = 3
_READ_BY_NONE = frozenset({0})
_LEAST_LEFT = 2
_FEW = 2
"""Right answers that are shown as turns beside those gathered: they show the form."""

_MOST_ASKED = 96
"""Questions, the first of each fold: more decide nothing that the trial does not decide better."""

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
    """A changed definition, and as it is without each fold; `made` says what was changed.

    It is judged by its answers to the questions of the `fair` folds.
    """

    definition: AgentDefinition
    without: tuple[AgentDefinition, ...]
    made: str
    fair: frozenset[int] = frozenset(range(FOLDS))


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
        calls: int = 240,
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
        known: Sequence[Known],
        wrong: frozenset[str] = frozenset(),
    ) -> Found | None:
        """The best candidate that did better than `active`, made of all `known`, if there is one.

        What learning's budget or an absent model cut short is judged by what was asked until then.
        """
        now = Candidate(active, (active,) * FOLDS, "as it is")
        candidates = await asyncio.to_thread(static_candidates, active, known, wrong)
        try:
            await self._rejecting(now, candidates, in_turn(known)[:_MOST_ASKED])
            if self._reflect is not None and self.asked < self._calls:
                start = self._best(now, candidates) or now
                candidates += await self._reflected(start, known)
        except (BudgetExceeded, AgentStopped) as error:
            _log.info("prompt_search_cut_short", agent=active.name, reason=str(error))
        return self._found(now, candidates)

    async def _rejecting(
        self, now: Candidate, candidates: Sequence[Candidate], questions: Sequence[Known]
    ) -> None:
        """All are asked a round; whoever is worst is asked no more, nor anybody past the calls."""
        left = list(candidates)
        for at in range(0, len(questions), ROUND):
            some = questions[at : at + ROUND]
            if at and self.asked + (len(left) + 1) * len(some) > self._calls:
                return
            for candidate in (now, *left):
                await self._ask(candidate, some)
            left.sort(key=self._share, reverse=True)
            left = left[: max(_LEAST_LEFT, len(left) - 1)]

    async def _ask(self, candidate: Candidate, questions: Sequence[Known]) -> Scores:
        """Ask those of `questions` that were not asked yet; answers are judged and kept."""
        scores = self._scores.setdefault(candidate.definition.version, Scores())
        for known in questions:
            key = known.question.question_id
            if key in scores.right:
                continue
            self.asked += 1
            answer = await self._asks.ask(candidate.without[fold_of(key)], known.request)
            scores.right[key] = (await judge([known.check], answer)).passed
            scores.answers[key] = answer
        return scores

    def _share(self, candidate: Candidate) -> float:
        kept = self._scores.get(candidate.definition.version)
        return kept.share() if kept else 0.0

    def _best(self, now: Candidate, candidates: Sequence[Candidate]) -> Candidate | None:
        """The largest gain; among equals the one asked more, then the shorter prompt.

        A gain is over `now` on the same questions: some were asked other ones, perhaps easier.
        """
        tried = [one for one in candidates if one.definition.version in self._scores]
        if not tried:
            return None

        def merits(one: Candidate) -> tuple[bool, float, int, int]:
            mine, theirs = self._answers(now), self._answers(one)
            both = mine.keys() & theirs.keys()
            gain = sum(theirs[key] - mine[key] for key in both) / max(1, len(both))
            prompt = one.definition.system_prompt
            return len(theirs) >= ROUND, round(gain, 9), len(theirs), -len(prompt)

        return max(tried, key=merits)

    def _answers(self, candidate: Candidate) -> dict[str, bool]:
        """Whether it was right, by the question's id, where that judges it."""
        kept = self._scores.get(candidate.definition.version, Scores())
        return {key: ok for key, ok in kept.right.items() if fold_of(key) in candidate.fair}

    def _found(self, now: Candidate, candidates: Sequence[Candidate]) -> Found | None:
        best = self._best(now, candidates)
        if best is None:
            return None
        mine, theirs = self._answers(now), self._answers(best)
        both = [key for key in mine if key in theirs]
        if not both:
            return None
        before = [mine[key] for key in both]
        after = [theirs[key] for key in both]
        gained = sum(a and not b for a, b in zip(after, before, strict=True))
        lost = sum(b and not a for a, b in zip(after, before, strict=True))
        low, high = _interval(gained, lost, len(both))
        tried = tuple(
            (one.made, round(self._share(one), 3))
            for one in candidates
            if one.definition.version in self._scores
        )
        if gained <= lost:
            return None
        n = len(both)
        return Found(best, n, sum(before) / n, sum(after) / n, low, high, self.asked, tried)

    async def _reflected(self, start: Candidate, known: Sequence[Known]) -> list[Candidate]:
        """What gepa makes of the instructions: a model reads its mistakes and writes them anew.

        It reads its mistakes at the questions that do not choose. gepa runs in a thread and asks
        through this loop, so that everything else goes on.
        """
        # takes 0.15 s to import, and only a search needs it
        from agents.improvement.reflection import reflect  # noqa: PLC0415

        assert self._reflect is not None
        loop = asyncio.get_running_loop()
        ended = threading.Event()
        until = time.monotonic() + self._reflecting_s

        async def evaluate(prompt: str, questions: Sequence[Known]) -> list[tuple[str, float]]:
            scores = await self._ask(_rewritten(start, prompt), questions)
            keys = [one.question.question_id for one in questions]
            return [(scores.answers[key], float(scores.right[key])) for key in keys]

        def here(work: Coroutine[Any, Any, Answered]) -> Answered:
            if ended.is_set() or time.monotonic() > until:
                work.close()
                raise BudgetExceeded("The search was stopped.")
            return asyncio.run_coroutine_threadsafe(work, loop).result()

        choose = [one for one in in_turn(known) if _may_choose(one)]
        try:
            prompts = await asyncio.to_thread(
                reflect,
                _instructions(start.definition.system_prompt),
                [one for one in in_turn(known) if not _may_choose(one)],
                choose[: 2 * ROUND],
                evaluate=lambda prompt, questions: here(evaluate(prompt, questions)),
                ask=lambda prompt: here(self._ask_model(prompt)),
                remarks=self._remarks,
                calls=max(0, self._calls - self.asked),
            )
        finally:
            ended.set()
        return [_rewritten(start, prompt) for prompt in prompts[:_REFLECTED]]

    async def _ask_model(self, prompt: str) -> str:
        assert self._reflect is not None
        return await self._reflect(prompt)


def fold_of(question_id: str) -> int:
    """The fold of a question, 0 to FOLDS - 1, which never changes."""
    return _drawn(question_id) % FOLDS


def in_turn(known: Sequence[Known]) -> list[Known]:
    """In an order that is nobody's: fold after fold, and by chance within one."""
    ids = {one.question.question_id: one for one in known}
    return [ids[key] for key in sorted(ids, key=lambda key: (fold_of(key), _drawn(key)))]


def _drawn(question_id: str) -> int:
    digest = hashlib.blake2b(question_id.encode(), digest_size=8, person=b"apart").digest()
    return int.from_bytes(digest, "big")


def static_candidates(
    active: AgentDefinition, known: Sequence[Known], wrong: frozenset[str]
) -> list[Candidate]:
    """Candidates that need no model: right answers as earlier turns, or gathered in the prompt.

    Where the choices stand in the questions they are also tried without tools: there is nothing to
    look up, and a small model that may look something up often does.
    """
    number = min(MAX_DEMONSTRATIONS, len(known))
    found = [_candidate(f"{number} right answers shown", _shown(active, wrong), known)]
    closed = bool(active.tools) and all(one.labels for one in known)
    for words, room in _rooms(active, known):
        made = f"{words} right answers gathered in the instructions"
        if closed:
            bare = active.changed(tools=())
            found.append(_candidate(f"{made}, and no tools", _gathered(bare, room, wrong), known))
        if not closed or words == "many":
            found.append(_candidate(made, _gathered(active, room, wrong), known))
    unlike = {one.definition.version: one for one in found}
    return [one for one in unlike.values() if one.definition.version != active.version]


Make = Callable[[Sequence[Known]], AgentDefinition]
"""A definition made of right answers."""


def _candidate(made: str, make: Make, known: Sequence[Known]) -> Candidate:
    without = (
        make([one for one in known if fold_of(one.question.question_id) != fold])
        for fold in range(FOLDS)
    )
    return Candidate(make(known), tuple(without), made)


def _shown(active: AgentDefinition, wrong: frozenset[str]) -> Make:
    def make(known: Sequence[Known]) -> AgentDefinition:
        most = chosen(known, MAX_DEMONSTRATIONS, wrong)
        return active.changed(demonstrations=as_demonstrations(most))

    return make


def _gathered(active: AgentDefinition, room: int, wrong: frozenset[str]) -> Make:
    bare = _instructions(active.system_prompt)

    def make(known: Sequence[Known]) -> AgentDefinition:
        lines = by_answer(known, room)
        prompt = f"{bare}\n\n{_HEADING}\n{lines}" if lines else bare
        few = as_demonstrations(chosen(known, _FEW, wrong))
        return active.changed(system_prompt=prompt, demonstrations=few)

    return make


def _rooms(active: AgentDefinition, known: Sequence[Known]) -> list[tuple[str, int]]:
    """How many characters gathered answers may take: half of what there is, or all of it."""
    room = MAX_PROMPT_CHARACTERS - len(_instructions(active.system_prompt)) - _PROMPT_ROOM
    some, many = by_answer(known, room // 2), by_answer(known, room)
    rooms = [("some", room // 2, some)]
    if many != some:
        rooms.append(("many", room, many))
    return [(words, size) for words, size, lines in rooms if lines]


def _may_choose(known: Known) -> bool:
    """Whether a question may choose among instructions: those of one fold, which none has read."""
    return fold_of(known.question.question_id) in _READ_BY_NONE


def _rewritten(start: Candidate, prompt: str) -> Candidate:
    """With other instructions; the right answers below them stay."""
    definition, *without = (
        _with_instructions(one, prompt) for one in (start.definition, *start.without)
    )
    return Candidate(definition, tuple(without), "instructions rewritten", _READ_BY_NONE)


def _with_instructions(definition: AgentDefinition, prompt: str) -> AgentDefinition:
    _, heading, lines = definition.system_prompt.partition(_HEADING)
    ending = f"\n\n{heading}{lines}" if lines else ""
    fitting = prompt[: MAX_PROMPT_CHARACTERS - len(ending)]
    return definition.changed(system_prompt=f"{fitting.rstrip()}{ending}")


def _instructions(prompt: str) -> str:
    """A prompt without the right answers that an earlier search has put there."""
    return prompt.partition(_HEADING)[0].rstrip()


def _interval(gained: int, lost: int, n: int) -> tuple[float, float]:
    """Wald's interval of a paired difference with Agresti and Min's half an answer added (2005)."""
    b, c, m = gained + 0.5, lost + 0.5, n + 2
    middle = (b - c) / m
    spread = 1.96 * math.sqrt(max(b + c - (b - c) ** 2 / m, 0)) / m
    return max(-1.0, middle - spread), min(1.0, middle + spread)
