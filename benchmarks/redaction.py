"""How much personal data the redactor finds, what it takes for some and is not, and what it costs.

`python -m benchmarks.redaction --pii FILE [--plain FILE ...] [--json]`

`--pii` is a file of texts with marked personal data (`{"text", "template_id", "spans": [[start,
end, type]]}`), `--plain` files of ordinary requests (`{"text"}`), both JSON lines, perhaps gzipped:
what is redacted there is counted, since little of it can be personal. Patterns were made with the
texts of the public part in view; the figures that count are those of the held-out part (SHA-256 of
"virtuous6|" and the template below 0.4). The baseline in the same run is datafog's own patterns.
"""

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datafog.processing.text_processing.regex_annotator import RegexAnnotator
from rich.console import Console
from rich.table import Table

from benchmarks.public_data import held_out, lines
from database.privacy import Redactor

CLAIMED = (
    "EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "US_SSN", "IP_ADDRESS",
    "US_DRIVER_LICENSE",
)  # fmt: skip
"""The types that the redactor promises to find; addresses only where words announce them."""

_PLACEHOLDER = re.compile(r"\[(?:secret|email|phone|card|ssn|iban|ip|id|address)\]")
_WORD = re.compile(r"\S+")

Change = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Found:
    """Of the marked pieces of the claimed types: shares found and rightly found; per type n, found.

    `of_everything` is the share of all marked pieces, names, places and dates included, that the
    redactor does not promise. `milliseconds` is CPU time for a text.
    """

    texts: int
    recall: float
    precision: float
    of_everything: float
    milliseconds: float
    types: dict[str, tuple[int, int]]


def timed(change: Change, texts: Sequence[str]) -> tuple[list[str], float]:
    """Every text changed, and milliseconds of CPU for each."""
    began = time.process_time()
    changed = [change(text) for text in texts]
    return changed, (time.process_time() - began) * 1000 / max(1, len(texts))


def compare(rows: Sequence[dict[str, Any]], change: Change) -> Found:
    """What `change` takes out of marked texts: a piece is found when nothing of it is left."""
    texts = [row["text"] for row in rows]
    changed, milliseconds = timed(change, texts)
    there, gone = Counter[str](), Counter[str]()
    put, right = 0, 0
    for row, text in zip(rows, changed, strict=True):
        marked = [(row["text"][start:end], kind) for start, end, kind in row["spans"]]
        taken = [kind for piece, kind in marked if piece not in text]
        there.update(kind for _, kind in marked)
        gone.update(taken)
        placed = len(_PLACEHOLDER.findall(text))
        put += placed
        # One placeholder may stand for several pieces (a street and its town), not the other way.
        right += min(placed, len(taken))
    claimed = sum(there[kind] for kind in CLAIMED)
    return Found(
        texts=len(texts),
        recall=sum(gone[kind] for kind in CLAIMED) / max(1, claimed),
        precision=right / max(1, put),
        of_everything=gone.total() / max(1, there.total()),
        milliseconds=milliseconds,
        types={kind: (there[kind], gone[kind]) for kind in sorted(there)},
    )


def flagged(path: Path, change: Change) -> dict[str, float]:
    """Of ordinary texts: how many, and the shares of texts and of words that are changed."""
    texts = [row["text"] for row in lines(path)]
    changed, milliseconds = timed(change, texts)
    words = sum(len(_WORD.findall(text)) for text in texts)
    return {
        "texts": len(texts),
        "texts_changed": sum(a != b for a, b in zip(texts, changed, strict=True)) / len(texts),
        "placeholders_per_word": sum(len(_PLACEHOLDER.findall(t)) for t in changed) / words,
        "milliseconds": milliseconds,
    }


def plain_patterns() -> Change:
    """The patterns of datafog as they come, without our checks: the baseline."""
    patterns = RegexAnnotator().patterns
    names = {"EMAIL": "[email]", "PHONE": "[phone]", "SSN": "[ssn]", "CREDIT_CARD": "[card]"}
    used = [(patterns[name], put) for name, put in names.items()]
    used.append((patterns["IP_ADDRESS"], "[ip]"))

    def change(text: str) -> str:
        for pattern, put in used:
            text = pattern.sub(put, text)
        return text

    return change


def report(pii: Path, plain: Sequence[Path]) -> dict[str, Any]:
    """All figures; the shares lie in 0..1."""
    rows = list(lines(pii))
    kept = [row for row in rows if held_out(row["template_id"])]
    seen = [row for row in rows if not held_out(row["template_id"])]
    redact = Redactor().redact
    return {
        "held_out": asdict(compare(kept, redact)),
        "public": asdict(compare(seen, redact)),
        "baseline": asdict(compare(kept, plain_patterns())),
        "plain": {path.parent.name: flagged(path, redact) for path in plain},
    }


def show(found: dict[str, Any], console: Console) -> None:
    """The figures as tables."""
    table = Table("", "texts", "recall", "precision", "of everything", "ms a text")
    for name in ("held_out", "public", "baseline"):
        part = found[name]
        shares = (f"{part[key]:.3f}" for key in ("recall", "precision", "of_everything"))
        table.add_row(name, str(part["texts"]), *shares, f"{part['milliseconds']:.3f}")
    console.print(table)
    table = Table("held out", "there", "found")
    for kind, (there, gone) in found["held_out"]["types"].items():
        table.add_row(kind, str(there), str(gone))
    console.print(table)
    table = Table("ordinary texts", "texts", "changed", "placeholders a word", "ms a text")
    for name, part in found["plain"].items():
        shares = (f"{part[key]:.5f}" for key in ("texts_changed", "placeholders_per_word"))
        table.add_row(name, str(part["texts"]), *shares, f"{part['milliseconds']:.3f}")
    console.print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.redaction", description=__doc__)
    parser.add_argument("--pii", type=Path, required=True)
    parser.add_argument("--plain", type=Path, nargs="*", default=[])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = report(options.pii, options.plain)
    if options.json:
        print(json.dumps(found))
    else:
        show(found, Console())


if __name__ == "__main__":
    main()
