"""What the closed loop's benchmark says: its figures, its table and the learning curve."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.paired import clustered_difference, paired_difference
from database.errors import InputError

BATCH = 30
"""Questions between two rests."""

COLOURS = ("#1264a3", "#2b8a5e", "#c0254f", "#a06a00")


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer; `phase` is before, learning or after, `number` counts within it."""

    seed: int
    phase: str
    number: int
    request: str
    label: str
    reply: str
    agent: str
    version: str
    strict: bool
    lenient: bool
    seconds: float


@dataclass(slots=True)
class Seed:
    """What happened with one seed; written down at once in `out`, if there is a file for it."""

    seed: int
    out: Path | None = None
    answers: list[Answered] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def add(self, answer: Answered) -> None:
        """One more answer."""
        self.answers.append(answer)
        self._keep(asdict(answer))

    def note(self, event: dict[str, Any]) -> None:
        """What became of a proposal."""
        self.events.append(event)
        self._keep({"seed": self.seed, "event": event})

    def phase(self, name: str) -> list[Answered]:
        """The answers of a phase, in the order of its questions."""
        return sorted((a for a in self.answers if a.phase == name), key=lambda one: one.number)

    def _keep(self, row: Mapping[str, Any]) -> None:
        if self.out is not None:
            with self.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read(files: Sequence[Path]) -> list[Seed]:
    """The seeds whose answers were kept, those that came to their end, in their order.

    Raises InputError where a file cannot be read or holds something else.
    """
    found: dict[int, Seed] = {}
    try:
        for file in files:
            for line in file.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                seed = found.setdefault(row["seed"], Seed(row["seed"]))
                if "event" in row:
                    seed.events.append(row["event"])
                else:
                    seed.answers.append(Answered(**row))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} holds no kept answers ({error}); give what --out wrote."
        ) from None
    ended = [one for _, one in sorted(found.items()) if _ended(one)]
    if not ended:
        raise InputError("No seed came to its end there; run it again with --out.")
    return ended


def _ended(seed: Seed) -> bool:
    before, after = len(seed.phase("before")), len(seed.phase("after"))
    return 0 < before == after


def report(happened: Sequence[Seed]) -> dict[str, Any]:
    """The figures of each seed and of all together; the interval of `gain` is 95%.

    Over several seeds each counts the same and the interval holds what differs between them.
    """
    seeds = [_figures(one) for one in happened]
    found: dict[str, Any] = {"seeds": seeds}
    for kind in ("lenient", "strict"):
        clusters = [_pairs(one, kind) for one in happened]
        pairs = [pair for cluster in clusters for pair in cluster]
        pooled = paired_difference(pairs)
        spread = clustered_difference(clusters) if len(clusters) > 1 else pooled
        found[kind] = {
            "accuracy_before": sum(before for _, before in pairs) / len(pairs),
            "accuracy_after": sum(after for after, _ in pairs) / len(pairs),
            "gain": pooled.difference,
            "gain_low": pooled.low,
            "gain_high": pooled.high,
            "gain_low_over_seeds": spread.low,
            "n": len(pairs),
        }
    return {**found["lenient"], **found}


def _figures(one: Seed) -> dict[str, Any]:
    found: dict[str, Any] = {"seed": one.seed}
    for kind in ("lenient", "strict"):
        pairs = _pairs(one, kind)
        difference = paired_difference(pairs)
        figures = {
            "accuracy_before": sum(before for _, before in pairs) / len(pairs),
            "accuracy_after": sum(after for after, _ in pairs) / len(pairs),
            "gain": difference.difference,
            "gain_low": difference.low,
            "n": len(pairs),
        }
        found[kind] = figures
        if kind == "lenient":
            found |= figures
    learning = one.phase("learning")
    found["asked"] = len(learning)
    found["curve"] = [
        sum(a.lenient for a in learning[at : at + BATCH]) / len(learning[at : at + BATCH])
        for at in range(0, len(learning), BATCH)
    ]
    found["seconds_before"] = _mean_seconds(one.phase("before"))
    found["seconds_after"] = _mean_seconds(one.phase("after"))
    found["events"] = one.events
    return found


