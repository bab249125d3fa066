"""Which agent answers: by meaning, by what has worked, and only when unsure by asking a model."""

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from database.records import PUBLIC, AgentRecord, Step

GENERALIST = "generalist"

# Measured without a fast model, with these numbers: of the 540 questions beside agents/library (ten
# specialists) 75% reach their specialist, 8% another one, 17% the generalist; of the 60 requests in
# tests/orchestrator/routed_requests.jsonl, which share no wording with the examples, 67%, 2% and
# 32%. The generalist keeps 94% of CLINC150's 817 out-of-scope requests. Without the directions that
# tell agents apart and without their descriptions it was 57% of the 60. The instruction alone (see
# `instruction`) is worth 8 points over the whole text. More examples alone helped nothing: word
# vectors that know neither order nor context are the limit.
MEAN_WEIGHT = 0.5
APART_WEIGHT = 0.5
RIDGE = 3.0
FLOOR = 0.48
UNSURE = 0.08
TIE = 0.03

THREAD_BONUS = 0.15
"""What the agent of the thread is ahead by: more than most second bests are behind."""

WORKED_BONUS = 0.05
"""At most this much for what has worked: enough to turn a close call, never a clear one."""

_MATERIAL = re.compile(r'"[^"]{25,}"|“[^“”]{25,}”|```.*?```', re.DOTALL)
_COLON = re.compile(r":\s")
_LEAST_WORDS = 3
_MOST_WORDS = 40
_LEAST_BEFORE_COLON = 12

_PRIOR_WEIGHT = 4.0
_SHORT_FOLLOW_UP_WORDS = 4

Vector = np.ndarray[tuple[int], np.dtype[np.float32]]
Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]
RouteReason = Literal["asked", "thread", "meaning", "fast model", "no specialist", "tie"]


class Embedder(Protocol):
    """What turns texts into rows of length 1 whose products say how alike they are."""

    def embed(self, texts: Sequence[str]) -> Matrix:
        """One row a text."""


@dataclass(frozen=True, slots=True)
class Specialty:
    """What routing knows of an agent; `version` changes whenever the rest does.

    `description` says what it does in a sentence or two. One that was made in a private place is
    only for whoever belongs to its `audience`.
    """

    name: str
    version: str
    specialty: str
    examples: tuple[str, ...]
    audience: str = PUBLIC
    description: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An agent that might answer, with how well it fits and its nearest example."""

    name: str
    specialty: str
    score: float
    example: str
    bonus: float = 0.0


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers and why; `best` and `second` are what was weighed, best first.

    `step` is the model call that was made to choose, where one was made.
    """

    agent: str
    reason: RouteReason
    best: Candidate | None = None
    second: Candidate | None = None
    step: Step | None = None

    def as_json(self) -> dict[str, Any]:
        """The route as a run keeps it: names and numbers, no text of anybody."""
        kept: dict[str, Any] = {"reason": self.reason}
        for key, candidate in (("best", self.best), ("second", self.second)):
            if candidate:
                kept[key] = {"agent": candidate.name, "score": round(candidate.score, 3)}
                if candidate.bonus:
                    kept[key]["worked"] = round(candidate.bonus, 3)
        return kept

    def sentence(self) -> str:
        """The route in words for the person who asked."""
        return route_in_words(self.as_json(), self.best.example if self.best else "")


