"""Kinds of requests in words: they are named by number, which says nothing to anybody.

To those who may read one of its requests a kind is called by that example; to all others it is
"one kind". The numbers stay what records and documents are found by.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from database.learning import Finding, Proposal
from database.records import Run

EXAMPLE_CHARS = 60
_KIND = re.compile(r"\bkind-\d+\b")
_KIND_OF = re.compile(r"\b((?i:requests?)) of kind-\d+\b")
_VARIANT = re.compile(r"\b(\w[\w-]*?)--kind-\d+(?:--[\w-]*\w)?\b")
_LOOKED_AT = 3
"""So many of the runs that something rests on are looked at for an example."""

Learned = TypeVar("Learned", bound=Finding | Proposal)


class Runs(Protocol):
    """Where examples come from (database.store.Store)."""

    async def run(self, run_id: str) -> Run | None:
        """The run, where it is kept."""


def plainly(text: str, example: str = "") -> str:
    """A text that calls no kind of requests by its number: by an `example`, where one is known.

    A variant of an agent for one kind is called as the agent is.
    """
    text = _VARIANT.sub(r"\1", text)
    if not example:
        return _KIND.sub("one kind of request", _KIND_OF.sub(r"\1 of one kind", text))
    words = " ".join(example.split())
    shown = words if len(words) <= EXAMPLE_CHARS else f"{words[: EXAMPLE_CHARS - 1].rstrip()}…"
    named = _KIND_OF.sub(lambda found: f"{found[1]} such as “{shown}”", text)
    return _KIND.sub(lambda _: f"requests such as “{shown}”", named)


async def named(
    records: Sequence[Learned], runs: Runs, audiences: Collection[str] | None = None
) -> list[Learned]:
    """The same records, with kinds of requests called by examples that these may read.

    Without `audiences` all may be read, as on the command line. Raises StoreError.
    """
    examples: dict[str, str] = {}
    found = []
    for record in records:
        kinds = {*_KIND.findall(_text(record))}
        if not kinds or (audiences is not None and record.audience not in audiences):
            found.append(record)
            continue
        kind = min(kinds)
        if kind not in examples:
            examples[kind] = await _example(record, runs, audiences)
        found.append(_plain(record, examples[kind] if len(kinds) == 1 else ""))
    return found


def _text(record: Finding | Proposal) -> str:
    """What people read of it."""
    if isinstance(record, Finding):
        return f"{record.title} {record.text}"
    return f"{record.title} {record.why} {record.reason}"


def _plain(record: Learned, example: str) -> Learned:
    title = plainly(record.title, example)
    if isinstance(record, Finding):
        return replace(record, title=title, text=plainly(record.text, example))
    why, reason = plainly(record.why, example), plainly(record.reason, example)
    return replace(record, title=title, why=why, reason=reason)


async def _example(
    record: Finding | Proposal, runs: Runs, audiences: Collection[str] | None
) -> str:
    """A request of the kind, as far as these may read it."""
    for run_id in _rests_on(record)[:_LOOKED_AT]:
        run = await runs.run(run_id)
        if run and (audiences is None or run.audience in audiences):
            return run.request
    return ""


def _rests_on(record: Finding | Proposal) -> Sequence[str]:
    if isinstance(record, Finding):
        return record.runs
    ids: Any = record.evidence.get("runs")
    return [str(run_id) for run_id in ids] if isinstance(ids, list | tuple) else []
