"""The search for a better prompt: right answers and reasons made into candidates, tried frugally.

Few right answers are known, and none may be spent twice: they are dealt into folds. A candidate is
asked the questions of a fold as it is made without them, and what is proposed of the best is made
of all (cross-validation; Stone 1974). So every known answer chooses, and every one is shown. The
worst candidate gives up after each round (successive rejects; Audibert, Bubeck and Munos 2010). Of
those that are left the surest gain counts, and only one that chance hardly makes. The trial that
follows asks other questions.
"""

import asyncio
import hashlib
import math
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Protocol, TypeVar

import structlog

from agents.checks import judge
from agents.definition import MAX_PROMPT_CHARACTERS, AgentDefinition
from agents.drafting import leads, repeats
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
"""The fold whose questions choose among instructions that a model has written."""

_Z = NormalDist().inv_cdf(0.975)
_LEAST_LEFT = 2
_FEW = 2
"""Right answers that are shown as turns beside those gathered: they show the form."""

_MOST_OF_A_FOLD = 32
"""Questions asked of each fold: more decide nothing that the trial does not decide better."""

_CHANCE = 0.05
"""A gain that chance makes so often, without any effect, is no find (one-sided)."""

_HEADING = "Right answers given before, by answer:"
_PROMPT_ROOM = 200
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
    """What a candidate answered, by the question's id; `right` holds what it is judged by."""

    told: dict[str, tuple[str, bool]] = field(default_factory=dict)
    right: dict[str, bool] = field(default_factory=dict)

    def share(self) -> float:
        """Share of right answers, 0 where nothing was asked."""
        return sum(self.right.values()) / len(self.right) if self.right else 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """The best candidate, on `n` questions that both answered; effects are differences of shares.

    `before` and `after` are the shares of right answers; `low` and `high` a 95% interval of the
    difference, as wide as the choice among `tried` asks for (Šidák 1967).
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
        calls: int = 340,
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
        self._left: list[Candidate] = []
        self._fresh: dict[str, Candidate] = {}

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
            await self._rejecting(now, candidates, asked_of(known))
            if self._reflect is not None and self.asked < self._calls:
                await self._reflected(self._best(now) or now, known)
        except (BudgetExceeded, AgentStopped) as error:
            _log.info("prompt_search_cut_short", agent=active.name, reason=str(error))
        return self._found(now, [*candidates, *self._fresh.values()])

    async def _rejecting(
        self, now: Candidate, candidates: Sequence[Candidate], questions: Sequence[Known]
    ) -> None:
        """All are asked a round; whoever is worst is asked no more, nor anybody past the calls."""
        self._left = list(candidates)
        for at in range(0, len(questions), ROUND):
            some = questions[at : at + ROUND]
            if at and self.asked + (len(self._left) + 1) * len(some) > self._calls:
                return
            for candidate in (now, *self._left):
                await self._ask(candidate, some)
            self._left.sort(key=lambda one: self._scored(one).share(), reverse=True)
            self._left = self._left[: max(_LEAST_LEFT, len(self._left) - 1)]

    async def _ask(self, candidate: Candidate, questions: Sequence[Known]) -> Scores:
        """Ask those of `questions` that were not asked yet; answers are judged and kept."""
        scores = self._scores.setdefault(candidate.definition.version, Scores())
        for known in questions:
            key = known.question.question_id
            if key in scores.told:
                continue
            self.asked += 1
            fold = fold_of(known)
            answer = await self._asks.ask(candidate.without[fold], known.request)
            passed = (await judge([known.check], answer)).passed
            scores.told[key] = (answer, passed)
            if fold in candidate.fair:
                scores.right[key] = passed
        return scores

    def _scored(self, candidate: Candidate) -> Scores:
        return self._scores.get(candidate.definition.version, Scores())

    def _best(self, now: Candidate) -> Candidate | None:
        """Of those that did not give up the one whose gain is surest, then the shorter prompt.

        The lower bound of a gain, so that luck with few questions does not count for more than a
        gain with many.
        """
        left = {one.definition.version: one for one in (*self._fresh.values(), *self._left)}

        def merits(one: Candidate) -> tuple[float, int]:
            low, _ = _interval(*self._changed(now, one), _Z)
            return round(low, 9), -len(one.definition.system_prompt)

        asked = [one for one in left.values() if self._scored(one).right]
        return max(asked, key=merits, default=None)

    def _changed(self, now: Candidate, one: Candidate) -> tuple[int, int, int]:
        """Answers that became right, that became wrong, and how many both gave."""
        mine, theirs = self._scored(now).right, self._scored(one).right
        both = mine.keys() & theirs.keys()
        gained = sum(theirs[key] and not mine[key] for key in both)
        lost = sum(mine[key] and not theirs[key] for key in both)
        return gained, lost, len(both)

    def _found(self, now: Candidate, candidates: Sequence[Candidate]) -> Found | None:
        best = self._best(now)
        if best is None:
            return None
        gained, lost, n = self._changed(now, best)
        if _by_chance(gained, lost) > _CHANCE:
            return None
        mine, theirs = self._scored(now).right, self._scored(best).right
        both = mine.keys() & theirs.keys()
        tried = [one for one in candidates if self._scored(one).right]
        level = NormalDist().inv_cdf((1 + 0.95 ** (1 / len(tried))) / 2)
        low, high = _interval(gained, lost, n, level)
        return Found(
            best,
            n,
            sum(mine[key] for key in both) / n,
            sum(theirs[key] for key in both) / n,
            low,
            high,
            self.asked,
            tuple((one.made, round(self._scored(one).share(), 3)) for one in tried),
        )

    async def _reflected(self, start: Candidate, known: Sequence[Known]) -> None:
        """What gepa makes of the instructions: a model reads its mistakes and writes them anew.

        It reads its mistakes at the questions that do not choose. gepa runs in a thread and asks
        through this loop, so that everything else goes on; whatever ends it, those that were asked
        all that chooses are kept.
        """
        # takes 0.15 s to import, and only a search needs it
        from agents.improvement.reflection import reflect  # noqa: PLC0415

        assert self._reflect is not None
        choose = [one for one in asked_of(known) if fold_of(one) in _READ_BY_NONE]
        bare = _instructions(start.definition.system_prompt)
        written = [*(one.own for one in known), *self._remarks.values()]
        loop = asyncio.get_running_loop()
        ended = threading.Event()
        until = time.monotonic() + self._reflecting_s

        async def evaluate(prompt: str, questions: Sequence[Known]) -> list[tuple[str, float]]:
            if prompt != bare and not may_stand(prompt, bare, written):
                return [("", 0.0) for _ in questions]
            candidate = _rewritten(start, prompt)
            scores = await self._ask(candidate, questions)
            if all(one.question.question_id in scores.told for one in choose):
                self._fresh[candidate.definition.version] = candidate
            told = [scores.told[one.question.question_id] for one in questions]
            return [(answer, float(passed)) for answer, passed in told]

        def here(work: Coroutine[Any, Any, Answered]) -> Answered:
            if ended.is_set() or time.monotonic() > until:
                work.close()
                raise BudgetExceeded("The search was stopped.")
            return asyncio.run_coroutine_threadsafe(work, loop).result()

        try:
            await asyncio.to_thread(
                reflect,
                bare,
                [one for one in in_turn(known) if fold_of(one) not in _READ_BY_NONE],
                choose,
                evaluate=lambda prompt, questions: here(evaluate(prompt, questions)),
                ask=lambda prompt: here(self._ask_model(prompt)),
                remarks=self._remarks,
                calls=max(0, self._calls - self.asked),
            )
        finally:
            ended.set()

    async def _ask_model(self, prompt: str) -> str:
        assert self._reflect is not None
        return await self._reflect(prompt)


def fold_of(known: Known) -> int:
    """The fold of a question, 0 to FOLDS - 1: by its words alone, so that it never changes."""
    return _drawn(known) % FOLDS


def in_turn(known: Sequence[Known]) -> list[Known]:
    """In an order that is nobody's: fold after fold, and by chance within one."""
    return sorted(known, key=lambda one: (fold_of(one), _drawn(one)))


