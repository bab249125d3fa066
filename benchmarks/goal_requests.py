"""How often a request is taken for one that needs a plan: single works never should be.

`python -m benchmarks.goal_requests [--plain FILE ...] [--json]`

`--plain` are files of ordinary requests, JSON lines, perhaps gzipped, with the text under `text`,
`prompt`, `question` or `request`. Beside them stand the questions and examples of the shipped
agents and the requests of our own making in `tests/orchestrator/goal_requests.jsonl`; of those the
part `held_out` was used for measuring alone, no rule was made of it.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agents.definition import load_definition
from benchmarks.public_data import lines
from orchestrator.goal_requests import wants_goal

ROOT = Path(__file__).resolve().parent.parent
OURS = ROOT / "tests" / "orchestrator" / "goal_requests.jsonl"
LIBRARY = ROOT / "agents" / "library"
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of different texts: how many were taken for plans, the first of them, and CPU for each."""

    texts: int
    plans: int
    share: float
    milliseconds: float
    first: tuple[str, ...]


def counted(texts: Sequence[str]) -> Wanted:
    """What the rules say of these texts, each once."""
    different = list(dict.fromkeys(texts))
    began = time.process_time()
    plans = [text for text in different if wants_goal(text)]
    took = (time.process_time() - began) * 1000 / max(1, len(different))
    share = len(plans) / max(1, len(different))
    return Wanted(len(different), len(plans), share, took, tuple(plans[:_SHOWN]))


def shipped() -> Iterator[str]:
    """The questions, examples and demonstrations of the agents shipped."""
    for file in sorted(LIBRARY.glob("*.questions.jsonl")):
        yield from (row["request"] for row in lines(file))
    for file in sorted(LIBRARY.glob("*.yaml")):
        definition = load_definition(file)
        yield from definition.examples
        yield from (shown.request for shown in definition.demonstrations)


def texts_of(path: Path) -> Iterator[str]:
    """The requests of a public file."""
    for row in lines(path):
        yield next(row[key] for key in ("text", "prompt", "question", "request") if key in row)


def report(plain: Sequence[Path]) -> dict[str, Any]:
    """All figures; shares lie in 0..1."""
    rows = list(lines(OURS))
    parts = {
        f"{row['part']} {'plans' if row['goal'] else 'single works'}": [
            one["text"] for one in rows if (one["part"], one["goal"]) == (row["part"], row["goal"])
        ]
        for row in rows
    }
    sets = {path.parent.name: list(texts_of(path)) for path in plain}
    named = {**sets, "shipped agents": list(shipped()), **parts}
    return {name: asdict(counted(texts)) for name, texts in named.items()}


def show(found: dict[str, Any], console: Console) -> None:
    """The figures as a table."""
    table = Table("", "texts", "plans", "share", "ms a text")
    for name, part in found.items():
        figures = (f"{part['share']:.4f}", f"{part['milliseconds']:.3f}")
        table.add_row(name, f"{part['texts']:,}", str(part["plans"]), *figures)
    console.print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.goal_requests", description=__doc__)
    parser.add_argument("--plain", type=Path, nargs="*", default=[])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = report(options.plain)
    if options.json:
        print(json.dumps(found))
    else:
        show(found, Console())


if __name__ == "__main__":
    main()