def route_in_words(kept: Mapping[str, Any], example: str = "") -> str:
    """A route as a run keeps it (`Route.as_json`) in words for a person; '' where none is kept."""
    best, second = kept.get("best"), kept.get("second")
    names = [one["agent"] for one in (best, second) if one]
    came_second = f" ({names[1]} came second)" if len(names) > 1 else ""
    like = f': it is like "{example}"' if example else ""
    return {
        "asked": "You asked for this agent.",
        "thread": "This agent already answers in this thread.",
        "no specialist": "No specialist fits this request well.",
        "tie": f"{' and '.join(names)} fit equally well, so the generalist answers.",
        "fast model": f"It was close, and a fast model chose this agent{came_second}.",
        "meaning": f"Your request fits this agent best{like}{came_second}.",
    }.get(str(kept.get("reason")), "")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which candidate should answer, None when that cannot be said, and what asking took."""

    agent: str | None
    step: Step | None = None


Chooser = Callable[[str, Sequence[Candidate]], Awaitable[Chosen]]
"""Asks which candidate should answer a text."""


class Router:
    """Chooses among any number of agents in well under a millisecond.

    `choose`, where given, is asked about close calls; its recent answers are remembered.
    """

    def __init__(self, embedder: Embedder, choose: Chooser | None = None) -> None:
        self._embedder = embedder
        self._choose = choose
        self._chosen: LRUCache[tuple[str, ...], str] = LRUCache(maxsize=512)
        self._known: dict[str, Specialty] = {}
        self._rows: dict[str, tuple[str, Matrix]] = {}
        self._names: list[str] = []
        self._position: dict[str, int] = {}
        self._private: list[tuple[int, str]] = []
        self._lines: list[str] = []
        self._starts = np.zeros(0, dtype=np.intp)
        self._matrix: Matrix = np.zeros((0, 0), dtype=np.float32)
        self._leanings: Matrix = np.zeros((0, 0), dtype=np.float32)
        self._worked: dict[str, dict[str, float]] = {}

    def know(self, specialties: Iterable[Specialty]) -> None:
        """Replace what may be routed to; only new and changed agents are embedded again."""
        self._known = {s.name: s for s in specialties}
        self._rows = {name: self._embedded(s) for name, s in self._known.items()}
        self._names = list(self._known)
        self._position = {name: at for at, name in enumerate(self._names)}
        self._private = [
            (at, s.audience) for at, s in enumerate(self._known.values()) if s.audience != PUBLIC
        ]
        self._lines = [line for s in self._known.values() for line in _lines(s)]
        sizes = [len(rows) for _, rows in self._rows.values()]
        self._starts = np.cumsum([0, *sizes[:-1]]) if sizes else np.zeros(0, dtype=np.intp)
        if sizes:
            blocks = [rows for _, rows in self._rows.values()]
            self._matrix = np.concatenate(blocks)
            means = np.stack([rows.mean(axis=0) for rows in blocks])
            apart = _telling_apart(self._matrix, self._starts)
            self._leanings = (MEAN_WEIGHT * means + APART_WEIGHT * apart).astype(np.float32)
        self._chosen.clear()

    def learn(self, records: Iterable[AgentRecord]) -> None:
        """Replace what has worked: judged runs of each agent and task type."""
        self._worked = _bonuses(list(records))

    def embed(self, text: str) -> Vector:
        """The vector of what a request asks for, to be used for routing and task types alike."""
        vector: Vector = self._embedder.embed([instruction(text)])[0]
        return vector

    def lines(self, specialty: Specialty) -> Matrix:
        """What is compared with requests, of an agent that need not be known."""
        return self._embedder.embed(_lines(specialty))

    async def route(
        self,
        text: str,
        vector: Vector,
        *,
        task_type: str | None = None,
        current: str | None = None,
        asked: str | None = None,
        audiences: Collection[str] = (PUBLIC,),
    ) -> Route:
        """Who answers `text`, of the agents for one of `audiences`.

        `current` answers in the thread, `asked` was named by the person.
        """
        if asked:
            return Route(asked, "asked")
        best, second = self._two_best(vector, task_type, current, audiences)
        if current and (best is None or self._follows_up(text, best, current)):
            return Route(current, "thread", best, second)
        if best is None or best.score < FLOOR:
            return Route(GENERALIST, "no specialist", best, second)
        if second is None or best.score - second.score >= UNSURE:
            return Route(best.name, "meaning", best, second)
        return await self._close_call(text, best, second)

    def _follows_up(self, text: str, best: Candidate, current: str) -> bool:
        short = len(text.split()) <= _SHORT_FOLLOW_UP_WORDS
        return best.name == current or best.score < FLOOR or short

    async def _close_call(self, text: str, best: Candidate, second: Candidate) -> Route:
        chosen = await self._ask(text, (best, second))
        if chosen.agent == second.name:
            return Route(second.name, "fast model", second, best, chosen.step)
        if chosen.agent == best.name:
            return Route(best.name, "fast model", best, second, chosen.step)
        if best.score - second.score < TIE:
            return Route(GENERALIST, "tie", best, second, chosen.step)
        return Route(best.name, "meaning", best, second, chosen.step)

    async def _ask(self, text: str, candidates: tuple[Candidate, Candidate]) -> Chosen:
        key = (" ".join(text.lower().split()), *(c.name for c in candidates))
        known = self._chosen.get(key)
        if known is not None or self._choose is None:
            return Chosen(known)
        chosen = await self._choose(text, candidates)
        if chosen.agent is not None:
            self._chosen[key] = chosen.agent
        return chosen

    def _two_best(
        self,
        vector: Vector,
        task_type: str | None,
        current: str | None,
        audiences: Collection[str],
    ) -> tuple[Candidate | None, Candidate | None]:
        hidden = [at for at, audience in self._private if audience not in audiences]
        if len(hidden) == len(self._names):
            return None, None
        likeness = times(self._matrix, vector)
        scores = np.maximum.reduceat(likeness, self._starts) + times(self._leanings, vector)
        worked = self._worked.get(task_type, {}) if task_type else {}
        for name, bonus in worked.items():
            self._add(scores, name, bonus)
        if current:
            self._add(scores, current, THREAD_BONUS)
        scores[hidden] = -np.inf
        first = int(scores.argmax())
        best = self._candidate(first, scores, likeness, worked)
        if len(self._names) - len(hidden) == 1:
            return best, None
        scores_without = scores.copy()
        scores_without[first] = -np.inf
        return best, self._candidate(int(scores_without.argmax()), scores, likeness, worked)

    def _add(self, scores: Vector, name: str, bonus: float) -> None:
        position = self._position.get(name)
        if position is not None:
            scores[position] += bonus

    def _candidate(
        self, at: int, scores: Vector, likeness: Vector, worked: Mapping[str, float]
    ) -> Candidate:
        name = self._names[at]
        start = int(self._starts[at])
        end = int(self._starts[at + 1]) if at + 1 < len(self._starts) else len(self._lines)
        nearest = start + int(likeness[start:end].argmax())
        return Candidate(
            name,
            self._known[name].specialty,
            float(scores[at]),
            self._lines[nearest],
            worked.get(name, 0.0),
        )

    def _embedded(self, specialty: Specialty) -> tuple[str, Matrix]:
        kept = self._rows.get(specialty.name)
        if kept and kept[0] == specialty.version:
            return kept
        return specialty.version, self._embedder.embed(_lines(specialty))


def instruction(text: str) -> str:
    """What is asked, without the material that it is asked of: quotations, code, what follows."""
    bare = _MATERIAL.sub(" ", text)
    lines = [line.split() for line in bare.splitlines() if line.strip()]
    words: list[str] = []
    for line in lines:
        words += line
        if len(words) >= _LEAST_WORDS:
            break
    head = " ".join(words[:_MOST_WORDS])
    colon = _COLON.search(head, _LEAST_BEFORE_COLON)
    return (head[: colon.start()] if colon else head).rstrip(" :") or text


def times(rows: Matrix, vector: Vector) -> Vector:
    """Each row's product with the vector."""
    # Not `rows @ vector`: BLAS would use all cores, and waits 4 to 8 ms for one that is busy, as
    # with the embedded model. Alone, einsum takes 0.2 ms for 9,000 rows where BLAS takes 0.1.
    product: Vector = np.einsum("ij,j->i", rows, vector)
    return product


