"""What error recovery remembers: calls that went well, errors, and what came after them.

Counts only, by audience and tool, as JSON; their number is bounded, and old ones fade.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.improvement.error_templates import ErrorTemplates, passes
from agents.improvement.lessons import Fix, features, is_name, shape, telling
from agents.tools.calling import NOT_CALLED
from database.records import Run, Step

_MOST_TOOLS = 200
_MOST_ERRORS = 40
_MOST_COUNTS = 80
_FADE_AT = 2000
"""From so many calls of a tool on all its counts are halved, so that what is new weighs more."""


@dataclass(slots=True)
class ErrorCounts:
    """One error of one tool: `features` of the calls, `fixes` by key, `runs` it was seen in.

    `passed` counts those where the same call went well later in the same run.
    """

    n: float = 0
    runs: float = 0
    passed: float = 0
    features: dict[str, float] = field(default_factory=dict)
    fixes: dict[str, float] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ToolCounts:
    """One tool, as the people of one audience used it; `ok` counts calls that went well."""

    ok: float = 0
    features: dict[str, float] = field(default_factory=dict)
    errors: dict[str, ErrorCounts] = field(default_factory=dict)
    seen: float = 0.0

    @property
    def calls(self) -> float:
        """All calls."""
        return self.ok + sum(error.n for error in self.errors.values())


class Memory:
    """Takes in runs, and can be written down and read again."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        kept = state or {}
        self.tools = {tuple(row["of"]): _tool(row) for row in kept.get("tools", ())}
        self._templates = {
            audience: ErrorTemplates(known) for audience, known in kept.get("templates", {}).items()
        }

    def as_json(self) -> dict[str, Any]:
        """What is remembered, the most recent tools first."""
        recent = sorted(self.tools.items(), key=lambda item: item[1].seen, reverse=True)
        kept = recent[:_MOST_TOOLS]
        audiences = {of[0] for of, _ in kept}
        return {
            "tools": [{"of": list(of), **_tool_json(counts)} for of, counts in kept],
            "templates": {
                audience: list(templates.known())
                for audience, templates in self._templates.items()
                if audience in audiences
            },
        }

    def take_in(self, run: Run) -> None:
        """Count a run's tool calls."""
        steps = [step for step in run.steps if _made(step)]
        counted: set[tuple[str, str]] = set()
        for at, step in enumerate(steps):
            if step.ok is None and step.error is None:
                continue
            counts = self.tools.setdefault((run.audience, step.name), ToolCounts())
            counts.seen = max(counts.seen, run.started_at or 0.0)
            if step.ok:
                counts.ok += 1
                _add(counts.features, features(step.arguments))
                continue
            template = self._template(run.audience, step)
            error = counts.errors.setdefault(template, ErrorCounts())
            error.n += 1
            error.runs += (step.name, template) not in counted
            counted.add((step.name, template))
            error.examples = [*error.examples, run.run_id][-5:]
            _add(error.features, features(step.arguments))
            error.passed += _look_ahead(error, steps, at, run)
            _bound(counts)

    def template(self, audience: str, error: str) -> str | None:
        """The known template of an error, as the people of `audience` met it."""
        templates = self._templates.get(audience)
        return templates.match(error) if templates else None

    def _template(self, audience: str, step: Step) -> str:
        templates = self._templates.setdefault(audience, ErrorTemplates())
        template, before = templates.learn(step.error or "failed without a word")
        if template != before:
            self._rename(audience, before, template)
        return template

    def _rename(self, audience: str, before: str, template: str) -> None:
        for (whose, _), counts in self.tools.items():
            if whose == audience and before in counts.errors:
                old = counts.errors.pop(before)
                counts.errors[template] = _together(counts.errors.get(template), old)


def _made(step: Step) -> bool:
    """Whether this is a tool's call that was really made."""
    known = (step.error or "").startswith(NOT_CALLED)
    return step.kind == "tool" and is_name(step.name) and not known


def _look_ahead(error: ErrorCounts, steps: Sequence[Step], at: int, run: Run) -> bool:
    """Count what came after a failure; whether the very same call went well later."""
    failed = steps[at]
    again = next((n for n, s in _after(steps, at) if s.name == failed.name and s.ok), None)
    if again is None:
        used_before = {step.name for step in steps[: at + 1]}
        others = [s.name for _, s in _after(steps, at) if s.ok and s.name not in used_before]
        if others and run.outcome.success is True:
            _add(error.fixes, [f"instead:{others[-1]}"])
        return False
    then = steps[again].arguments or {}
    if then == (failed.arguments or {}):
        return True
    changed = _changed(failed.arguments or {}, then)
    if not changed:
        return False
    between = {s.name for s in steps[at + 1 : again] if s.ok and s.name != failed.name}
    before = {step.name for step in steps[:at]}
    _add(error.fixes, [f"first:{name}" for name in sorted(between - before)])
    # where several arguments differ, each is less likely to be the one that mattered
    _add(error.fixes, changed, 1 / len(changed))
    return False


