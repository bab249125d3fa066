"""What is wrong with an agent: worse than its past, than the version before, or than its peers.

All comparisons are between sums, with intervals at a level that suits many agents; what could be
chance is no problem. They are no proof of a cause: requests change, too. A trial proves.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from agents.improvement.intervals import difference, wilson
from agents.improvement.tallies import DAYS, Cell, Tallies, Tally
from database.records import PUBLIC

Severity = Literal["low", "medium", "high"]
ProblemKind = Literal["success", "version", "peers", "errors", "slower", "dearer", "ratings"]

RECENT = 7
"""Days that are held against those before."""

Z = 3.0
"""99.7%: about one false alarm in 700 one-sided looks at an agent that does as always."""

_LEAST = 20.0
_HIGH, _MEDIUM = 0.2, 0.1
_ERRORS = 0.05
_SLOWER = 1.25
_SEVERITIES: tuple[tuple[float, Severity], ...] = ((_HIGH, "high"), (_MEDIUM, "medium"))


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `by` is how much worse at least (a share, or a ratio less 1).

    `now` and `then` are what is compared, `n` and `n_then` on how much it rests.
    """

    kind: ProblemKind
    agent: str
    task_type: str | None
    severity: Severity
    says: str
    plan: str
    by: float
    now: float
    then: float
    n: float
    n_then: float


def problems(tallies: Tallies, today: int, audiences: Mapping[str, str]) -> Iterator[Problem]:
    """All that is wrong, the worst first. `today` is in days since the epoch.

    `audiences` are those of all agents: nobody is compared with one that not all may know of.
    """
    found = [
        problem
        for agent, total in tallies.sums().items()
        for problem in _of_agent(tallies, agent, total, today)
        if problem is not None
    ]
    found += [*_versions(tallies), *_peers(tallies, audiences)]
    order: list[Severity] = ["high", "medium", "low"]
    yield from sorted(found, key=lambda one: (order.index(one.severity), -one.by))


def _of_agent(tallies: Tallies, agent: str, total: Tally, today: int) -> Iterator[Problem | None]:
    now = tallies.over(agent, today - RECENT + 1, today + 1)
    then = tallies.over(agent, today - DAYS + 1, today - RECENT + 1)
    yield _success(agent, now, then)
    yield _ratings(agent, now, then)
    yield _errors(agent, now if now.runs >= _LEAST else total)
    yield _ratio("slower", agent, _times(now), _times(then))
    yield _ratio("dearer", agent, _costs(now), _costs(then))


def _success(agent: str, now: Tally, then: Tally) -> Problem | None:
    by = _fell(now.good, now.judged, then.good, then.judged)
    if by is None:
        return None
    shares = now.good / now.judged, then.good / then.judged
    says = (
        f"In the last {RECENT} days {shares[0]:.0%} of {now.judged:.0f} judged answers were good; "
        f"in the weeks before it was {shares[1]:.0%} of {then.judged:.0f}."
    )
    plan = "Look at what changed that week: its version, the model, or what people ask for."
    return Problem(
        "success", agent, None, _severity(by), says, plan, by, *shares, now.judged, then.judged
    )


def _ratings(agent: str, now: Tally, then: Tally) -> Problem | None:
    n, n_then = now.up + now.down, then.up + then.down
    by = _fell(now.up, n, then.up, n_then)
    if by is None:
        return None
    says = (
        f"In the last {RECENT} days {now.up / n:.0%} of {n:.0f} ratings were thumbs up; before it "
        f"was {then.up / n_then:.0%} of {n_then:.0f}."
    )
    plan = "Read the reasons that people gave, and answer some of these requests again."
    return Problem(
        "ratings", agent, None, _severity(by), says, plan, by, now.up / n, then.up / n_then,
        n, n_then,
    )  # fmt: skip


def _errors(agent: str, seen: Tally) -> Problem | None:
    if seen.runs < _LEAST:
        return None
    low = wilson(seen.failed, seen.runs, Z)[0]
    if low < _ERRORS:
        return None
    share = seen.failed / seen.runs
    says = f"{share:.0%} of {seen.runs:.0f} runs ended in an error."
    plan = "Ask the error recovery learner which errors these are; name a fallback agent."
    return Problem(
        "errors", agent, None, _severity(low), says, plan, low, share, _ERRORS, seen.runs, 0.0
    )


@dataclass(frozen=True, slots=True)
class _Amounts:
    """Typical, with its standard error on a logarithmic scale."""

    n: float
    typical: float
    error: float


