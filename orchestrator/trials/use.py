"""Whether a learned workflow or lesson is worth keeping: what its use shows beside going without.

A lesson is compared with the runs that were not told of it (the control share of error recovery),
drawn by chance. A workflow is compared with requests of the same kind that people made by hand
meanwhile: who uses it chooses to, so this is no experiment, and the reason says what was compared.
Both are looked at again and again, so what is shown is shown by betting (betting.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from agents.improvement.error_templates import ErrorTemplates
from agents.improvement.lessons import Lesson
from agents.tools.calling import NOT_CALLED
from database.learning import Observation, Trial
from database.records import Run, Step
from orchestrator.trials.betting import Floats
from orchestrator.trials.verification import (
    BACK_ALPHA,
    EXCLUDED,
    FALL,
    KEEP_ALPHA,
    Verified,
    shown,
)
from orchestrator.verifying import ENOUGH_USES

FEWEST_USES = 20
FEWEST_WITHOUT = 8
"""Before so many uses, and so many cases without, nothing is decided."""
UNUSED_SECONDS = 90 * 86_400.0
"""What nobody used for so long after it went live is retired as well: it can still be restored."""
MAY_LOSE = 0.05
"""A workflow that saves people requests may be right so much less often."""

Group = Literal["with", "without"]


def look(trial: Trial, observations: Sequence[Observation], now: float) -> Verified:
    """How a learned item does. `active` are outcomes with it, `candidate` those without.

    `figures["use"]` of the trial says what it is, `figures["saves"]` how many requests of a person
    each use spares.
    """
    kind = str(trial.figures.get("use", "runbook"))
    outcomes = [o for o in observations if o.aspect == "outcome"]
    having = np.array([o.active for o in outcomes if o.active is not None], dtype=np.float64)
    going = np.array([o.candidate for o in outcomes if o.candidate is not None], dtype=np.float64)
    uses = len({o.run_id for o in observations if o.active is not None})
    figures: dict[str, Any] = {"requests": len(outcomes), "uses": uses, "without": len(going)}
    figures |= _rates(having, going)
    if not uses and now - trial.started_at > UNUSED_SECONDS:
        days = UNUSED_SECONDS / 86_400
        return _retired(f"It was not used once in {days:.0f} days.", figures)
    if len(having) < FEWEST_USES:
        return Verified("wait", f"Used {uses} of at least {FEWEST_USES} times so far.", figures)
    if len(going) < FEWEST_WITHOUT:
        return _alone(kind, having, figures)
    may_lose = MAY_LOSE if trial.figures.get("saves") else 0.0
    beside = _beside(outcomes, rare="without" if kind == "lesson" else "with")
    return _decided(kind, having, going, beside, may_lose, figures)


def _decided(
    kind: str,
    having: Floats,
    going: Floats,
    beside: tuple[Floats, Floats],
    may_lose: float,
    figures: Mapping[str, Any],
) -> Verified:
    words, (new, old) = _words(kind, having, going), beside
    now, before = float(having.mean()), float(going.mean())
    if now <= (1.0 - FALL) * before and shown((1.0 - EXCLUDED) * old - new, BACK_ALPHA):
        return Verified("roll_back", f"It does harm: {words}.", figures)
    holds = now >= before - may_lose if may_lose else now > before
    enough = len(having) >= ENOUGH_USES
    if holds and (enough or shown(new - old + may_lose, KEEP_ALPHA)):
        return Verified("verified", f"It holds: {words}.", figures)
    if enough:
        return _retired(f"No positive effect: {words}.", figures)
    return Verified("wait", f"So far: {words}.", figures)


def _alone(kind: str, having: Floats, figures: Mapping[str, Any]) -> Verified:
    """Where hardly anybody goes without: a lesson waits for its control, a workflow by its use."""
    rate, n = float(having.mean()), len(having)
    words = f"{rate:.0%} of {n} uses went well; there is nothing yet to compare it with"
    if kind == "lesson" or n < ENOUGH_USES:
        return Verified("wait", f"So far: {words}.", figures)
    if rate > 0.5:
        return Verified("verified", f"It holds: {words}.", figures)
    return _retired(f"It does not help: {words}.", figures)


def _retired(reason: str, figures: Mapping[str, Any]) -> Verified:
    return Verified("roll_back", reason, {**figures, "retired": True})


def _rates(having: Floats, going: Floats) -> dict[str, float]:
    rates = {"rate_now": having, "rate_before": going}
    return {name: float(values.mean()) for name, values in rates.items() if values.size}


def _words(kind: str, having: Floats, going: Floats) -> str:
    now, before = float(having.mean()), float(going.mean())
    if kind == "lesson":
        return (
            f"calls went well in {now:.0%} of {len(having)} uses, and in {before:.0%} of "
            f"{len(going)} runs that were not told of it (one failure before counts half)"
        )
    return (
        f"{now:.0%} of {len(having)} uses went well, and {before:.0%} of {len(going)} such "
        "requests without it"
    )


def _beside(outcomes: Sequence[Observation], rare: Group) -> tuple[Floats, Floats]:
    """With and without, side by side: each of the rarer kind with the mean of the others since the
    one before, so that nothing is counted twice.
    """
    new: list[float] = []
    old: list[float] = []
    since: list[float] = []
    for o in outcomes:
        value, group = _value(o)
        if group != rare:
            since.append(value)
        elif since:
            mean = sum(since) / len(since)
            new.append(value if rare == "with" else mean)
            old.append(mean if rare == "with" else value)
            since.clear()
    return np.array(new, dtype=np.float64), np.array(old, dtype=np.float64)


def _value(o: Observation) -> tuple[float, Group]:
    return (o.active, "with") if o.active is not None else (o.candidate or 0.0, "without")


# What one run says of a lesson


def met(run: Run, lesson: Lesson, templates: ErrorTemplates) -> float | None:
    """How a run fared where a lesson speaks of one of its calls; None where it speaks of none.

    1 where such a call went well in the end and none failed on the way, a half after a failure, 0
    where none went well. `templates` knows the lesson's error.
    """
    steps = [step for step in run.steps if step.kind == "tool"]
    start = _start(steps, lesson, templates)
    if start is None:
        return None
    instead = lesson.fix.names if lesson.fix and lesson.fix.kind == "instead" else ()
    made = [s for s in steps[start:] if s.name in (lesson.tool, *instead) and not _spared(s)]
    well = next((at for at, step in enumerate(made) if step.ok), None)
    if well is None or run.error is not None:
        return 0.0
    return 0.5 if well else 1.0


def _start(steps: Sequence[Step], lesson: Lesson, templates: ErrorTemplates) -> int | None:
    """From where on the lesson could help: the call that it foresees, or after the failure."""
    for at, step in enumerate(steps):
        if lesson.fits(step.name, step.arguments):
            return at
        failed = lesson.when is None and step.name == lesson.tool and step.ok is False
        if failed and templates.match(step.error or "") == lesson.error:
            return at + 1
    return None


def _spared(step: Step) -> bool:
    """Whether a call was not made because it is known to fail."""
    return (step.error or "").startswith(NOT_CALLED)