def _after(steps: Sequence[Step], at: int) -> Iterator[tuple[int, Step]]:
    return ((n, step) for n, step in enumerate(steps) if n > at)


def _changed(before: Mapping[str, Any], then: Mapping[str, Any]) -> list[str]:
    """What differs between the call that failed and the one that worked."""
    keys = [key for key in then if then[key] != before.get(key) and is_name(key)]
    gone = [key for key in before if key not in then and is_name(key)]
    found = [f"change:{key}:{shape(then[key])}" for key in keys]
    return (found + [f"change:{key}:nothing" for key in gone])[:6]


def passing(template: str, error: ErrorCounts) -> bool:
    """Whether an error is a fault that passes by itself."""
    return passes(template) or error.passed * 3 >= error.n


def best_fix(error: ErrorCounts, *, least: float, share: float) -> Fix | None:
    """What mostly came between the failure and success.

    It helped at least `least` times (where several arguments differed each counts a part), and in
    `share` of the failures.
    """
    counts: dict[tuple[str, str], float] = {}
    for key, count in error.fixes.items():
        kind, name, _ = f"{key}:".split(":", maxsplit=2)
        counts[kind, name] = counts.get((kind, name), 0) + count
    enough = max(least, share * error.n)
    found = [(count, of) for of, count in counts.items() if count >= enough]
    # that another tool was called first says more than that the arguments differ afterwards
    for count, (kind, name) in sorted(found, key=lambda one: (one[1][0] != "first", -one[0])):
        if kind == "first":
            return Fix(kind="first", names=(name,))
        if kind == "instead":
            return Fix(kind="instead", names=(name,))
        like = _like(error, name, count)
        if like or len(_names(error)) > 1:
            return Fix(kind="change", names=(name,), like=like)
    return None


def _like(error: ErrorCounts, name: str, count: float) -> str:
    """What most of the values that worked looked like, where that says something."""
    lead = f"change:{name}:"
    likes = {key.removeprefix(lead): n for key, n in error.fixes.items() if key.startswith(lead)}
    like, times = max(likes.items(), key=lambda item: item[1])
    same_before = error.features.get(f"{name}~{like}", 0)
    told = times * 2 > count and telling(like) and same_before * 2 < error.n
    return like if told else ""


def _names(error: ErrorCounts) -> list[str]:
    return [feature for feature in error.features if feature.startswith("+")]


def _bound(counts: ToolCounts) -> None:
    if counts.calls >= _FADE_AT:
        counts.ok /= 2
        _halve(counts.features)
        for error in counts.errors.values():
            error.n, error.runs, error.passed = error.n / 2, error.runs / 2, error.passed / 2
            _halve(error.features)
            _halve(error.fixes)
    counts.features = _most(counts.features)
    if len(counts.errors) > _MOST_ERRORS:
        rarest = min(counts.errors, key=lambda template: counts.errors[template].n)
        del counts.errors[rarest]
    for error in counts.errors.values():
        error.features, error.fixes = _most(error.features), _most(error.fixes)


def _most(counts: dict[str, float]) -> dict[str, float]:
    if len(counts) <= 2 * _MOST_COUNTS:
        return counts
    return dict(sorted(counts.items(), key=lambda item: item[1], reverse=True)[:_MOST_COUNTS])


def _halve(counts: dict[str, float]) -> None:
    for key in counts:
        counts[key] /= 2


def _add(counts: dict[str, float], keys: Iterable[str], weight: float = 1.0) -> None:
    for key in keys:
        counts[key] = counts.get(key, 0) + weight


def _together(one: ErrorCounts | None, other: ErrorCounts) -> ErrorCounts:
    if one is None:
        return other
    for mine, theirs in ((one.features, other.features), (one.fixes, other.fixes)):
        for key, count in theirs.items():
            mine[key] = mine.get(key, 0) + count
    one.n, one.runs, one.passed = one.n + other.n, one.runs + other.runs, one.passed + other.passed
    one.examples = [*other.examples, *one.examples][-5:]
    return one


def _tool_json(counts: ToolCounts) -> dict[str, Any]:
    errors = {
        template: {
            "n": error.n,
            "runs": error.runs,
            "passed": error.passed,
            "features": error.features,
            "fixes": error.fixes,
            "examples": error.examples,
        }
        for template, error in counts.errors.items()
    }
    return {
        "ok": counts.ok,
        "features": counts.features,
        "errors": errors,
        "seen": counts.seen,
    }


def _tool(row: Mapping[str, Any]) -> ToolCounts:
    errors = {template: ErrorCounts(**counts) for template, counts in row["errors"].items()}
    return ToolCounts(row["ok"], dict(row["features"]), errors, row["seen"])
