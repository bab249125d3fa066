"""The cost optimizer: what answers cost, and what would cost less at the same quality.

Cheaper models and versions are proposed only where answers are good, and only a trial that shows
them as good and cheaper can prove them (its proposals carry the aim `cheaper`). Questions that are
asked again and again with one good answer are told.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agents.definition import AgentDefinition, DefinitionError, parse_definition
from agents.improvement.agent_changes import Names
from agents.improvement.agent_performance_analyst import MAY_LOSE
from agents.improvement.intervals import difference, wilson
from agents.improvement.learner import Learned, Window
from agents.improvement.reuse import Asked, Repeated
from agents.improvement.spending import OfVariants, Spending, Spent, week_of
from agents.improvement.tallies import Tallies, Tally
from database.learning import Change, Finding, Proposal, learning_id, proposal_id_of
from database.records import PUBLIC, Document

NAME = "cost-optimizer"

_GOOD = 0.75
"""Where at least so many answers are good for sure, a cheaper model may do."""
_LEAST_JUDGED = 30
_LEAST_PRICED = 20
_DEARER = 1.2
_FEWEST_PEOPLE = 5
"""What one of fewer people spent would be told of them."""


class CostOptimizer:
    """Asks no model; `names` tells what is behind `strong` and `fast`."""

    name = NAME
    about = "Finds out what answers cost, and where less would do as well."
    cron = "50 4 * * *"
    threshold = 200

    def __init__(self, names: Names) -> None:
        self._names = names

    async def learn(self, window: Window, state: Mapping[str, Any]) -> Learned:
        """Takes in the runs of the window; trials and reviews are learning's own cost."""
        return await asyncio.to_thread(self._learned, window, state)  # replies go on meanwhile

    def _learned(self, window: Window, state: Mapping[str, Any]) -> Learned:
        runs = [run for run in window.runs if run.kind in ("reply", "task")]
        older = [run for run in window.older if run.kind in ("reply", "task")]
        spending, repeated = Spending(state.get("spending")), Repeated(state.get("asked"))
        tallies = Tallies(state.get("tallies"))
        spending.take_in(runs, window.now)
        of_variants = OfVariants(state.get("variants"))
        of_variants.take_in(runs)
        for run in runs:
            words = window.feedback.get(run.run_id, ())
            tallies.take_in(run, words, None)
            repeated.take_in(run, words)
        for run in older:
            words = window.feedback.get(run.run_id, ())
            tallies.judge(run, words)
            repeated.judge(run, words)
        week, said = week_of(window.now), list(state.get("said", ()))
        findings = [] if state.get("week") == week else _week_told(spending, tallies, window)
        findings += [_reuse(*one, window) for one in repeated.worth_telling()]
        findings += [one for one in _dearer_versions(tallies, window) if one.finding_id not in said]
        proposals = [
            replace(
                _proposal(document, definition, why, self._names, window),
                audience=tallies.audience_of(document.name, document),
            )
            for document, definition, why in self._cheaper(tallies, spending, window)
        ]
        kept = {
            "spending": spending.as_json(), "asked": repeated.as_json(),
            "tallies": tallies.as_json(), "week": week, "variants": of_variants.as_json(),
            "said": [*said, *(f.finding_id for f in findings if f.kind == "problem")][-500:],
        }  # fmt: skip
        return Learned(tuple(findings), tuple(proposals), kept)

    def _cheaper(
        self, tallies: Tallies, spending: Spending, window: Window
    ) -> Iterator[tuple[Document, AgentDefinition, "Saving"]]:
        """Agents whose good answers the fast model might give as well."""
        fast, strong = self._names.resolve("fast"), self._names.resolve("strong")
        prices = _prices(spending, window.now)
        sums = tallies.sums()
        for document in window.documents:
            own = sums.get(document.name)
            if document.kind != "agent" or not document.active or own is None:
                continue
            try:
                definition = parse_definition(document.body, f"agent {document.name}")
            except DefinitionError:
                continue
            now = self._names.resolve(definition.model)
            known = fast in prices and now in prices
            if now == fast or (fast == strong) or (known and prices[fast] >= prices[now]):
                continue
            low = wilson(own.good, own.judged)[0]
            if own.judged < _LEAST_JUDGED or low < _GOOD or not own.mean_usd:
                continue
            ratio = prices[fast] / prices[now] if known else None
            yield document, definition, Saving(own, low, own.mean_usd, ratio)


@dataclass(frozen=True, slots=True)
class Saving:
    """Why a cheaper model may do: `low` bounds the share of good answers, `ratio` the prices."""

    own: Tally
    low: float
    usd: float
    ratio: float | None


