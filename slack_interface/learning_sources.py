"""The answers that learning rests on, as far as somebody may see them."""

from collections.abc import Collection, Sequence

from database.learning import Finding, Proposal, Trial
from database.records import Feedback, Run
from slack_interface.learning_evidence import Evidence, Source
from slack_interface.learning_words import texts
from slack_interface.ports import Record

MOST = 25
"""So many answers are looked up for a "Why?"."""


async def evidence_of(
    record: Finding | Proposal, trial: Trial | None, runs: Record, audiences: Collection[str]
) -> Evidence:
    """What stands behind it; requests are left out where `audiences` may not read them."""
    ids = list(record.runs if isinstance(record, Finding) else texts(record.evidence, "runs"))
    sources, hidden = [], 0
    for run_id in ids[:MOST]:
        run = await runs.run(run_id)
        if run is None:
            continue
        readable = run.audience in audiences
        hidden += not readable
        if readable:
            sources.append(_source(run, await runs.feedback_on(run_id)))
    return Evidence(tuple(sources), len(ids), hidden, trial)


def _source(run: Run, feedback: Sequence[Feedback]) -> Source:
    return Source(run.run_id, run.agent, run.request, _ended(run, feedback), run.started_at)


def _ended(run: Run, feedback: Sequence[Feedback]) -> str:
    """How an answer went: what people said of it where nothing else judged it."""
    if run.error:
        return "failed"
    if run.outcome.success is not None:
        by = {"check": "a check", "user": "people", "judge": "a model", "implicit": "what followed"}
        said = by.get(run.outcome.source or "", "")
        return ("right" if run.outcome.success else "wrong") + (f", says {said}" if said else "")
    value = sum(entry.value * entry.weight for entry in feedback)
    if not value:
        return "not judged"
    return "people liked it" if value > 0 else "people did not like it"
