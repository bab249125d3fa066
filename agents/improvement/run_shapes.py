"""Where the time of runs goes, and which of their steps need not wait for each other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from agents.improvement.places import Places
from database.records import Document, Run, Step

Rows = dict[tuple[str, ...], list[float]]
"""Sums, under the agent and its step or its two tools."""

MOST = 300
_FADE_AT = 500
"""From so many runs on an agent's sums are halved, so that what is new weighs more."""
_LEAST_RUNS = 10
_LEAST_SHARE = 0.5
_LEAST_SECONDS = 2.0
_SHORTEST_VALUE = 3
"""Shorter values stand in a request by chance."""


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """A kind of step that takes most of its agent's time.

    `share` of the time of all steps, `seconds` each, `runs` with such a step.
    """

    agent: str
    step: str
    share: float
    seconds: float
    runs: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Two tools called one after the other though the second needs nothing of the first.

    `runs` in which that was so, of `of` runs with both in this order; `seconds` that a run would
    save.
    """

    agent: str
    first: str
    second: str
    runs: int
    of: int
    seconds: float


class Shapes:
    """Sums over all windows: per agent and kind of step, and per pair of tools."""

    def __init__(self, state: Mapping[str, Any] | None) -> None:
        state = state or {}
        self._runs: dict[str, float] = dict(state.get("runs", {}))
        self._steps: Rows = {tuple(of): list(row) for of, row in state.get("by_step", ())}
        self._pairs: Rows = {tuple(of): list(row) for of, row in state.get("by_pair", ())}
        self._places = Places(state.get("places"))

    def take_in(self, run: Run) -> None:
        """Count a run's steps."""
        if not run.steps:
            return
        self._runs[run.agent] = self._runs.get(run.agent, 0) + 1
        self._places.note(run)
        took: Rows = {}
        for step in run.steps:
            if step.duration_ms is not None:
                of = run.agent, f"{step.kind}: {step.name}"
                took.setdefault(of, []).append(step.duration_ms)
        for key, each in took.items():
            row = self._steps.setdefault(key, [0.0, 0.0, 0.0])
            row[0], row[1], row[2] = row[0] + 1, row[1] + len(each), row[2] + sum(each)
        for first, second, apart in _pairs(run):
            row = self._pairs.setdefault((run.agent, first.name, second.name), [0.0, 0.0, 0.0])
            saved = min(first.duration_ms or 0.0, second.duration_ms or 0.0)
            row[0], row[1], row[2] = row[0] + 1, row[1] + apart, row[2] + saved * apart
        if self._runs[run.agent] >= _FADE_AT:
            self._fade(run.agent)

    def bottlenecks(self) -> Iterator[Bottleneck]:
        """Steps that take at least half of their agent's time, and seconds."""
        total: dict[str, float] = {}
        for (agent, _), (_, _, took) in self._steps.items():
            total[agent] = total.get(agent, 0.0) + took
        for (agent, step), (runs, times, took) in self._steps.items():
            share, seconds = took / total[agent] if total[agent] else 0.0, took / times / 1000
            if runs >= _LEAST_RUNS and share >= _LEAST_SHARE and seconds >= _LEAST_SECONDS:
                yield Bottleneck(agent, step, share, seconds, round(runs))

    def waiting(self) -> Iterator[Waiting]:
        """Pairs of tools that mostly need not wait for each other."""
        for (agent, first, second), (of, apart, saved) in self._pairs.items():
            if apart >= _LEAST_RUNS and apart / of >= _LEAST_SHARE:
                yield Waiting(agent, first, second, round(apart), round(of), saved / apart / 1000)

    def as_json(self) -> dict[str, Any]:
        """What to remember: the most frequent."""
        return {
            "runs": self._runs,
            "by_step": _most(self._steps),
            "by_pair": _most(self._pairs),
            "places": self._places.as_json(),
        }

    def audience_of(self, agent: str, document: Document | None) -> str:
        """Who may be told what it does; '' is nobody."""
        return self._places.audience_of(agent, document)

    def _fade(self, agent: str) -> None:
        self._runs[agent] /= 2
        for rows in (self._steps, self._pairs):
            for key, row in rows.items():
                if key[0] == agent:
                    rows[key] = [value / 2 for value in row]


def _most(rows: Rows) -> list[list[Any]]:
    most = sorted(rows.items(), key=lambda entry: -entry[1][0])[:MOST]
    return [[list(of), row] for of, row in most]


def _pairs(run: Run) -> Iterator[tuple[Step, Step, bool]]:
    """Neighbouring calls of different tools, each pair once, and whether the second could begin
    with the first: all that it was called with stood in the request already.

    What tools answered is not recorded, so nothing more can be told: a value that stands in the
    request may still have been looked up.
    """
    tools = [step for step in run.steps if step.kind == "tool" and step.ok is not False]
    seen = set()
    for first, second in pairwise(tools):
        if first.name != second.name and (first.name, second.name) not in seen:
            seen.add((first.name, second.name))
            yield first, second, _stood_in(run.request, second.arguments)


def _stood_in(request: str, arguments: Mapping[str, Any] | None) -> bool:
    values = [value for value in _values(arguments or {}) if len(value) >= _SHORTEST_VALUE]
    said = request.casefold()
    return bool(values) and all(value.casefold() in said for value in values)


def _values(found: Any) -> Sequence[str]:
    if isinstance(found, Mapping):
        return [value for inner in found.values() for value in _values(inner)]
    if isinstance(found, list | tuple):
        return [value for inner in found for value in _values(inner)]
    return [] if found is None or isinstance(found, bool) else [str(found)]