def _times(tally: Tally) -> _Amounts | None:
    if tally.timed < _LEAST:
        return None
    mean = tally.log_ms / tally.timed
    spread = max(0.0, tally.log_ms_squared / tally.timed - mean * mean)
    return _Amounts(tally.timed, math.exp(mean) / 1000, math.sqrt(spread / tally.timed))


def _costs(tally: Tally) -> _Amounts | None:
    mean = tally.mean_usd
    if tally.priced < _LEAST or not mean:
        return None
    spread = max(0.0, tally.usd_squared / tally.priced - mean * mean)
    return _Amounts(tally.priced, mean, math.sqrt(spread / tally.priced) / mean)


def _ratio(
    kind: Literal["slower", "dearer"], agent: str, now: _Amounts | None, then: _Amounts | None
) -> Problem | None:
    """A quarter more at least, beyond chance."""
    if now is None or then is None:
        return None
    ratio = now.typical / then.typical
    sure = ratio * math.exp(-Z * math.hypot(now.error, then.error))
    if sure < _SLOWER:
        return None
    unit = "takes {:.1f} seconds" if kind == "slower" else "costs ${:.4f}"
    says = (
        f"An answer {unit.format(now.typical)}, {ratio:.1f} times as much as in the weeks before "
        f"({unit.format(then.typical).partition(' ')[2]})."
    )
    plan = (
        "Look at which step takes longer (the workflow analyst tells bottlenecks)."
        if kind == "slower"
        else "Look at whether it reads or writes more, calls more tools, or has another model."
    )
    severity: Severity = "medium" if sure >= 2 else "low"
    return Problem(
        kind, agent, None, severity, says, plan, sure - 1, now.typical, then.typical, now.n, then.n
    )


def _versions(tallies: Tallies) -> Iterator[Problem]:
    """Versions that do worse at the same kind of request than the one before."""
    latest: dict[tuple[str, str | None], list[tuple[Cell, Tally]]] = {}
    for cell, tally in tallies.cells.items():  # the one used last is the last
        latest.setdefault((cell[0], cell[2]), []).append((cell, tally))
    for (agent, kind), rows in latest.items():
        if len(rows) < 2:
            continue
        (_, then), (cell, now) = rows[-2:]
        if tallies.habits.get(agent) is None or tallies.habits[agent].version != cell[1]:
            continue
        by = _fell(now.good, now.judged, then.good, then.judged)
        if by is None:
            continue
        shares = now.good / now.judged, then.good / then.judged
        says = (
            f"Its version {cell[1]} is right in {shares[0]:.0%} of {now.judged:.0f} judged answers"
            f"{_for(kind)}, the one before it was in {shares[1]:.0%} of {then.judged:.0f}."
        )
        plan = "Go back to the version before, if nothing else speaks for this one."
        yield Problem(
            "version", agent, kind, _severity(by), says, plan, by, *shares, now.judged, then.judged
        )


def _peers(tallies: Tallies, audiences: Mapping[str, str]) -> Iterator[Problem]:
    """Agents that do worse at a kind of request than the others that answer it do together."""
    for kind, agents in tallies.by_kind():
        for agent, own in agents.items():
            known = (PUBLIC, audiences[agent])
            others = [
                (name, one)
                for name, one in agents.items()
                if name != agent and one.judged and audiences[name] in known
            ]
            good, judged = sum(o.good for _, o in others), sum(o.judged for _, o in others)
            by = _fell(own.good, own.judged, good, judged)
            if by is None or by < _MEDIUM:
                continue
            name, best = max(others, key=lambda one: wilson(one[1].good, one[1].judged)[0])
            says = (
                f"It is right in {own.good / own.judged:.0%} of {own.judged:.0f} judged answers"
                f"{_for(kind)}; other agents are in {good / judged:.0%} of {judged:.0f}."
            )
            plan = (
                f"Let {name} answer these: it was right in {best.good / best.judged:.0%} of "
                f"{best.judged:.0f}."
            )
            yield Problem(
                "peers", agent, kind, _severity(by), says, plan, by, own.good / own.judged,
                good / judged, own.judged, judged,
            )  # fmt: skip


def _for(kind: str | None) -> str:
    return f" to requests of {kind}" if kind else ""


def _fell(good: float, n: float, good_then: float, n_then: float) -> float | None:
    """By how much a share is lower at least; None where it may be none the lower."""
    if n < _LEAST or n_then < _LEAST:
        return None
    high = difference(good, n, good_then, n_then, Z)[1]
    return -high if high < 0 else None


def _severity(by: float) -> Severity:
    return next((severity for least, severity in _SEVERITIES if by >= least), "low")
