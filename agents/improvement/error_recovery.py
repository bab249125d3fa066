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
from database.records import PUBLIC, Document, Run

NAME = "error-recovery"

CONTROL_SHARE = 0.1
"""Share of runs that are told of no lesson, so that it can be known what lessons are worth."""

_LEAST_FAILURES = 3
_LEAST_RUNS = 2
_LEAST_FIXES = 1.5
_FIX_SHARE = 0.2
_SURE = 0.8
"""A call is foreseen to fail where of (failures + 1) in (calls + 2) at least so many would."""

_AT_ONCE = 20
"""Runs that are counted without a pause: some milliseconds."""

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

    `failing` is the share of the control's calls that failed, None before there were any;
    `repeats` and `minutes` are estimates: calls not made times that share, and the time that the
    failures of the control took.
    """

    calls: int
    controls: int
    failing: float | None
    repeats: float
    minutes: float


def prevented(state: Mapping[str, Any]) -> Prevented:
    """What the learner's state says of all lessons together."""
    rows = list(state.get("lessons", {}).values())
    calls, controls = (sum(int(row[key]) for row in rows) for key in ("kept", "control"))
    failed = sum(int(row["control_failed"]) for row in rows)
    took = sum(float(row["ms"]) for row in rows)
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
        for number, run in enumerate(window.runs):
            _watch(run, known, told)
            memory.take_in(run)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # answers go on meanwhile
        told = {name: row for name, row in told.items() if name in known}
        proposals = [*_wanted(memory, known, window.now), *_useless(known, told, window.now)]
        findings = [*_repeating(memory, state, window), *_helped(state, told, window)]
        kept = {"memory": memory.as_json(), "lessons": told, "said": _said(state, findings)}
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


def _watch(run: Run, known: Mapping[str, Known], told: dict[str, dict[str, float]]) -> None:
    """Count what became of calls that a lesson in force speaks of."""
    control = in_control(run.run_id)
    for step in run.steps:
        if step.kind != "tool":
            continue
        for name, one in known.items():
            if not one.lesson.fits(step.name, step.arguments):
                continue
            if one.document.audience not in (PUBLIC, run.audience):
                continue
            row = told.setdefault(name, {"kept": 0, "control": 0, "control_failed": 0, "ms": 0.0})
            if (step.error or "").startswith(NOT_CALLED):
                row["kept"] += 1
            elif control and step.ok is not None:
                row["control"] += 1
                row["control_failed"] += not step.ok
                row["ms"] += (step.duration_ms or 0.0) if not step.ok else 0.0


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
    state: Mapping[str, Any], told: Mapping[str, Mapping[str, float]], window: Window
) -> Iterator[Finding]:
    """What lessons were worth, said whenever as many calls again were not made."""
    before, now = prevented(state), prevented({"lessons": told})
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
