"""The workflow analyst: what people and agents do again and again, and what slows them down.

Patterns are sequences of tools inside runs, and of requests that a person makes within hours. A
strong one becomes a drafted runbook. Steps that take most of the time and steps that need not wait
for each other are told; kinds of requests that nobody is for become proposed specialists (gaps.py).
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from agents.drafting import ShapedModels, free_name
from agents.improvement.gaps import Gaps, found_gaps
from agents.improvement.judged import went_well
from agents.improvement.learner import Learned, Window
from agents.improvement.patterns import Kind, Occurrence, Pattern, Patterns
from agents.improvement.run_shapes import Bottleneck, Shapes, Waiting
from agents.improvement.runbook_drafts import guided, name_for, replayed
from agents.improvement.sequences import folded, occurs
from database.learning import Change, Finding, Proposal, Strength, learning_id
from database.records import PUBLIC, Run, one_person

NAME = "workflow-analyst"

SITTING = timedelta(hours=4).total_seconds()
"""Requests of a person with less between them belong together."""

_LONGEST = 30
_DRAFTED = 500
"""Patterns of which it is remembered at what support a runbook was drafted; at twice that, anew."""
_STRONG: frozenset[Strength] = frozenset({"strong", "very strong"})
_KINDS: tuple[Kind, Kind] = ("steps", "requests")


class WorkflowAnalyst:
    """What it remembers holds names and ids, and no texts.

    It needs no model; where there is one, it drafts new specialists.
    """

    name = NAME
    about = "Finds what people and agents do again and again, and drafts runbooks of it."
    cron = "10 */6 * * *"
    threshold = 50

    def __init__(self, models: ShapedModels | None = None) -> None:
        self._models = models

    async def learn(self, window: Window, state: Mapping[str, Any]) -> Learned:
        """Takes in the runs of the window; those that made others' answers are left out."""
        # In a thread, as it takes a tenth of a second: replies go on meanwhile.
        learned = await asyncio.to_thread(_without_gaps, window, state)
        gaps, missing, specialists = await self._gaps(window, state)
        return Learned(
            (*learned.findings, *missing),
            (*learned.proposals, *specialists),
            {**learned.state, "gaps": gaps.as_json()},
        )

    async def _gaps(
        self, window: Window, state: Mapping[str, Any]
    ) -> tuple[Gaps, list[Finding], list[Proposal]]:
        gaps = Gaps(state.get("gaps"))
        for run in window.runs:
            gaps.take_in(run, window.feedback.get(run.run_id, ()))
        for run in window.older:
            gaps.judge(run, window.feedback.get(run.run_id, ()))
        return gaps, *await found_gaps(gaps, window, self._models)


def _without_gaps(window: Window, state: Mapping[str, Any]) -> Learned:
    """Patterns, runbooks and what slows runs down."""
    runs = [run for run in window.runs if run.kind in ("reply", "task")]
    now, shapes = window.now, Shapes(state.get("shapes"))
    for run in runs:
        shapes.take_in(run)
    seen = {"steps": _of_steps(runs, window), "requests": _of_requests(runs, window)}
    patterns = {kind: Patterns(kind, state.get(kind)) for kind in _KINDS}
    later = _said_later(window)
    findings: list[Finding] = []
    proposals: list[Proposal] = []
    drafted: dict[str, list[Any]] = dict(state.get("drafted", {}))
    for kind in _KINDS:
        patterns[kind].judge(later)
        patterns[kind].take_in(seen[kind])
        findings += [_told(p, patterns[kind], now) for p in patterns[kind].worth_telling()]
        for pattern in patterns[kind].known.values():
            if pattern.n < 2 * drafted.get(_runbook_id(pattern), [0])[0]:
                continue
            taken = {name for _, name in drafted.values()} | _workflows(window)
            for made in _runbooks(pattern, patterns[kind], seen[kind], window, taken):
                drafted[made.proposal_id] = [pattern.n, made.changes[0].name]
                proposals.append(made)
    findings += _slow(shapes, window)
    told, said = _untold(findings, state.get("said", {}))
    kept: dict[str, Any] = {kind: patterns[kind].as_json() for kind in _KINDS}
    return Learned(
        tuple(told),
        tuple(proposals),
        {**kept, "shapes": shapes.as_json(), "said": said, "drafted": _last(drafted)},
    )


# What was seen


def _of_steps(runs: Sequence[Run], window: Window) -> list[Occurrence]:
    found = []
    for run in runs:
        tools = folded([step.name for step in run.steps if step.kind == "tool"])
        well = went_well(run, window.feedback.get(run.run_id, ()))
        found.append(
            Occurrence(
                tools[:_LONGEST], (run.run_id,), run.user_id, run.audience, well,
                (run.duration_ms or 0.0) / 1000,
            )
        )  # fmt: skip
    return found


def _said_later(window: Window) -> dict[str, bool]:
    """How runs of earlier windows went, that something was said of since."""
    words = {
        run.run_id: went_well(run, window.feedback.get(run.run_id, ())) for run in window.older
    }
    return {run_id: well for run_id, well in words.items() if well is not None}


