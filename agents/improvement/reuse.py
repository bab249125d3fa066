"""Answers that could be given again: the same question, answered the same and found good.

Questions are the same when nothing but capitals, spaces and marks differs; numbers and names count.
What is remembered are digests, and no texts.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from agents.improvement.judged import went_well
from database.records import PUBLIC, Feedback, Run

_LEAST_TIMES = 5
_LEAST_PEOPLE = 2
_SAME = 0.8
_MOST = 2000
_PEOPLE = 20
_ANSWERS = 4
_LATEST = 5

_MARKS = re.compile(r"[^\w%$€£+*/=<>-]+")
_CHANGING = re.compile(
    r"\b(today|tonight|now|current(ly)?|latest|newest|recent(ly)?|yesterday|tomorrow|"
    r"(this|last|next) (hour|morning|week|month|quarter|year)|my|mine|i|we|our|me|us)\b",
    re.IGNORECASE,
)
"""Another answer may be right another time, or for another person."""
_STEADY_TOOLS = frozenset({"calculator"})
"""What these say depends on nothing but their arguments."""


@dataclass(slots=True)
class Asked:
    """One question in one place: `answers` are counts by digest, `runs` the latest.

    `words` says of the runs judged last whether they went well.
    """

    audience: str
    agent: str
    n: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    people: list[str] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    words: dict[str, bool] = field(default_factory=dict)
    told: int = 0

    @property
    def good(self) -> int:
        """How many of the answers judged last were good."""
        return sum(self.words.values())

    @property
    def reusable(self) -> bool:
        """Asked often, answered the same, found good by somebody and bad by nobody."""
        alone = self.audience == PUBLIC and len(self.people) < _LEAST_PEOPLE
        if self.n < _LEAST_TIMES or alone or not self.words or not all(self.words.values()):
            return False
        return max(self.answers.values()) >= _SAME * self.n


class Repeated:
    """What was asked before, over all windows."""

    def __init__(self, state: Mapping[str, Any] | None) -> None:
        self._asked: dict[str, Asked] = {k: Asked(**row) for k, row in (state or {}).items()}

    def take_in(self, run: Run, feedback: Sequence[Feedback]) -> None:
        """Count a run whose answer depends on nothing but its question."""
        if not _steady(run):
            return
        key = _digest(run.audience, run.agent, normal(run.request))
        asked = self._asked.pop(key, None) or Asked(run.audience, run.agent)
        self._asked[key] = asked
        asked.n += 1
        asked.usd += run.cost_usd or 0.0
        asked.seconds += (run.duration_ms or 0.0) / 1000
        if run.user_id and len(asked.people) < _PEOPLE:
            asked.people = sorted({*asked.people, _digest(run.user_id)})
        answer = _digest(normal(run.reply or ""))
        if answer in asked.answers or len(asked.answers) < _ANSWERS:
            asked.answers[answer] = asked.answers.get(answer, 0) + 1
        asked.runs = [*asked.runs, run.run_id][-_LATEST:]
        self.judge(run, feedback, asked)

    def judge(self, run: Run, feedback: Sequence[Feedback], asked: Asked | None = None) -> None:
        """Note what is said of an answer, in place of what was said before."""
        if asked is None and _steady(run):
            asked = self._asked.get(_digest(run.audience, run.agent, normal(run.request)))
        well = went_well(run, feedback)
        if asked is not None and well is not None:
            asked.words.pop(run.run_id, None)
            asked.words = dict([*asked.words.items(), (run.run_id, well)][-_PEOPLE:])

    def worth_telling(self) -> Iterator[tuple[str, Asked]]:
        """Questions whose answer could be reused, with what they are remembered under; again when
        they were asked twice as often.
        """
        for key, asked in self._asked.items():
            if asked.reusable and asked.n >= 2 * asked.told:
                asked.told = asked.n
                yield key, asked

    def could_save(self) -> tuple[float, float]:
        """Dollars and seconds of all reusable answers but the first of each."""
        found = [asked for asked in self._asked.values() if asked.reusable]
        shares = [(asked, (asked.n - 1) / asked.n) for asked in found]
        return sum(a.usd * s for a, s in shares), sum(a.seconds * s for a, s in shares)

    def as_json(self) -> dict[str, Any]:
        """What to remember: the questions asked last."""
        return {key: asdict(one) for key, one in list(self._asked.items())[-_MOST:]}


def normal(text: str) -> str:
    """A text without what does not matter for whether it says the same."""
    return _MARKS.sub(" ", text.casefold()).strip()


def _steady(run: Run) -> bool:
    """Whether the answer depends on nothing but the question, as far as can be told."""
    if run.kind != "reply" or run.error or not run.reply or not run.request.strip():
        return False
    if run.thread_ts is not None and run.thread_ts != run.message_ts:
        return False  # it continues a conversation
    tools = {step.name for step in run.steps if step.kind == "tool"}
    return tools <= _STEADY_TOOLS and not _CHANGING.search(run.request)


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).hexdigest()
