"""The evidence behind what learning says: answers, examples, figures, charts. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from database.learning import Finding, Proposal, Trial
from slack_interface.blocks import (
    bars,
    context,
    divider,
    fields,
    raw_text,
    section,
    shortened,
    table,
)
from slack_interface.incoming import Card, Json
from slack_interface.learning_words import (
    actor,
    change_of,
    count,
    id_of,
    known,
    part,
    parts,
    risk,
    said,
    seconds,
    share,
    shown_value,
    texts,
    tried,
    usd,
)


@dataclass(frozen=True, slots=True)
class Source:
    """One answer that something rests on, as far as the reader may see it."""

    run_id: str
    agent: str
    request: str | None
    outcome: str
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What stands behind a finding or proposal: `sources` some of its `total` answers."""

    sources: Sequence[Source] = ()
    total: int = 0
    hidden: int = 0
    trial: Trial | None = None


def why_card(record: Finding | Proposal, evidence: Evidence, audiences: Collection[str]) -> Card:
    """The evidence: the answers behind it, examples, figures, and where to trace them."""
    told = record.audience in audiences
    data = record.data if isinstance(record, Finding) else record.evidence
    about = f"*Why:* {said(record.title, 300)}" if told else "*Why*, in counts"
    lines = [about, *_why_lines(record, evidence, told)]
    blocks: list[Json] = [
        section("\n".join(lines)),
        *(figures_block(part(data, "figures")) if told else ()),
        *(_examples(data) if told else ()),
        *_source_table(evidence),
        context(_trace(record)),
    ]
    return "\n".join(lines), blocks


def _why_lines(record: Finding | Proposal, evidence: Evidence, told: bool) -> list[str]:
    lines = []
    if isinstance(record, Proposal):
        lines.append(f"Risk: {risk(record, told)}")
    if (trial := evidence.trial) is not None:
        lines.append(f"Tried: {tried(trial)}")
        if trial.reason:
            lines.append(f"The trial says: {said(trial.reason, 300)}")
        lines += _guardrails(trial)
    if evidence.total:
        lines.append(f"It rests on {count(evidence.total, 'answer')}.")
    if evidence.hidden:
        verb = "is" if evidence.hidden == 1 else "are"
        lines.append(
            f"{evidence.hidden} of them {verb} in places that not everybody here may read."
        )
    return lines


def _guardrails(trial: Trial) -> list[str]:
    guards = part(trial.figures, "guardrails")
    shown: Mapping[str, tuple[str, Callable[[float], str]]] = {
        "error": ("Errors", share), "complaint": ("Complaints", share),
        "latency_ms": ("Time to answer", seconds), "cost_usd": ("Cost of an answer", usd),
    }  # fmt: skip
    found = []
    for aspect, (name, in_words) in shown.items():
        if words := change_of(part(guards, aspect), in_words):
            hurt = " (worse than allowed)" if part(guards, aspect).get("hurt") else ""
            found.append(f"{name}: {words}{hurt}")
    return found


def figures_block(figures: Mapping[str, Any]) -> list[Json]:
    """A learner's figures by name, those that are numbers or words."""
    shown = [
        f"*{said(_begun(str(name)), 60)}*\n{said(shown_value(value), 200)}"
        for name, value in list(figures.items())[:10]
        if not isinstance(value, Mapping | list | tuple)
    ]
    return [fields(shown)] if shown else []


def _begun(name: str) -> str:
    """As a heading begins."""
    return name[:1].upper() + name[1:]


def _examples(data: Mapping[str, Any]) -> list[Json]:
    found = []
    for example in parts(data, "examples")[:3]:
        rows = [
            f"*{name}:* {said(str(example[key]), 400)}"
            for key, name in (
                ("request", "Asked"), ("before", "Answered"), ("wish", "Wished"),
                ("after", "Would be answered"),
            )
            if example.get(key)
        ]  # fmt: skip
        if rows:
            found.append(section("\n".join(rows)))
    return [divider(), *found] if found else []


def _source_table(evidence: Evidence) -> list[Json]:
    """Some of the answers; by whom only where there were several agents."""
    if not evidence.sources:
        return []
    several = len({source.agent for source in evidence.sources}) > 1
    shown = evidence.sources[:30]
    agents = [[raw_text(shortened(s.agent, 60))] if several else [] for s in shown]
    rows = [
        [raw_text(shortened(source.outcome, 40)), raw_text(_asked(source)), *agent,
         raw_text(source.run_id[:8])]
        for source, agent in zip(shown, agents, strict=True)
    ]  # fmt: skip
    caption = f"Some of the {evidence.total} answers" if evidence.total > len(rows) else "Answers"
    head = ["How it went", "Request", *(["Agent"] if several else []), "Run"]
    return [table(caption, head, rows, page=5)]


def _asked(source: Source) -> str:
    return shortened(" ".join((source.request or "(private)").split()), 100)


def _trace(record: Finding | Proposal) -> str:
    if isinstance(record, Finding):
        return f"Finding {id_of(record)}, by {said(record.learner, 60)}: `virtuous6 patterns list`"
    name = record.proposal_id[:8]
    return (
        f"Proposal {id_of(record)}, by {actor(record.learner)}: `virtuous6 proposals show {name}`"
    )


# Charts


def chart_of(data: Mapping[str, Any]) -> list[Json]:
    """The chart that a learner gave, as far as it is one."""
    chart = part(data, "chart")
    labels = texts(chart, "labels")[:20]
    series: list[tuple[str, list[float]]] = []
    for entry in parts(chart, "series")[:6]:
        values = entry.get("values")
        numbers = [known(value) for value in values] if isinstance(values, list | tuple) else []
        if len(numbers) >= len(labels) and None not in numbers:
            series.append(
                (str(entry.get("name") or "Count"), [n for n in numbers if n is not None])
            )
    if len(labels) < 2 or not series:
        return []
    return [bars(str(chart.get("title") or "How often"), labels, series)]


def effect_chart(trial: Trial | None) -> list[Json]:
    """Right answers of both versions, where a trial has counted them."""
    if trial is None:
        return []
    now = known(trial.figures.get("rate_active"))
    then = known(trial.figures.get("rate_candidate"))
    if now is None or then is None:
        return []
    labels = ["As it is", "As suggested"]
    values = [round(now * 100, 1), round(then * 100, 1)]
    return [bars("Right answers, %", labels, [("Right, %", values)])]