def _of_requests(runs: Sequence[Run], window: Window) -> list[Occurrence]:
    found = []
    answers = {_goal_of(run): run for run in runs if _is_answer(run)}
    for sitting in _sittings(runs):
        last = answers.get(_goal_of(sitting[0]))  # what people say of a goal, they say of its end
        judged_by = [*sitting, *((last,) if last else ())]
        words = [went_well(run, window.feedback.get(run.run_id, ())) for run in judged_by]
        judged = [word for word in words if word is not None]
        found.append(
            Occurrence(
                folded([_asked(run) for run in sitting])[:_LONGEST],
                tuple(run.run_id for run in sitting),
                sitting[0].user_id,
                _audience(sitting),
                all(judged) if judged else None,
                sum(run.duration_ms or 0.0 for run in sitting) / 1000,
                last.run_id if last else "",
            )
        )
    return found


def _sittings(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """The replies of each person that lie close together in time, oldest first; steps of plans."""
    by_person: dict[str, list[Run]] = {}
    for run in runs:
        if run.kind == "reply" and not _goal_of(run) and run.user_id and run.started_at is not None:
            by_person.setdefault(run.user_id, []).append(run)
    yield from _plans(runs)
    for theirs in by_person.values():
        sitting: list[Run] = []
        for run in sorted(theirs, key=lambda run: run.started_at or 0.0):
            if sitting and (run.started_at or 0.0) - (sitting[-1].started_at or 0.0) > SITTING:
                yield sitting
                sitting = []
            sitting.append(run)
        yield sitting


def _plans(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """The steps of each goal that came to an answer, in their order; the answer is not one."""
    answered = {_goal_of(run) for run in runs if _is_answer(run)}
    steps: dict[str, dict[str, Run]] = {}
    for run in runs:
        route = run.route or {}
        if run.kind == "task" and run.error is None and route.get("task") != "answer":
            steps.setdefault(_goal_of(run), {})[str(route.get("task"))] = run
    for goal, tasks in steps.items():
        if goal in answered and len(tasks) > 1:
            yield sorted(tasks.values(), key=lambda run: int((run.route or {}).get("number", 0)))


def _goal_of(run: Run) -> str:
    """The goal whose plan, step or answer it is; '' for none."""
    return str((run.route or {}).get("goal") or "")


def _is_answer(run: Run) -> bool:
    route = run.route or {}
    return bool(_goal_of(run)) and run.kind == "reply" and route.get("state") == "done"


def _audience(sitting: Sequence[Run]) -> str:
    """Who may see all of it; what lies in several private places is its person's alone."""
    private = {run.audience for run in sitting} - {PUBLIC}
    if len(private) > 1:
        return one_person(str(sitting[0].user_id))
    return private.pop() if private else PUBLIC


def _asked(run: Run) -> str:
    """What kind of request it was: who answered, and its type."""
    return f"{run.agent}/{run.task_type}" if run.task_type else run.agent


# What is said of it


def _told(pattern: Pattern, among: Patterns, now: float) -> Finding:
    low, high = pattern.success
    data: dict[str, Any] = {
        "support": pattern.n,
        "people": len(pattern.people),
        "judged": pattern.judged,
    }
    if pattern.judged:
        data |= {"success": pattern.good / pattern.judged, "low": low, "high": high}
        data["success_of_all"] = among.good / among.judged
    if pattern.seconds:
        data["seconds"] = pattern.seconds / pattern.n
    # Of a mixed pattern only the counts may be told.
    shown = {} if pattern.mixed else {"sequence": list(pattern.items)}
    return Finding(
        finding_id=_finding_id("pattern", pattern.kind, *pattern.items),
        learner=NAME,
        kind="pattern",
        title=_title(pattern),
        text=_words(pattern, among),
        data=data | shown,
        runs=() if pattern.mixed else tuple(pattern.runs),
        strength=pattern.strength,
        audience=pattern.audience,
        created_at=now,
    )


def _title(pattern: Pattern) -> str:
    if pattern.mixed:
        return "The same is done again and again, in several private places"
    steps = " → ".join(item.partition("/")[0] for item in pattern.items)
    doing = "Agents work in the same order" if pattern.kind == "steps" else "People ask in a row"
    return f"{doing}: {steps}"


def _words(pattern: Pattern, among: Patterns) -> str:
    what = "runs" if pattern.kind == "steps" else "sittings"
    people = len(pattern.people)
    spread = f" of {people} {'person' if people == 1 else 'people'}" if people else ""
    low, high = pattern.success
    if not pattern.judged:
        return f"Seen in {pattern.n} {what}{spread}. Nobody has said how they went."
    share, of_all = pattern.good / pattern.judged, among.good / among.judged
    beside = "worse" if high < of_all else "better" if low > of_all else "about as well"
    return (
        f"Seen in {pattern.n} {what}{spread}. {pattern.good} of {pattern.judged} judged ones went "
        f"well: {share:.0%} (95%: {low:.0%} to {high:.0%}), {beside} "
        f"{'as' if beside.startswith('about') else 'than'} all that were judged ({of_all:.0%})."
    )


def _slow(shapes: Shapes, window: Window) -> Iterator[Finding]:
    """What slows agents down, for those who may know of them."""
    agents = {d.name: d for d in window.documents if d.kind == "agent" and d.active}

    def readers(agent: str) -> str:
        return shapes.audience_of(agent, agents.get(agent))

    for slow in shapes.bottlenecks():
        if audience := readers(slow.agent):
            yield _bottleneck(slow, audience, window.now)
    for waits in shapes.waiting():
        if audience := readers(waits.agent):
            yield _parallel(waits, audience, window.now)


def _bottleneck(found: Bottleneck, audience: str, now: float) -> Finding:
    return Finding(
        finding_id=_finding_id("bottleneck", found.agent, found.step),
        learner=NAME,
        kind="bottleneck",
        title=f"{found.agent} spends most of its time in {found.step}",
        text=(
            f"In {found.runs} runs it takes {found.share:.0%} of the time of all steps, "
            f"{found.seconds:.1f} seconds each time."
        ),
        data={
            "figures": {
                "share of the time": round(found.share, 3),
                "seconds each": round(found.seconds, 2),
                "runs": found.runs,
            }
        },
        audience=audience,
        created_at=now,
    )


def _parallel(found: Waiting, audience: str, now: float) -> Finding:
    return Finding(
        finding_id=_finding_id("parallel", found.agent, found.first, found.second),
        learner=NAME,
        kind="bottleneck",
        title=f"{found.agent} could call {found.first} and {found.second} at the same time",
        text=(
            f"In {found.runs} of {found.of} runs {found.second} was called after {found.first} "
            "with nothing but what stood in the request. If neither changes anything, a run "
            f"would save about {found.seconds:.1f} seconds."
        ),
        data={
            "figures": {
                "runs": found.runs,
                "of": found.of,
                "seconds saved a run": round(found.seconds, 2),
            }
        },
        audience=audience,
        created_at=now,
    )


def _untold(
    findings: Sequence[Finding], said: Mapping[str, str]
) -> tuple[list[Finding], dict[str, str]]:
    """Bottlenecks are told once; patterns whenever they grew."""
    told = [f for f in findings if f.kind == "pattern" or f.finding_id not in said]
    once = {f.finding_id: f.kind for f in findings if f.kind != "pattern"}
    return told, {**said, **once}


def _finding_id(*parts: str) -> str:
    return learning_id("finding", NAME, *parts)


# What is made of it


def _runbooks(
    pattern: Pattern,
    among: Patterns,
    seen: Sequence[Occurrence],
    window: Window,
    taken: Collection[str],
) -> Iterator[Proposal]:
    """A runbook of a strong pattern, from the latest time that it went well."""
    if pattern.mixed or pattern.strength not in _STRONG:
        return
    known = {run.run_id: run for run in window.runs}
    items = tuple(pattern.items)
    for one in reversed(seen):
        if one.success is False or not occurs(items, one.items):
            continue
        runs = [known[run_id] for run_id in one.runs]
        if all(run.audience in (PUBLIC, pattern.audience) and run.request for run in runs):
            yield _runbook(pattern, among, runs, window, taken)
            return


def _runbook_id(pattern: Pattern) -> str:
    return learning_id("runbook", NAME, pattern.kind, *pattern.items)


def _last(drafted: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    return dict(list(drafted.items())[-_DRAFTED:])


def _workflows(window: Window) -> set[str]:
    """The names of those there are, as their readers call them."""
    return {d.name.partition("@")[0] for d in window.documents if d.kind == "runbook"}


def _runbook(
    pattern: Pattern,
    among: Patterns,
    runs: Sequence[Run],
    window: Window,
    taken: Collection[str],
) -> Proposal:
    if pattern.kind == "steps":
        runs = runs[:1]
        body = guided(runs[0], pattern.items)
    else:
        runs = _following(pattern.items, runs)
        body = replayed(runs)
    wanted = free_name(name_for(body), taken)
    changes = (Change("runbook", wanted, None, body, pattern.audience),)
    low, high = pattern.success
    return Proposal(
        # By the pattern and not by the words of its latest occurrence: one pattern, one proposal.
        proposal_id=_runbook_id(pattern),
        learner=NAME,
        title=f"Keep what people do again and again as the workflow {wanted}",
        why=f"{_title(pattern)}. {_words(pattern, among)}",
        changes=changes,
        evidence={
            "runs": [run.run_id for run in runs],
            "figures": {
                "times seen": pattern.n,
                "people": len(pattern.people),
                "went well": f"{pattern.good} of {pattern.judged}",
                "between": f"{low:.0%} and {high:.0%}",
                "strength": pattern.strength,
            },
        },
        audience=pattern.audience,
        created_at=window.now,
        moved_at=window.now,
    )


def _following(items: Sequence[str], runs: Sequence[Run]) -> list[Run]:
    """The requests that make up the pattern, in its order."""
    found: list[Run] = []
    for run in runs:
        if len(found) < len(items) and _asked(run) == items[len(found)]:
            found.append(run)
    return found