def spent_in(state: Mapping[str, Any]) -> Spending:
    """What this week and the last cost, by the optimizer's state."""
    return Spending(state.get("spending"))


def variants_cost(state: Mapping[str, Any], since: float, until: float) -> Mapping[str, Spent]:
    """What the answers of variants cost on the days of a period, by document."""
    return OfVariants(state.get("variants")).between(since, until)


def could_save(state: Mapping[str, Any]) -> tuple[float, float, str]:
    """Dollars and minutes that reused answers would have saved, and how that is counted."""
    usd, seconds = Repeated(state.get("asked")).could_save()
    how = (
        "Of all so far: questions asked at least five times with one answer that somebody found "
        "good and nobody bad; what all answers but the first took."
    )
    return usd, seconds / 60, how


def _prices(spending: Spending, now: float) -> dict[str, float]:
    """Dollars a token by model, as paid this week and the last, where enough runs had a price."""
    sums: dict[str, Spent] = {}
    for week in (week_of(now), week_of(now - 7 * 86_400)):
        for model, spent in spending.of(week, "model").items():
            sums.setdefault(model, Spent()).plus(spent)
    return {
        model: spent.usd / spent.tokens
        for model, spent in sums.items()
        if spent.runs - spent.unpriced >= _LEAST_PRICED and spent.tokens and spent.usd
    }


# What is said of it


def _week_told(spending: Spending, tallies: Tallies, window: Window) -> list[Finding]:
    """Once a week: what the week before cost. Private agents and workflows are one sum."""
    week = week_of(window.now - 7 * 86_400)
    agents = spending.of(week, "agent")
    total = Spent()
    for spent in agents.values():
        total.plus(spent)
    if not total.runs:
        return []
    known = {(d.kind, d.name): d for d in window.documents if d.active}
    public = {a for a in agents if tallies.audience_of(a, known.get(("agent", a))) == PUBLIC}
    by_agent = _hidden(agents, public, "private agents")
    public = {n for (kind, n), d in known.items() if kind == "runbook" and d.audience == PUBLIC}
    workflows = _hidden(spending.of(week, "workflow"), public, "private workflows")
    people = spending.of(week, "person")
    return [
        Finding(
            finding_id=learning_id("finding", NAME, "week", week),
            learner=NAME,
            kind="note",
            title=f"What answers cost in week {week}",
            text=f"{_money(total)} for {total.runs:,} runs. {_by_people(people, total)}".strip(),
            data={
                "figures": {
                    **{f"agent {name}": _money(one) for name, one in by_agent[:8]},
                    **{f"workflow {name}": _money(one) for name, one in workflows[:5]},
                    "people": len(people),
                },
                "chart": {
                    "title": f"{'Dollars' if total.usd else 'Tokens'} by agent",
                    "labels": [name for name, _ in by_agent[:20]],
                    "series": [
                        {
                            "name": "dollars" if total.usd else "tokens",
                            "values": [
                                round(one.usd, 4) if total.usd else one.tokens
                                for _, one in by_agent[:20]
                            ],
                        }
                    ],
                },
            },
            created_at=window.now,
        )
    ]


def _hidden(sums: Mapping[str, Spent], shown: set[str], together: str) -> list[tuple[str, Spent]]:
    found: dict[str, Spent] = {}
    for name, spent in sums.items():
        found.setdefault(name if name in shown else together, Spent()).plus(spent)
    return list(found.items())


def _by_people(people: Mapping[str, Spent], total: Spent) -> str:
    if len(people) < _FEWEST_PEOPLE:
        return ""
    most = next(iter(people.values()))
    share = most.usd / total.usd if total.usd else most.tokens / max(1, total.tokens)
    return f"Of {len(people)} people the one who used most took {share:.0%}."


def _money(spent: Spent) -> str:
    unpriced = f", {spent.unpriced:,} runs without a known price" if spent.unpriced else ""
    cost = f"${spent.usd:.2f} and " if spent.usd else ""
    return f"{cost}{spent.tokens:,} tokens{unpriced}"


