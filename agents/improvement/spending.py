"""What answers cost, by agent, workflow, person and model, for this week and the last; of variants
by day.

Weeks are ISO weeks (UTC). People are kept by id, so that whoever asks can be told their own; what
is told to others is counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from database.records import Run

By = Literal["agent", "workflow", "person", "model"]
_BY: tuple[By, ...] = ("agent", "workflow", "person", "model")
_MOST: Mapping[By, int] = {"agent": 500, "workflow": 300, "person": 2000, "model": 50}
_WEEKS = 2
_DAY = 86_400.0
_DAYS = 100
_VARIANTS = 100
"""Documents of variants whose sums are kept of a day."""


@dataclass(slots=True)
class Spent:
    """Sums over runs; `usd` leaves out the `unpriced` ones, `tokens` counts both ways."""

    runs: int = 0
    tokens: int = 0
    usd: float = 0.0
    unpriced: int = 0
    seconds: float = 0.0

    def add(self, run: Run) -> None:
        """One more."""
        self.runs += 1
        self.tokens += (run.input_tokens or 0) + (run.output_tokens or 0)
        self.usd += run.cost_usd or 0.0
        self.unpriced += run.cost_usd is None
        self.seconds += (run.duration_ms or 0.0) / 1000

    def plus(self, other: "Spent") -> None:
        """Another's sums as well."""
        self.runs += other.runs
        self.tokens += other.tokens
        self.usd += other.usd
        self.unpriced += other.unpriced
        self.seconds += other.seconds


class Spending:
    """The sums of the latest two weeks that anything was seen of."""

    def __init__(self, state: Mapping[str, Any] | None) -> None:
        self._weeks: dict[str, dict[By, dict[str, Spent]]] = {
            week: {by: {key: Spent(*row) for key, row in kept[by].items()} for by in _BY}
            for week, kept in (state or {}).items()
        }

    def take_in(self, runs: Iterable[Run], now: float) -> None:
        """Count runs; one without a time of its own counts now."""
        for run in runs:
            week = week_of(run.started_at or now)
            sums = self._weeks.setdefault(week, {by: {} for by in _BY})
            for by, key in zip(_BY, _keys(run), strict=True):
                if key:
                    sums[by].setdefault(key, Spent()).add(run)

    def of(self, week: str, by: By) -> Mapping[str, Spent]:
        """A week's sums, the dearest first; where prices are not known, by tokens."""
        found = self._weeks.get(week, {}).get(by, {})
        return dict(sorted(found.items(), key=lambda one: (-one[1].usd, -one[1].tokens, one[0])))

    def as_json(self) -> dict[str, Any]:
        """What to remember."""
        weeks = sorted(self._weeks)[-_WEEKS:]
        return {
            week: {
                by: {key: list(astuple(one)) for key, one in list(self.of(week, by).items())[:most]}
                for by, most in _MOST.items()
            }
            for week in weeks
        }


class OfVariants:
    """What the answers of agents' variants cost, by day (UTC) and document."""

    def __init__(self, state: Mapping[str, Any] | None) -> None:
        self._days: dict[int, dict[str, Spent]] = {
            int(day): {name: Spent(*row) for name, row in sums.items()}
            for day, sums in (state or {}).items()
        }

    def take_in(self, runs: Iterable[Run]) -> None:
        """Count those that a variant answered."""
        for run in runs:
            variant = (run.route or {}).get("variant")
            if variant and run.started_at is not None:
                sums = self._days.setdefault(int(run.started_at // _DAY), {})
                sums.setdefault(str(variant), Spent()).add(run)

    def between(self, since: float, until: float) -> Mapping[str, Spent]:
        """The sums of the days that lie in a period, by document."""
        found: dict[str, Spent] = {}
        for day, sums in self._days.items():
            if since < (day + 1) * _DAY and day * _DAY < until:
                for name, spent in sums.items():
                    found.setdefault(name, Spent()).plus(spent)
        return found

    def as_json(self) -> dict[str, Any]:
        """What to remember."""
        days = sorted(self._days.items())[-_DAYS:]
        return {
            str(day): {name: list(astuple(one)) for name, one in list(sums.items())[:_VARIANTS]}
            for day, sums in days
        }


def week_of(at: float) -> str:
    """The ISO week of a time, such as 2026-W47."""
    found = datetime.fromtimestamp(at, UTC).isocalendar()
    return f"{found.year}-W{found.week:02}"


def _keys(run: Run) -> tuple[str | None, ...]:
    workflow = (run.route or {}).get("workflow")
    return run.agent, str(workflow) if workflow else None, run.user_id, run.model
