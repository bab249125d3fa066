"""What people wish of an agent's answers again and again, as one more sentence for it.

The sentences are ours: what people wrote is only counted, so that no text can instruct an agent.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agents.definition import MAX_PROMPT_CHARACTERS
from agents.improvement.learner import Window
from database.learning import Change, Proposal, learning_id, proposal_id_of
from database.records import PUBLIC, Document, Feedback, Run

LEAST_RUNS = 5
LEAST_PEOPLE = 2
LEAST_SHARE = 0.15
"""Of the answers that people said anything about, so many must be met by the same wish."""

_WISHES: Mapping[str, tuple[str, str]] = {
    "long": (
        r"too long|shorter|\bbrief|concise|too (?:many words|much text)|tl;?dr|get to the point",
        "Answer briefly: first what was asked, in a few sentences, and nothing that was not asked.",
    ),
    "short": (
        r"too short|more detail|longer\b|elaborate|in (?:more )?depth",
        "Give the details that help: reasons, steps, or an example.",
    ),
    "unclear": (
        r"hard to understand|unclear|confus|simpler|plain(?:er)? (?:words|language|english)|jargon",
        "Use plain words and short sentences, and explain a term where you first use it.",
    ),
    "incomplete": (
        r"something is missing|incomplete|left out|not everything|forgot (?:to|the|about)",
        "Before you answer, find everything that was asked, and answer every part of it.",
    ),
    "missed": (
        r"missed what i asked|not what i asked|off.?topic|did(?:n['’]t| not) answer my",
        "Answer exactly what was asked. If it can be read in two ways, say which one you answer.",
    ),
    "list": (
        r"\bbullet|\bas a list|numbered list",
        "Where there are several points, make a short list of them.",
    ),
    "example": (
        r"\ban example|\bexamples\b|for instance",
        "Give a short example where it helps to understand.",
    ),
}
_OPPOSITES = {"long": "short", "short": "long"}
_PATTERNS = {key: re.compile(pattern, re.IGNORECASE) for key, (pattern, _) in _WISHES.items()}
_SAYING = frozenset({"reason", "better", "correction"})
_MOST_AGENTS = 300
_KEPT_RUNS = 10
_KEPT_PEOPLE = 10
_KEPT_SEEN = 100
_KEPT_PLACES = 3
_FADE_AT = 200


def wished(window: Window, state: Mapping[str, Any]) -> tuple[list[Proposal], dict[str, Any]]:
    """Proposals for what enough people wish, and what is remembered of wishes.

    What is remembered is of the version that answers now: a change begins a new count.
    """
    agents = {d.name: d for d in window.documents if d.kind == "agent" and d.active}
    kept = {
        agent: row
        for agent, row in dict(state).items()
        if agent in agents and row["version"] == agents[agent].version
    }
    for run in (*window.older, *window.runs):
        _count(run, window.feedback.get(run.run_id, ()), agents, kept)
    proposals = [
        one for agent in sorted(kept) for one in _proposals(agents[agent], kept[agent], window.now)
    ]
    return proposals, dict(list(kept.items())[-_MOST_AGENTS:])


def wishes_in(feedback: Feedback) -> frozenset[str]:
    """The wishes that somebody's words hold; of those for more and for less only one's own."""
    if feedback.kind not in _SAYING or feedback.value >= 0 or not feedback.text:
        return frozenset()
    return frozenset(key for key, found in _PATTERNS.items() if found.search(feedback.text))


def _count(
    run: Run,
    said: Sequence[Feedback],
    agents: Mapping[str, Document],
    kept: dict[str, dict[str, Any]],
) -> None:
    document = agents.get(run.agent)
    spoken = [one for one in said if one.weight]
    if document is None or run.agent_version != document.version or not spoken:
        return
    row = kept.setdefault(
        run.agent, {"version": document.version, "felt": 0, "runs": [], "wishes": {}}
    )
    if run.run_id not in row["runs"]:
        row["runs"] = [*row["runs"], run.run_id][-_FADE_AT:]
        row["felt"] += 1
    for wish in sorted({wish for one in spoken for wish in wishes_in(one)}):
        found = row["wishes"].setdefault(wish, {"n": 0, "seen": [], "runs": [], "people": []})
        if run.run_id in found["seen"]:
            continue
        found["seen"] = [*found["seen"], run.run_id][-_KEPT_SEEN:]
        found["n"] += 1
        places = dict.fromkeys((*found.get("places", ()), run.audience))
        found["places"] = list(places)[:_KEPT_PLACES]
        if run.audience in (PUBLIC, document.audience):
            found["runs"] = [*found["runs"], run.run_id][-_KEPT_RUNS:]
        people = {_somebody(one) for one in spoken if one.user_id and wish in wishes_in(one)}
        found["people"] = sorted({*found["people"], *people})[:_KEPT_PEOPLE]
    if row["felt"] > _FADE_AT:
        row["felt"] /= 2
        for found in row["wishes"].values():
            found["n"] /= 2


def _readers(document: Document, places: Sequence[str]) -> str:
    """Who may know of a wish: where all of it was said in one private place, who is there."""
    alone = document.audience == PUBLIC and len(places) == 1
    return places[0] if alone else document.audience


def _somebody(feedback: Feedback) -> str:
    """Enough to tell people apart, and not who they are."""
    return learning_id("person", feedback.user_id or "")[:8]


def _proposals(document: Document, row: Mapping[str, Any], now: float) -> Iterator[Proposal]:
    counts = {wish: found["n"] for wish, found in row["wishes"].items()}
    for wish, found in row["wishes"].items():
        against = counts.get(_OPPOSITES.get(wish, ""), 0)
        enough = found["n"] >= LEAST_RUNS and len(found["people"]) >= LEAST_PEOPLE
        if not enough or found["n"] < LEAST_SHARE * row["felt"] or found["n"] < 2 * against:
            continue
        sentence = _WISHES[wish][1]
        prompt = str(document.body.get("system_prompt", "")).rstrip()
        if sentence in prompt or len(prompt) + len(sentence) + 1 > MAX_PROMPT_CHARACTERS:
            continue
        body = {**document.body, "system_prompt": f"{prompt}\n{sentence}"}
        changes = (Change("agent", document.name, document.version, body, document.audience),)
        yield Proposal(
            proposal_id=proposal_id_of("prompt-optimizer", changes),
            learner="prompt-optimizer",
            title=f"Tell {document.name}: {sentence}",
            why=(
                f"{len(found['people'])} people said so of {round(found['n'])} of the "
                f"{round(row['felt'])} answers that anybody said something about."
            ),
            changes=changes,
            evidence={
                "runs": list(found["runs"]),
                "figures": {
                    "answers with this wish": round(found["n"]),
                    "answers that were spoken of": round(row["felt"]),
                    "people": len(found["people"]),
                },
            },
            audience=_readers(document, found.get("places", ())),
            created_at=now,
            moved_at=now,
        )
