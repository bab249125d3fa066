"""Real outcomes to try verdicts on: which model, in which form, solved which task of MINT.

`arms.csv.gz` of the data set: models with and without feedback by another model, at the same tasks.
A comparison of two of them is what a trial compares: one request, two answers, each right or wrong.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agents.pricing import cost_usd
from agents.streaming import Usage
from benchmarks.public_data import table

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
"""Where the public data sets are, unless told otherwise."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Arm:
    """One model in one form; by task whether it was right and what that cost (None: unknown)."""

    model: str
    form: str
    right: dict[str, float]
    usd: dict[str, float] | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two arms at the tasks of both; the candidate is the one that is right more often.

    `same_model` tells a change of how a model works from a change of the model.
    """

    active: Floats
    candidate: Floats
    active_usd: Floats | None
    candidate_usd: Floats | None
    same_model: bool

    @property
    def effect(self) -> float:
        """Candidate minus active, as a share of the tasks."""
        return float(self.candidate.mean() - self.active.mean())

    def drawn(self, generator: np.random.Generator, n: int) -> npt.NDArray[np.intp]:
        """Requests: tasks at random, each as likely at any time, so that the effect is known."""
        return generator.integers(0, len(self.active), size=n)


def arms(folder: Path) -> list[Arm]:
    """The arms of the data set in `folder`/mint. Raises InputError where it is not there."""
    rows: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in table(folder / "mint" / "arms.csv.gz"):
        rows[row["model"], row["feedback"]].append(row)
    return [_arm(model, form, found) for (model, form), found in sorted(rows.items())]


def comparisons(arms: Sequence[Arm]) -> list[Comparison]:
    """Every two arms that are not equally good."""
    found = [_compared(one, other) for one, other in itertools.combinations(arms, 2)]
    return [c for c in found if c.effect > 0.0]


def _arm(model: str, form: str, rows: Sequence[dict[str, str]]) -> Arm:
    right = {row["task_id"]: float(row["success"]) for row in rows}
    usd = {row["task_id"]: _usd(model, row) for row in rows}
    priced = {task: cost for task, cost in usd.items() if cost is not None}
    return Arm(model, form, right, priced if len(priced) == len(right) else None)


def _usd(model: str, row: dict[str, str]) -> float | None:
    """At today's published price of this model or of the one that took its name."""
    usage = Usage(int(row["est_prompt_tokens"]), int(row["est_completion_tokens"]))
    base_url = "https://api.anthropic.com" if model.startswith("claude") else None
    return cost_usd(usage, model=re.sub(r"-\d{4}$", "", model), base_url=base_url)


def _compared(one: Arm, other: Arm) -> Comparison:
    tasks = sorted(one.right.keys() & other.right.keys())
    right = [np.array([arm.right[task] for task in tasks]) for arm in (one, other)]
    usd = [np.array([arm.usd[t] for t in tasks]) if arm.usd else None for arm in (one, other)]
    old, new = (0, 1) if right[0].mean() <= right[1].mean() else (1, 0)
    return Comparison(right[old], right[new], usd[old], usd[new], one.model == other.model)