def asked_of(known: Sequence[Known]) -> list[Known]:
    """The questions that candidates are asked: of each fold as many."""
    ordered = in_turn(known)
    folds = ([one for one in ordered if fold_of(one) == fold] for fold in range(FOLDS))
    return [one for fold in folds for one in fold[:_MOST_OF_A_FOLD]]


def _drawn(known: Known) -> int:
    words = "".join(ch for ch in known.request.casefold() if ch.isalnum())
    digest = hashlib.blake2b(words.encode(), digest_size=8, person=b"apart").digest()
    return int.from_bytes(digest, "big")


def may_stand(prompt: str, before: str, people: Sequence[str]) -> bool:
    """Whether instructions lead nowhere new and repeat nothing that people wrote."""
    return leads(prompt) <= leads(before) and not any(
        repeats(said, prompt) for said in people if not repeats(said, before)
    )


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
    without = (make([one for one in known if fold_of(one) != fold]) for fold in range(FOLDS))
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


def _by_chance(gained: int, lost: int) -> float:
    """How often chance alone gives such a gain or a larger one (McNemar's exact test, 1947)."""
    n = gained + lost
    return sum(math.comb(n, k) for k in range(gained, n + 1)) / 2.0**n


def _interval(gained: int, lost: int, n: int, z: float) -> tuple[float, float]:
    """Wald's interval of a paired difference with Agresti and Min's half an answer added (2005)."""
    b, c, m = gained + 0.5, lost + 0.5, n + 2
    middle = (b - c) / m
    spread = z * math.sqrt(max(b + c - (b - c) ** 2 / m, 0)) / m
    return max(-1.0, middle - spread), min(1.0, middle + spread)
