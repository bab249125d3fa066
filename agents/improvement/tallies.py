"""What agents did, as sums: by day, and by version and kind of request.

What is remembered is bounded: sixty days, the rows used last, and of single runs only what their
judgement counted for, so that later words replace earlier ones. It holds names and numbers, and no
texts.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from typing import Any

from agents.improvement.judged import word_on
from agents.improvement.places import Places
from database.records import PUBLIC, Document, Feedback, Run

DAYS = 60
"""So far back agents are compared with their own past."""

_DAY = 86_400.0
_MOST_DAY_ROWS = 3000
_MOST_CELLS = 1000
_MOST_AGENTS = 500
_MOST_RUNS = 3000
_FADE_AT = 1000
"""From so many runs on the sums of a version and kind are halved: what is new weighs more."""


@dataclass(slots=True)
class Tally:
    """Sums over runs. `judged` and `good` are weights; `up` and `down` are ratings by people.

    Times are kept as logarithms of milliseconds, so that a single slow run does not decide.
    """

    runs: float = 0.0
    judged: float = 0.0
    good: float = 0.0
    failed: float = 0.0
    timed: float = 0.0
    log_ms: float = 0.0
    log_ms_squared: float = 0.0
    priced: float = 0.0
    usd: float = 0.0
    usd_squared: float = 0.0
    tokens: float = 0.0
    up: float = 0.0
    down: float = 0.0

    def add(self, other: "Tally", times: float = 1.0) -> None:
        """Take in another's sums; with -1 take them back."""
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            setattr(self, one.name, mine + times * theirs)

    @property
    def success(self) -> float | None:
        """Share of judged runs that went well."""
        return self.good / self.judged if self.judged > 0 else None

    @property
    def typical_ms(self) -> float | None:
        """The geometric mean of what runs took."""
        return math.exp(self.log_ms / self.timed) if self.timed else None

    @property
    def mean_usd(self) -> float | None:
        """What a run cost, of those with known prices."""
        return self.usd / self.priced if self.priced else None


@dataclass(slots=True)
class Habits:
    """How the version of an agent that answers now goes about it.

    `tools` are runs by tool used, `cut` runs that wrote all they may; `examples` are public runs
    that were cut.
    """

    version: str | None = None
    runs: int = 0
    tools: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    examples: list[str] = field(default_factory=list)


Cell = tuple[str, str | None, str | None]
"""An agent, its version and a kind of request."""

_EXAMPLES = 10


