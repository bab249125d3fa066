"""Error recovery: what went wrong, what worked afterwards, and whether knowing it helps.

From the tool calls of new runs it counts errors by template, learns by which calls they can be
foreseen and what worked instead, and proposes lessons. Whether a lesson helps is told by its
control share: runs that are not told of it.
"""

import asyncio
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.improvement.error_counts import (
    ErrorCounts,
    Memory,
    ToolCounts,
    best_fix,
    passing,
)
from agents.improvement.learner import Learned, Window
from agents.improvement.lessons import Lesson, parse_lesson
from agents.tools.calling import NOT_CALLED
from database.errors import InputError
from database.learning import Change, Finding, Proposal, learning_id, proposal_id_of
from database.records import PUBLIC, Document, Run, Step

NAME = "error-recovery"

CONTROL_SHARE = 0.1
"""Share of runs that are told of no lesson, so that it can be known what lessons are worth."""

_LEAST_FAILURES = 3
_LEAST_RUNS = 2
_LEAST_FIXES = 1.5
_FIX_SHARE = 0.2
_SURE = 0.8
"""A call is foreseen to fail where of (failures + 1) in (calls + 2) at least so many would."""

_COUNTED = ("kept", "control", "control_failed", "ms")
"""Calls not made, calls that the control made, those of them that failed, and what these took."""

_AT_ONCE = 20
"""Runs that are counted without a pause: some milliseconds."""

_DAY = 86_400.0
_MOST_DAYS = 400
"""A little more than a year: so far back people can ask."""

_NEWS = 5
_ENOUGH_CONTROLS = 8
_HELPLESS = 0.5
"""A lesson is taken back when so few of its controls failed: then it keeps from what would work."""


def in_control(run_id: str) -> bool:
    """Whether a run is one that is told of no lesson; the same everywhere and for ever."""
    digest = hashlib.blake2b(run_id.encode(), digest_size=4, person=b"lessons").digest()
    return int.from_bytes(digest, "big") / 2**32 < CONTROL_SHARE


@dataclass(frozen=True, slots=True)
class Prevented:
    """What lessons kept from happening: calls not made, and how many of them would have failed.

    `failing` is the share of all the control's calls so far that failed, None before there were
    any; `repeats` and `minutes` are estimates: calls not made times that share, and the time that
    the failures of the control took.
    """

    calls: int
    controls: int
    failing: float | None
    repeats: float
    minutes: float


def prevented(state: Mapping[str, Any], since: float = 0.0, until: float = math.inf) -> Prevented:
    """What the learner's state says of all lessons together, on the days (UTC) of a period."""
    days = {int(day) * _DAY: row for day, row in state.get("days", {}).items()}
    before = [row for day, row in days.items() if day < until]
    calls = sum(int(row[0]) for day, row in days.items() if since < day + _DAY and day < until)
    controls, failed = (sum(int(row[at]) for row in before) for at in (1, 2))
    took = sum(float(row[3]) for row in before)
    failing = failed / controls if controls else None
    repeats = calls * (failing if failing is not None else 0.0)
    return Prevented(
        calls, controls, failing, repeats, repeats * took / failed / 60_000 if failed else 0.0
    )


class ErrorRecovery:
    """Proposes lessons and takes back those that do not help; needs no model."""

    name = NAME
    about = "Learns from errors: what they have in common, and what worked instead."
    cron = "20 */2 * * *"
    threshold = 25

    async def learn(self, window: Window, state: Mapping[str, Any]) -> Learned:
        """Takes in the tool calls of the window's runs."""
        memory = Memory(state.get("memory"))
        known = lessons_of(window.documents)
        told = {name: dict(row) for name, row in state.get("lessons", {}).items()}
        days = {day: list(row) for day, row in state.get("days", {}).items()}
        for number, run in enumerate(window.runs):
            _watch(run, known, told, days)
            memory.take_in(run)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # answers go on meanwhile
        told = {name: row for name, row in told.items() if name in known}
        proposals = [*_wanted(memory, known, window.now), *_useless(known, told, window.now)]
        findings = [*_repeating(memory, state, window), *_helped(state, days, window)]
        kept = {
            "memory": memory.as_json(), "lessons": told, "said": _said(state, findings),
            "days": dict(sorted(days.items(), key=lambda one: int(one[0]))[-_MOST_DAYS:]),
        }  # fmt: skip
        return Learned(tuple(findings), tuple(proposals), kept)


