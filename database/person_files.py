"""Everything that is kept about a person as files that they can be given.

Two files: their runs in the format of `run_files`, which can be imported again, and beside it
`NAME.everything.jsonl` with all that is kept about them, each line an object with one key that says
what it is: `{"person": {...}}`, then `run`, `message`, `summary`, `feedback`, `document`, `policy`,
`exam_question`, `proposal` and `finding`. A run is whole there (its place, route and error too); an
import refuses that file.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from database.known import Kept
from database.learning import AuditEntry, ExamQuestion, Finding, Proposal
from database.records import (
    Document,
    Feedback,
    Message,
    Person,
    PolicyChange,
    Run,
    Summary,
)
from database.run_files import export_runs, write_lines
from database.store import Store

KINDS: Mapping[type[Kept], str] = {
    Person: "person",
    Run: "run",
    Message: "message",
    Summary: "summary",
    Feedback: "feedback",
    Document: "document",
    PolicyChange: "policy",
    ExamQuestion: "exam_question",
    Proposal: "proposal",
    Finding: "finding",
}


@dataclass(frozen=True, slots=True)
class PersonExport:
    """What was written: how many runs into the first file, how much of what into the second."""

    runs: int
    everything: Path
    kept: Mapping[str, int]


async def export_person(store: Store, path: Path, user_id: str) -> PersonExport:
    """Write the runs of a person to `path`, and everything about them beside it.

    Raises StoreError when a file cannot be written.
    """
    everything = beside(path)
    known = await store.everything_about(user_id)

    async def lines() -> AsyncIterator[str]:
        for kept in known:
            yield line_of(kept)

    await write_lines(everything, lines())
    runs = await export_runs(store, path, user_id)
    await store.note(AuditEntry(user_id, "their data exported", "", counted(known)))
    return PersonExport(runs, everything, counted(known))


def beside(path: Path) -> Path:
    """`runs.jsonl` -> `runs.everything.jsonl`, also with `.gz`."""
    packed = ".gz" if path.suffix == ".gz" else ""
    name = path.name.removesuffix(".gz").removesuffix(".jsonl")
    return path.with_name(f"{name}.everything.jsonl{packed}")


def line_of(kept: Kept) -> str:
    """One line of the file."""
    return json.dumps({KINDS[type(kept)]: asdict(kept)}, ensure_ascii=False)


def counted(known: Iterable[Kept]) -> dict[str, int]:
    """How much of what there is, in the order of KINDS; nothing is left out."""
    counts = Counter(KINDS[type(kept)] for kept in known)
    return {kind: counts[kind] for kind in KINDS.values() if counts[kind]}
