"""How an agent's variants did with a kind of request: what Thompson sampling draws from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.improvement.judged import word_on
from agents.improvement.learner import Window
from agents.variants import variant_of
from database.records import Feedback, Run

_MOST_RUNS = 1000
_FADE_AT = 400
"""From so many judged answers on a variant's counts are halved: what is new weighs more."""

_CARRIED = 2.0
"""Judged answers that a new version keeps of its predecessor's record."""


@dataclass(slots=True)
class Record:
    """Judged answers of one document for one kind of request; weights, so not whole numbers."""

    version: str | None = None
    up: float = 0.0
    down: float = 0.0


def record_key(task_type: str, document: str) -> str:
    """What a record is kept under."""
    return f"{task_type}|{document}"


def records_of(state: Mapping[str, Any]) -> dict[str, Record]:
    """The records in the prompt optimizer's state, by `record_key`."""
    return {key: Record(*row) for key, row in state.get("variants", {}).items()}


def counted(window: Window, state: Mapping[str, Any]) -> dict[str, Any]:
    """The records and what was counted for which run, with the window's runs and feedback.

    Feedback that comes later replaces what was counted for its run before.
    """
    records = records_of(state)
    felt: dict[str, list[Any]] = {key: list(row) for key, row in state.get("felt", {}).items()}
    kinds = _kinds_with_variants(window)
    for run in (*window.older, *window.runs):
        if run.kind != "reply" or (run.agent, run.task_type) not in kinds:
            continue
        word = _word(run, window.feedback.get(run.run_id, ()))
        if word is None:
            continue
        document = str((run.route or {}).get("variant") or run.agent)
        key = record_key(str(run.task_type), document)
        _take_back(records, felt.pop(run.run_id, None))
        record = _at_version(records.get(key), run.agent_version)
        record.up, record.down = record.up + word[0], record.down + word[1]
        records[key] = record
        felt[run.run_id] = [key, run.agent_version, *word]
        if record.up + record.down > _FADE_AT:
            record.up, record.down = record.up / 2, record.down / 2
    return {
        "variants": {key: [r.version, r.up, r.down] for key, r in records.items()},
        "felt": dict(list(felt.items())[-_MOST_RUNS:]),
    }


def _kinds_with_variants(window: Window) -> set[tuple[str, str]]:
    agents = (d for d in window.documents if d.kind == "agent" and d.active)
    variants = (variant_of(document.name) for document in agents)
    return {(variant.agent, variant.task_type) for variant in variants if variant}


def _word(run: Run, feedback: Sequence[Feedback]) -> tuple[float, float] | None:
    """What speaks for and against an answer."""
    word = word_on(run, feedback)
    if word is None:
        return None
    good, weight = word
    return (weight, 0.0) if good else (0.0, weight)


def _at_version(record: Record | None, version: str | None) -> Record:
    if record is None:
        return Record(version)
    if record.version == version:
        return record
    total = record.up + record.down
    kept = min(1.0, _CARRIED / total) if total else 0.0
    return Record(version, record.up * kept, record.down * kept)


def _take_back(records: dict[str, Record], before: Sequence[Any] | None) -> None:
    if before is None:
        return
    key, version, up, down = before
    record = records.get(key)
    if record is not None and record.version == version:
        record.up, record.down = max(0.0, record.up - up), max(0.0, record.down - down)