def _pairs(one: Seed, kind: str) -> list[tuple[bool, bool]]:
    """Whether each unseen question was answered right after and before."""
    before, after = one.phase("before"), one.phase("after")
    return [
        (bool(getattr(a, kind)), bool(getattr(b, kind))) for a, b in zip(after, before, strict=True)
    ]


def _mean_seconds(answers: Sequence[Answered]) -> float:
    return round(sum(a.seconds for a in answers) / len(answers), 2) if answers else 0.0


def picture(happened: Sequence[Seed]) -> str:
    """The learning curve as SVG: right answers a batch, unseen questions before and after."""
    figures = [_figures(one) for one in happened]
    most = max(one["asked"] for one in figures) or 1

    def place(asked: float, share: float) -> str:
        return f"{60 + 560 * asked / most:.1f},{320 - 280 * share:.1f}"

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 370" font-family="sans-serif" '
        'font-size="13"><rect width="860" height="370" fill="#fff"/>'
    ]
    for share in range(0, 101, 20):
        y = 320 - 2.8 * share
        parts.append(
            f'<path d="M60 {y}H620" stroke="#ddd"/><text x="52" y="{y + 4}" text-anchor="end">'
            f"{share}%</text>"
        )
    for asked in range(0, most + 1, 2 * BATCH):
        x = 60 + 560 * asked / most
        parts.append(f'<text x="{x}" y="340" text-anchor="middle">{asked}</text>')
    parts.append('<text x="340" y="362" text-anchor="middle">questions that people asked</text>')
    for at, (one, found) in enumerate(zip(happened, figures, strict=True)):
        colour = COLOURS[at % len(COLOURS)]
        middles = [min(BATCH * (n + 0.5), found["asked"]) for n in range(len(found["curve"]))]
        points = " ".join(map(place, middles, found["curve"]))
        ends = place(0, found["accuracy_before"]), place(found["asked"], found["accuracy_after"])
        jump = place(found["asked"], found["accuracy_before"])
        words = f"{found['accuracy_before']:.0%} → {found['accuracy_after']:.0%} unseen"
        parts.append(
            f'<g stroke="{colour}" fill="none"><polyline points="{points}" opacity=".5"/>'
            f'<polyline points="{ends[0]} {jump} {ends[1]}" stroke-width="2.5" '
            f'stroke-dasharray="7 4"/></g>'
        )
        for end in ends:
            across, down = end.split(",")
            parts.append(f'<circle cx="{across}" cy="{down}" r="5" fill="{colour}"/>')
        parts.append(
            f'<text x="640" y="{60 + 26 * at}" fill="{colour}">seed {one.seed}: {words}</text>'
        )
    parts.append(
        '<text x="640" y="290">solid: answers while people asked</text>'
        '<text x="640" y="310">dashed: the unseen questions;</text>'
        '<text x="640" y="330">they jump where a change went live</text></svg>'
    )
    return "".join(parts)


def table(found: Mapping[str, Any]) -> Table:
    """The figures for a terminal."""
    shown = Table(title="Unseen questions answered right")
    for column in ("", "n", "before", "after", "gain", "95% from", "strict gain"):
        shown.add_column(column, justify="right")
    rows = [*((f"seed {one['seed']}", one) for one in found["seeds"]), ("all", found)]
    for name, row in rows:
        shown.add_row(
            name, str(row["n"]), f"{row['accuracy_before']:.1%}", f"{row['accuracy_after']:.1%}",
            f"{100 * row['gain']:+.1f}", f"{100 * row['gain_low']:+.1f}",
            f"{100 * row['strict']['gain']:+.1f}",
        )  # fmt: skip
    return shown
