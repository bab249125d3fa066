"""The agent performance analyst: how each agent does, what is wrong, and what may help.

Success, cost, time and satisfaction are compared by agent, version and kind of request with the
agent's own past and with its peers. Problems are told with a plan, and where a rule knows a change
that may help it is proposed.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from agents.definition import DefinitionError, parse_definition
from agents.improvement.agent_changes import (
    Agent,
    Names,
    Suggestion,
    near_equal,
    suggestions,
)
from agents.improvement.gaps import kinds_with_answers
from agents.improvement.health import Health, health
from agents.improvement.learner import Learned, Window
from agents.improvement.problems import Problem, problems
from agents.improvement.splitting import splits
from agents.improvement.tallies import DAYS, Habits, Tallies, Tally
from agents.improvement.trends import Ahead, Day, ahead
from agents.variants import variant_of
from database.learning import Finding, Proposal, learning_id, proposal_id_of
from database.records import PUBLIC, Document

NAME = "agent-performance-analyst"

MAY_LOSE = 0.05
"""What should be cheaper counts as equally good when it loses fewer right answers than this."""

_DAY = 86_400
_MOST_TOLD = 12
_MOST_SAID = 500
_LEAST_MOVE = 0.05


class AgentPerformanceAnalyst:
    """Asks no model; `names` tells what is behind `strong` and `fast`, where that is known."""

    name = NAME
    about = "Compares agents with their past and their peers, and suggests what may help."
    cron = "20 */2 * * *"
    threshold = 40

    def __init__(self, names: Names | None = None) -> None:
        self._names = names

    async def learn(self, window: Window, state: Mapping[str, Any]) -> Learned:
        """Takes in the runs of the window; what made others' answers is left out."""
        # In a thread, as agents are compared by meaning: replies go on meanwhile.
        return await asyncio.to_thread(self._learned, window, state)

    def _learned(self, window: Window, state: Mapping[str, Any]) -> Learned:
        agents = _agents(window.documents)
        tallies = Tallies(state.get("tallies"))
        _take_in(tallies, window, agents)
        today = int(window.now // _DAY)
        audiences = {n: tallies.audience_of(n, agents.get(n)) for n in tallies.agents()}
        found = list(problems(tallies, today, audiences))
        told: list[Told] = [
            (_problem_id(p), p.severity, _problem(p, audiences, window)) for p in found
        ]
        told += _trends(tallies, audiences, window)
        told = [one for one in told if one[-1].audience]
        findings, said = _untold(told, state.get("said", {}))
        week = str(datetime.fromtimestamp(window.now, UTC).isocalendar()[:2])
        if state.get("week") != week:
            findings += _healths(tallies, audiences, window)
        known = _known(agents, tallies)
        suggested = list(self._suggested(known, tallies, found))
        told_kinds = kinds_with_answers(window)
        parts, split = splits(known, tallies, window.runs, told_kinds, state.get("split", {}))
        proposals = [_proposal(one, audiences, window) for one in (*suggested, *parts)]
        kept = {"tallies": tallies.as_json(), "said": said, "week": week, "split": split}
        return Learned(tuple(findings), tuple(proposals), kept)

    def _suggested(
        self, known: Sequence[Agent], tallies: Tallies, found: Sequence[Problem]
    ) -> Iterator[Suggestion]:
        for agent in known:
            theirs = [problem for problem in found if problem.agent == agent.document.name]
            yield from suggestions(agent, theirs, self._names)
        yield from near_equal(known, tallies)


def standings(state: Mapping[str, Any]) -> Mapping[str, Health]:
    """How healthy each agent is, by the analyst's state; those of private places are not in it."""
    tallies = Tallies(state.get("tallies"))
    return _health_of(
        {n: tally for n, tally in tallies.sums().items() if tallies.audience_of(n) == PUBLIC}
    )


def _health_of(sums: Mapping[str, Tally]) -> Mapping[str, Health]:
    everybody = Tally()
    for tally in sums.values():
        everybody.add(tally)
    scored = {name: health(tally, everybody) for name, tally in sums.items()}
    return {name: score for name, score in scored.items() if score is not None}


# What is taken in


def _agents(documents: Sequence[Document]) -> dict[str, Document]:
    """Agents by name, without variants: their runs are their agent's."""
    agents = (d for d in documents if d.kind == "agent" and d.active)
    return {document.name: document for document in agents if variant_of(document.name) is None}


def _known(agents: Mapping[str, Document], tallies: Tallies) -> list[Agent]:
    """Agents as the rules see them; one that cannot be read is none."""
    known = []
    for name, document in agents.items():
        habits = tallies.habits.get(name)
        if habits is None or habits.version != document.version:
            habits = Habits(document.version)
        try:
            definition = parse_definition(document.body, f"agent {name}")
        except DefinitionError:
            continue
        known.append(Agent(document, definition, habits))
    return known


def _take_in(tallies: Tallies, window: Window, agents: Mapping[str, Document]) -> None:
    for run in window.runs:
        if run.kind in ("reply", "task"):
            document = agents.get(run.agent)
            most = document.body.get("max_tokens") if document else None
            tallies.take_in(run, window.feedback.get(run.run_id, ()), most)
    for run in window.older:
        if run.kind in ("reply", "task"):
            tallies.judge(run, window.feedback.get(run.run_id, ()))


# What is said of it

Told = tuple[str, str, Finding]
"""The id of a finding, what makes it worth telling again, and the finding."""


def _untold(found: Sequence[Told], said: Mapping[str, str]) -> tuple[list[Finding], dict[str, str]]:
    """What was not said before, or was less grave; the rest waits for the next cycle."""
    new = [one for one in found if said.get(one[0]) != one[1]][:_MOST_TOLD]
    now = {key: said[key] for key, _, _ in found if key in said}
    now |= {key: grave for key, grave, _ in new}
    return [finding for _, _, finding in new], dict(list(now.items())[-_MOST_SAID:])


def _problem_id(problem: Problem) -> str:
    return learning_id(
        "finding", NAME, problem.kind, problem.agent, problem.task_type or "",
    )  # fmt: skip


_TITLES: Mapping[str, str] = {
    "success": "{agent} is right less often than it was",
    "version": "{agent} is right less often than its version before{kind}",
    "peers": "{agent} is right less often than other agents{kind}",
    "errors": "{agent} ends in errors too often",
    "slower": "{agent} has become slower",
    "dearer": "{agent} has become dearer",
    "ratings": "{agent} pleases people less than it did",
}


def _problem(problem: Problem, audiences: Mapping[str, str], window: Window) -> Finding:
    kind = f" at requests of {problem.task_type}" if problem.task_type else ""
    return Finding(
        finding_id=_problem_id(problem),
        learner=NAME,
        kind="problem",
        title=_TITLES[problem.kind].format(agent=problem.agent, kind=kind),
        text=f"{problem.says} {problem.plan}",
        data={
            "severity": problem.severity,
            "plan": problem.plan,
            "figures": {
                "now": round(problem.now, 4),
                "before or beside": round(problem.then, 4),
                "rests on": round(problem.n),
                "and on": round(problem.n_then),
                "worse by at least": round(problem.by, 3),
            },
        },
        audience=audiences[problem.agent],
        created_at=window.now,
    )


def _trends(tallies: Tallies, audiences: Mapping[str, str], window: Window) -> list[Told]:
    oldest = int(window.now // _DAY) - DAYS
    found = []
    for agent, by_day in tallies.days.items():
        theirs = [
            Day(day, tally.judged, tally.good)
            for day, tally in sorted(by_day.items())
            if tally.judged and day > oldest
        ]
        line = ahead(theirs)
        if line is not None and line.sure and abs(line.then - line.now) >= _LEAST_MOVE:
            finding = _trend(agent, line, theirs, audiences[agent], window)
            found.append((finding.finding_id, "up" if line.per_week > 0 else "down", finding))
    return found


def _trend(agent: str, line: Ahead, days: Sequence[Day], audience: str, window: Window) -> Finding:
    up = line.per_week > 0
    return Finding(
        finding_id=learning_id("finding", NAME, "trend", agent),
        learner=NAME,
        kind="trend",
        title=f"{agent} is getting {'better' if up else 'worse'}",
        text=(
            f"If it goes on like this, it will be right in {line.then:.0%} of judged answers in "
            f"{line.days} days (99%: {line.low:.0%} to {line.high:.0%}); now it is "
            f"{line.now:.0%}. A line through {len(days)} days with {sum(d.n for d in days):.0f} "
            "judged answers; it knows no causes."
        ),
        data={
            "figures": {
                "now": round(line.now, 3),
                "ahead": round(line.then, 3),
                "low": round(line.low, 3),
                "high": round(line.high, 3),
                "a week": round(line.per_week, 3),
            },
            "chart": {
                "title": "Right answers by day",
                "labels": [_date(day.day) for day in days[-20:]],
                "series": [
                    {"name": "right", "values": [round(d.good / d.n, 3) for d in days[-20:]]}
                ],
            },
        },
        audience=audience,
        created_at=window.now,
    )


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * _DAY, UTC).date().isoformat()


def _healths(tallies: Tallies, audiences: Mapping[str, str], window: Window) -> list[Finding]:
    """Once a week: the health of all agents that everybody may know of."""
    sums = {n: t for n, t in tallies.sums().items() if audiences[n] == PUBLIC}
    scored = sorted(_health_of(sums).items(), key=lambda one: one[1].score)
    if not scored:
        return []
    worst, best = scored[0], scored[-1]
    weeks = datetime.fromtimestamp(window.now, UTC).isocalendar()
    text = f"{best[0]} has {best[1].score:.0f} of 100"
    if len(scored) > 1:
        text += f", {worst[0]} {worst[1].score:.0f}"
    return [
        Finding(
            finding_id=learning_id("finding", NAME, "health", f"{weeks.year}-{weeks.week}"),
            learner=NAME,
            kind="note",
            title=f"How healthy agents are: week {weeks.week}",
            text=(
                f"{text}. Success counts 45%, satisfaction 20%, freedom from errors 20%, speed "
                "10% and thrift 5%, each beside all agents together."
            ),
            data={
                "figures": {name: score.score for name, score in scored[:20]},
                "chart": {
                    "title": "Health, 0 to 100",
                    "labels": [name for name, _ in scored[:20]],
                    "series": [{"name": "health", "values": [s.score for _, s in scored[:20]]}],
                },
            },
            created_at=window.now,
        )
    ]


# What is made of it


def _readers(made: Suggestion, audiences: Mapping[str, str]) -> str:
    """Those who may see the figures of all agents that it speaks of."""
    of = {made.answers_now, *(change.name for change in made.changes)}
    private = {audiences[name] for name in of if name in audiences} - {PUBLIC}
    return private.pop() if len(private) == 1 else made.changes[0].audience


def _proposal(made: Suggestion, audiences: Mapping[str, str], window: Window) -> Proposal:
    evidence: dict[str, Any] = {"runs": list(made.runs), "figures": dict(made.figures)}
    if made.problem is not None:
        evidence["problem"] = _problem_id(made.problem)
    if made.answers_now:
        evidence["answers_now"] = made.answers_now
    if made.cheaper:
        evidence |= {"aim": "cheaper", "may_lose": MAY_LOSE}
    return Proposal(
        proposal_id=proposal_id_of(NAME, made.changes),
        learner=NAME,
        title=made.title,
        why=made.why,
        changes=made.changes,
        evidence=evidence,
        task_type=made.task_type,
        audience=_readers(made, audiences),
        created_at=window.now,
        moved_at=window.now,
    )