@dataclass(frozen=True, slots=True)
class Known:
    """A lesson that is in force."""

    lesson: Lesson
    document: Document


def lessons_of(documents: Sequence[Document]) -> dict[str, Known]:
    """The lessons among documents, by name; one that cannot be read is none."""
    found = {}
    for document in documents:
        if document.kind != "lesson":
            continue
        try:
            lesson = parse_lesson(document.body, document.name)
        except InputError:
            continue
        found[document.name] = Known(lesson, document)
    return found


def _watch(
    run: Run,
    known: Mapping[str, Known],
    told: dict[str, dict[str, float]],
    days: dict[str, list[float]],
) -> None:
    """Count what became of calls that a lesson speaks of, since it is in force."""
    began = run.started_at
    for step in run.steps:
        seen = _became(step, in_control(run.run_id))
        if seen is None or began is None:
            continue
        speak = [
            name for name, one in known.items()
            if one.lesson.fits(step.name, step.arguments) and began >= one.document.created_at
            and one.document.audience in (PUBLIC, run.audience)
        ]  # fmt: skip
        for name in speak:
            row = told.setdefault(name, dict.fromkeys(_COUNTED, 0.0))
            row.update({key: row[key] + more for key, more in zip(_COUNTED, seen, strict=True)})
        if speak:  # a call is one call, however many lessons speak of it
            day = str(int(began // _DAY))
            before = days.get(day, [0.0] * len(_COUNTED))
            days[day] = [n + more for n, more in zip(before, seen, strict=True)]


def _became(step: Step, control: bool) -> tuple[float, ...] | None:
    """What became of a call, in the order of _COUNTED; None where it tells nothing."""
    if step.kind != "tool":
        return None
    if (step.error or "").startswith(NOT_CALLED):
        return 1.0, 0.0, 0.0, 0.0
    if not control or step.ok is None:
        return None
    failed = float(not step.ok)
    return 0.0, 1.0, failed, failed * (step.duration_ms or 0.0)


def _wanted(memory: Memory, known: Mapping[str, Known], now: float) -> Iterator[Proposal]:
    for (audience, tool), counts in memory.tools.items():
        for template, error in counts.errors.items():
            lesson = _lesson(tool, counts, template, error)
            if lesson is None:
                continue
            before = known.get(lesson.name)
            if before and (before.lesson.fix or not lesson.fix):
                continue  # what is in force already says what works
            yield _proposal(lesson, before, audience, counts, error, now)


def _lesson(tool: str, counts: ToolCounts, template: str, error: ErrorCounts) -> Lesson | None:
    """What there is to say of an error that keeps coming back."""
    if error.n < _LEAST_FAILURES or error.runs < _LEAST_RUNS or passing(template, error):
        return None
    fix = best_fix(error, least=_LEAST_FIXES, share=_FIX_SHARE)
    when = _telling(counts, error)
    if when is None and fix is None:
        return None
    return Lesson(tool=tool[:64], error=template[:300], when=when, fix=fix)


def _telling(counts: ToolCounts, error: ErrorCounts) -> str | None:
    """The feature of a call that best foretells the error, if one does.

    Where hardly any call of the tool goes well nothing can be told apart: then the tool is broken,
    and no lesson helps.
    """
    if counts.ok < _LEAST_RUNS:
        return None
    rates = []
    for feature, failed in _with_missing(counts, error).items():
        well = _well(counts, feature)
        sure = (failed + 1) / (failed + well + 2)
        if failed >= _LEAST_FAILURES and sure >= _SURE:
            rates.append((sure, failed, feature))
    return max(rates)[2][:160] if rates else None


def _with_missing(counts: ToolCounts, error: ErrorCounts) -> dict[str, float]:
    found = dict(error.features)
    for feature in counts.features:
        if feature.startswith("+"):
            missing = error.n - error.features.get(feature, 0)
            if missing > 0:
                found[f"-{feature[1:]}"] = missing
    return found


def _well(counts: ToolCounts, feature: str) -> float:
    if feature.startswith("-"):
        return counts.ok - counts.features.get(f"+{feature[1:]}", 0)
    return counts.features.get(feature, 0)


def _proposal(
    lesson: Lesson,
    before: Known | None,
    audience: str,
    counts: ToolCounts,
    error: ErrorCounts,
    now: float,
) -> Proposal:
    base = before.document.version if before else None
    changes = (Change("lesson", lesson.name, base, lesson.body(), audience),)
    share = error.n / counts.calls
    return Proposal(
        proposal_id=proposal_id_of(NAME, changes),
        learner=NAME,
        title=f"Remember how {lesson.tool} fails and what works",
        why=f"{round(error.n)} of {round(counts.calls)} calls failed so. {lesson.sentence()}",
        changes=changes,
        evidence={
            "runs": list(error.examples),
            "figures": {
                "failures": round(error.n),
                "calls of the tool": round(counts.calls),
                "share that failed": round(share, 3),
                "something else worked": round(sum(error.fixes.values()), 1),
            },
        },
        audience=audience,
        created_at=now,
        moved_at=now,
    )


def _useless(
    known: Mapping[str, Known], told: Mapping[str, Mapping[str, float]], now: float
) -> Iterator[Proposal]:
    """Lessons whose controls mostly go well: what they speak of works again."""
    for name, row in told.items():
        if row["control"] < _ENOUGH_CONTROLS:
            continue
        failing = row["control_failed"] / row["control"]
        if failing >= _HELPLESS:
            continue
        document = known[name].document
        changes = (Change("lesson", name, document.version, None, document.audience),)
        yield Proposal(
            proposal_id=proposal_id_of(NAME, changes),
            learner=NAME,
            title=f"Forget the lesson about {known[name].lesson.tool}",
            why=(
                f"Of {round(row['control'])} calls that were made although the lesson speaks "
                f"against them, only {round(row['control_failed'])} failed."
            ),
            changes=changes,
            evidence={"figures": {"calls tried": row["control"], "share that failed": failing}},
            audience=document.audience,
            created_at=now,
            moved_at=now,
        )


def _repeating(memory: Memory, state: Mapping[str, Any], window: Window) -> Iterator[Finding]:
    """Errors that keep coming, said once each time their number has doubled."""
    said = state.get("said", {})
    for (audience, tool), counts in memory.tools.items():
        for template, error in counts.errors.items():
            key = learning_id(NAME, audience, tool, template)
            if error.n < _NEWS or error.n < 2 * said.get(key, 0):
                continue
            passes = passing(template, error)
            yield Finding(
                finding_id=learning_id("finding", key, str(_doublings(error.n))),
                learner=NAME,
                kind="alert" if passes else "problem",
                title=f"{tool} keeps failing the same way",
                text=(
                    f"{round(error.n)} of {round(counts.calls)} calls failed with "
                    f"“{template[:160]}”. "
                    + ("It passes by itself." if passes else "It does not pass by itself.")
                ),
                data={
                    "key": key,
                    "figures": {"failures": round(error.n), "calls": round(counts.calls)},
                },
                runs=tuple(error.examples),
                audience=audience,
                created_at=window.now,
            )


def _doublings(number: float) -> int:
    return int(math.log2(max(number, 1)))


def _said(state: Mapping[str, Any], findings: Sequence[Finding]) -> dict[str, float]:
    said = dict(state.get("said", {}))
    for finding in findings:
        if "key" in finding.data:
            said[finding.data["key"]] = finding.data["figures"]["failures"]
    return dict(list(said.items())[-500:])


def _helped(
    state: Mapping[str, Any], days: Mapping[str, Sequence[float]], window: Window
) -> Iterator[Finding]:
    """What lessons were worth, said whenever as many calls again were not made."""
    before, now = prevented(state), prevented({"days": days})
    doubled = now.calls >= _NEWS and _doublings(now.calls) > _doublings(before.calls)
    if not doubled or now.failing is None:
        return
    yield Finding(
        finding_id=learning_id("finding", NAME, "helped", str(_doublings(now.calls))),
        learner=NAME,
        kind="lesson",
        title="Known mistakes were not repeated",
        text=(
            f"{now.calls} calls were not made because they were known to fail; of {now.controls} "
            f"that were made to see, {now.failing:.0%} failed. So about {now.repeats:.0f} failures "
            f"did not happen."
        ),
        data={
            "figures": {
                "calls not made": now.calls,
                "made to see": now.controls,
                "failures prevented (estimate)": round(now.repeats, 1),
                "minutes saved (estimate)": round(now.minutes, 1),
            }
        },
        created_at=window.now,
    )