def _telling_apart(lines: Matrix, starts: NDArray[np.intp]) -> Matrix:
    """For each agent the direction in which its lines differ from everybody else's.

    By ridge regression: what all requests have in common speaks for nobody.
    """
    common = lines.T @ lines + RIDGE * np.eye(lines.shape[1], dtype=np.float32)
    own = np.add.reduceat(lines, starts)
    return np.linalg.solve(common, own.T).T.astype(np.float32)


def _lines(specialty: Specialty) -> list[str]:
    described = [specialty.description] if specialty.description else []
    return [specialty.specialty, *specialty.examples, *described]


def _bonuses(records: Sequence[AgentRecord]) -> dict[str, dict[str, float]]:
    """For each task type, how much better or worse than usual each agent did, smoothed.

    With few judged runs an agent stays near the average of all, so that a cold start and a first
    bad luck decide nothing.
    """
    judged = sum(r.judged for r in records)
    usual = sum(r.succeeded for r in records) / judged if judged else 0.5
    bonuses: dict[str, dict[str, float]] = {}
    for record in records:
        if record.task_type is None or not record.judged:
            continue
        rate = (record.succeeded + _PRIOR_WEIGHT * usual) / (record.judged + _PRIOR_WEIGHT)
        bonuses.setdefault(record.task_type, {})[record.agent] = WORKED_BONUS * (rate - usual)
    return bonuses