class Tallies:
    """The sums over all windows."""

    def __init__(self, state: Mapping[str, Any] | None) -> None:
        state = state or {}
        self.days: dict[str, dict[int, Tally]] = {}
        for agent, day, row in state.get("days", ()):
            self.days.setdefault(agent, {})[day] = Tally(*row)
        self.cells: dict[Cell, Tally] = {
            (agent, version, kind): Tally(*row)
            for agent, version, kind, row in state.get("cells", ())
        }
        self.habits: dict[str, Habits] = {
            agent: _habits(row) for agent, row in state.get("habits", {}).items()
        }
        self._places = Places(state.get("places"))
        self._words: dict[str, list[float]] = dict(state.get("words", {}))

    def take_in(self, run: Run, feedback: Sequence[Feedback], most: int | None) -> None:
        """Count a run that is new; `most` is how many tokens its agent may write."""
        took = _took(run)
        self._add(run, took)
        self._places.note(run)
        self._note_habits(run, most)
        self.judge(run, feedback)

    def judge(self, run: Run, feedback: Sequence[Feedback]) -> None:
        """Count what is said of a run that is counted, in place of what was said before."""
        word = _word(run, feedback)
        row = [word.judged, word.good, word.up, word.down]
        before = self._words.pop(run.run_id, [0.0] * len(row))
        if any(row):
            self._words[run.run_id] = row
        if row != before:
            judged, good, up, down = (now - then for now, then in zip(row, before, strict=True))
            self._add(run, Tally(judged=judged, good=good, up=up, down=down))

    def audience_of(self, agent: str, document: Document | None = None) -> str:
        """Who may see its counts; '' is nobody."""
        return self._places.audience_of(agent, document)

    def over(self, agent: str, since: int, until: int) -> Tally:
        """An agent's days in since <= day < until."""
        total = Tally()
        for day, tally in self.days.get(agent, {}).items():
            if since <= day < until:
                total.add(tally)
        return total

    def agents(self) -> set[str]:
        """All of which anything is remembered."""
        return {*self.days, *(agent for agent, _, _ in self.cells)}

    def sums(self) -> dict[str, Tally]:
        """All that is remembered of each agent."""
        found: dict[str, Tally] = {}
        for (agent, _, _), tally in self.cells.items():
            found.setdefault(agent, Tally()).add(tally)
        return found

    def by_kind(self) -> Iterator[tuple[str, dict[str, Tally]]]:
        """For each kind of request its agents' sums, all versions together."""
        found: dict[str, dict[str, Tally]] = {}
        for (agent, _, kind), tally in self.cells.items():
            if kind is not None:
                found.setdefault(kind, {}).setdefault(agent, Tally()).add(tally)
        yield from found.items()

    def as_json(self) -> dict[str, Any]:
        """What to remember."""
        days = [(a, day, tally) for a, theirs in self.days.items() for day, tally in theirs.items()]
        days.sort(key=lambda one: one[1])
        oldest = days[-1][1] - DAYS if days else 0
        return {
            "days": [
                [agent, day, _row(tally)]
                for agent, day, tally in days[-_MOST_DAY_ROWS:]
                if day > oldest
            ],
            "cells": [[*key, _row(t)] for key, t in list(self.cells.items())[-_MOST_CELLS:]],
            "habits": {
                agent: _habits_row(habits)
                for agent, habits in list(self.habits.items())[-_MOST_AGENTS:]
            },
            "places": self._places.as_json(),
            "words": dict(list(self._words.items())[-_MOST_RUNS:]),
        }

    def _add(self, run: Run, tally: Tally) -> None:
        if run.started_at is not None:
            day = int(run.started_at // _DAY)
            self.days.setdefault(run.agent, {}).setdefault(day, Tally()).add(tally)
        key = (run.agent, run.agent_version, run.task_type)
        cell = self.cells.pop(key, None) or Tally()
        cell.add(tally)
        if cell.runs >= _FADE_AT:
            halved = Tally()
            halved.add(cell, 0.5)
            cell = halved
        self.cells[key] = cell  # the last is the one used last

    def _note_habits(self, run: Run, most: int | None) -> None:
        habits = self.habits.pop(run.agent, None)
        if habits is None or habits.version != run.agent_version:
            habits = Habits(run.agent_version)
        self.habits[run.agent] = habits
        habits.runs += 1
        habits.tools.update({step.name for step in run.steps if step.kind == "tool"})
        wrote = [step.output_tokens or 0 for step in run.steps if step.kind == "model"]
        if most and wrote and wrote[-1] >= most:
            habits.cut += 1
            if run.audience == PUBLIC and len(habits.examples) < _EXAMPLES:
                habits.examples.append(run.run_id)


def _took(run: Run) -> Tally:
    tally = Tally(runs=1.0, failed=float(run.error is not None))
    tally.tokens = float((run.input_tokens or 0) + (run.output_tokens or 0))
    if run.duration_ms:
        log = math.log(max(run.duration_ms, 1.0))
        tally.timed, tally.log_ms, tally.log_ms_squared = 1.0, log, log * log
    if run.cost_usd is not None:
        tally.priced, tally.usd, tally.usd_squared = 1.0, run.cost_usd, run.cost_usd**2
    return tally


def _word(run: Run, feedback: Sequence[Feedback]) -> Tally:
    word = word_on(run, feedback)
    ratings = [one for one in feedback if one.kind == "rating"]
    last = max(ratings, key=lambda one: one.created_at).value if ratings else 0.0
    tally = Tally(up=float(last > 0), down=float(last < 0))
    if word is not None:
        good, weight = word
        tally.judged, tally.good = weight, weight if good else 0.0
    return tally


def _row(tally: Tally) -> list[float]:
    return [round(value, 6) for value in astuple(tally)]


def _habits(row: Mapping[str, Any]) -> Habits:
    return Habits(
        row["version"],
        row["runs"],
        Counter(row["tools"]),
        row["cut"],
        list(row["examples"]),
    )


def _habits_row(habits: Habits) -> dict[str, Any]:
    return {
        "version": habits.version,
        "runs": habits.runs,
        "tools": dict(habits.tools.most_common(50)),
        "cut": habits.cut,
        "examples": habits.examples,
    }
