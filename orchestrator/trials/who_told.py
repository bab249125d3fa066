"""Pure: how far observations can stand for all requests: who spoke of them, and who served them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from database.learning import Observation, Trial
from orchestrator.trials import sequential
from orchestrator.trials.sequential import is_missing


def rest_without(seen: Sequence[Observation], tellers: Mapping[str, str]) -> dict[str, Any]:
    """The outcomes without those that rest on the word of the person who told most."""
    told = Counter(tellers.values())
    who, most = told.most_common(1)[0] if told else ("", 0)
    others = [o for o in seen if not told or tellers.get(o.run_id) != who]
    paired = [(o.active, o.candidate) for o in others if None not in (o.active, o.candidate)]
    if paired:
        effect: float | None = sum((c or 0.0) - (a or 0.0) for a, c in paired) / len(paired)
    else:
        arms = [[v for o in others if (v := value(o)) is not None] for value in (_new, _old)]
        effect = fmean(arms[0]) - fmean(arms[1]) if all(arms) else None
    return {
        "tellers": len(told),
        "most_told": round(most / len(seen), 3) if seen else 0.0,
        "others": len(others),
        "effect_of_others": None if effect is None else round(effect, 4),
    }


def _new(o: Observation) -> float | None:
    return o.candidate


def _old(o: Observation) -> float | None:
    return o.active


def mismatch(trial: Trial, observations: Sequence[Observation]) -> str | None:
    """Why a split must stop: its arms were served in other shares than they were assigned.

    Each thread is observed once in the aspect `error`, in the arm that it was assigned to.
    """
    if trial.method != "split" or trial.share <= 0:
        return None
    served = {"active": 0, "candidate": 0}
    for o in observations:
        if o.aspect == "error":
            served["active" if o.candidate is None else "candidate"] += 1
    found = sequential.share_mismatch({"active": 0.5, "candidate": 0.5}, served)
    return found.reason if found.found else None


def selection(observations: Sequence[Observation]) -> dict[str, Any]:
    """How far the judged pairs can stand for all of a trial's requests.

    Of what the candidate does where the active answer was right and where it was wrong each is
    known from judged pairs; the share of wrong answers among those that nobody spoke about is not.
    The effect is worst where none of them was wrong.
    """
    pairs = [
        o for o in observations
        if o.aspect == "outcome" and o.source in ("check", "user", "implicit")
        and o.active is not None and o.candidate is not None
    ]  # fmt: skip
    errors = {o.run_id for o in observations if o.aspect == "error" and not is_missing(o)}
    requests = len(errors | {o.run_id for o in pairs})
    right = [o.candidate or 0.0 for o in pairs if o.active and o.active > 0.5]
    wrong = [o.candidate or 0.0 for o in pairs if not o.active or o.active <= 0.5]
    if not pairs:
        return {}
    gained = sum(wrong) / len(wrong) if wrong else 0.0
    lost = 1 - sum(right) / len(right) if right else 1.0
    least_wrong = len(wrong) / requests
    at_worst = least_wrong * gained - (1 - least_wrong) * lost if right else None
    return {
        "spoken_of": round(len(pairs) / requests, 3),
        "effect_at_worst": None if at_worst is None else round(at_worst, 4),
    }