def _reuse(key: str, asked: Asked, window: Window) -> Finding:
    """In the words of an answer that is in sight; what is remembered are digests only."""
    known = {run.run_id: run for run in (*window.older, *window.runs)}
    latest = next((known[run_id] for run_id in reversed(asked.runs) if run_id in known), None)
    usd = f", ${asked.usd:.4f}" if asked.usd else ""
    words = " ".join(latest.request.split()) if latest else ""
    shown = words if len(words) <= 200 else words[:199] + "…"
    what = f"“{shown}”" if shown else f"One question to {asked.agent}"
    return Finding(
        finding_id=learning_id("finding", NAME, "reuse", key),
        learner=NAME,
        kind="pattern",
        title="The same question gets the same good answer again and again",
        text=(
            f"{what} was asked {asked.n} times; {max(asked.answers.values())} answers were the "
            f"same, {asked.good} were found good and none bad. All together took "
            f"{asked.seconds:.0f} seconds{usd}; one answer, given again, would do."
        ),
        data={"support": asked.n, "people": len(asked.people)},
        runs=tuple(asked.runs),
        strength="moderate" if asked.n < 20 else "strong",
        audience=asked.audience,
        created_at=window.now,
    )


def _dearer_versions(tallies: Tallies, window: Window) -> Iterator[Finding]:
    """Versions that cost more than the one before and are surely not much better."""
    agents = {d.name: d for d in window.documents if d.kind == "agent" and d.active}
    rows: dict[tuple[str, str | None], list[tuple[str | None, Tally]]] = {}
    for (agent, version, kind), tally in tallies.cells.items():
        rows.setdefault((agent, kind), []).append((version, tally))
    for (agent, kind), versions in rows.items():
        if agent not in agents or len(versions) < 2:
            continue
        (_, then), (version, now) = versions[-2:]
        if version != agents[agent].version or not _surely_dearer(now, then):
            continue
        assert now.mean_usd
        assert then.mean_usd
        where = f" for requests of {kind}" if kind else ""
        yield Finding(
            finding_id=learning_id("finding", NAME, "version", agent, kind or "", str(version)),
            learner=NAME,
            kind="problem",
            title=f"{agent} costs more than before and is no better{where}",
            text=(
                f"An answer costs ${now.mean_usd:.4f}, with the version before it "
                f"${then.mean_usd:.4f}; {now.good / now.judged:.0%} of {now.judged:.0f} judged "
                f"answers are good, before {then.good / then.judged:.0%} of {then.judged:.0f}. "
                "Going back to the version before would save the difference."
            ),
            data={
                "severity": "medium",
                "figures": {
                    "dollars now": round(now.mean_usd, 6),
                    "dollars before": round(then.mean_usd, 6),
                    "good now": round(now.good / now.judged, 3),
                    "good before": round(then.good / then.judged, 3),
                },
            },
            audience=tallies.audience_of(agent, agents[agent]),
            created_at=window.now,
        )


def _surely_dearer(now: Tally, then: Tally) -> bool:
    if min(now.judged, then.judged) < _LEAST_JUDGED or not (now.mean_usd and then.mean_usd):
        return False
    if min(now.priced, then.priced) < _LEAST_PRICED or now.mean_usd < _DEARER * then.mean_usd:
        return False
    return difference(now.good, now.judged, then.good, then.judged)[1] < 2 * MAY_LOSE


# What is made of it


def _proposal(
    document: Document,
    definition: AgentDefinition,
    why: Saving,
    names: Names,
    window: Window,
) -> Proposal:
    body = definition.changed(model="fast").body()
    changes = (Change("agent", document.name, document.version, body, document.audience),)
    own = why.own
    cost: dict[str, Any] = {"before": round(why.usd, 6)}
    beside = "what it would cost is seen in the trial"
    if why.ratio is not None:
        cost["after"] = round(why.usd * why.ratio, 6)
        beside = f"by what was paid lately the fast one takes {why.ratio:.0%} of that"
    return Proposal(
        proposal_id=proposal_id_of(NAME, changes),
        learner=NAME,
        title=f"Let {document.name} ask the fast model",
        why=(
            f"{own.good / own.judged:.0%} of {own.judged:.0f} judged answers are good (95%: at "
            f"least {why.low:.0%}), so its requests may be easy enough for "
            f"{names.resolve('fast')}. An answer costs ${why.usd:.4f} now; {beside}. It goes live "
            f"only if a trial shows that it loses fewer than {MAY_LOSE:.0%} of right answers and "
            "costs less."
        ),
        changes=changes,
        evidence={
            "aim": "cheaper",
            "may_lose": MAY_LOSE,
            "runs": [],
            "cost": cost,
            "figures": {
                "model now": names.resolve(definition.model),
                "then": names.resolve("fast"),
                "judged answers": round(own.judged),
                "good": round(own.good / own.judged, 3),
            },
        },
        audience=document.audience,
        created_at=window.now,
        moved_at=window.now,
    )
