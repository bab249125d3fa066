"""Splitting an agent in two: who is surely worse at one kind of request than at its others.

The part is a copy of the whole that is for that kind alone: it begins with the same instructions,
and from then on each can become better without harm to the other. What people wrote becomes
examples, which routing compares requests with, and single words of it the part's name.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from agents.definition import DefinitionError
from agents.drafting import free_name, one_line
from agents.improvement.agent_changes import Agent, Suggestion
from agents.improvement.intervals import wilson
from agents.improvement.naming import subject
from agents.improvement.tallies import Tallies, Tally
from agents.similarity import Similarity
from agents.variants import variant_of
from database.learning import Change
from database.records import Run

GENERALIST = "generalist"

_LEAST_JUDGED = 30
_LEAST_EXAMPLES, _EXAMPLES = 3, 12
_LONGEST_EXAMPLE = 300
_ALIKE = 0.6
"""An example of the whole that is so much like a request of the kind goes with the part."""
_OTHERS = 500
_TOLD = 500

Told = Mapping[str, float]
"""By agent and kind: on how many judged answers a split was suggested; at twice as many, anew."""


def splits(
    agents: Sequence[Agent],
    tallies: Tallies,
    runs: Sequence[Run],
    known_kinds: Collection[str],
    told: Told,
) -> tuple[list[Suggestion], dict[str, float]]:
    """What to take out of which agent, and what is told by now.

    `known_kinds` are those whose right answers people told: there the agent is shown these
    (prompt_optimizer.py), and is not split.
    """
    by_name = {one.document.name: one for one in agents if not variant_of(one.document.name)}
    taken = set(by_name)
    now, found = dict(told), list[Suggestion]()
    for name, kind, part, rest in _uneven(tallies):
        agent, key = by_name.get(name), f"{name}|{kind}"
        if agent is None or kind in known_kinds or part.judged < 2 * told.get(key, 0):
            continue
        made = _split(agent, kind, part, rest, runs, taken)
        if made is not None:
            now[key] = part.judged
            taken |= {change.name for change in made.changes}
            found.append(made)
    return found, dict(list(now.items())[-_TOLD:])


def _uneven(tallies: Tallies) -> Iterator[tuple[str, str, Tally, Tally]]:
    """Agents that are surely worse at a kind than at the rest, and no other is surely better."""
    kinds = list(tallies.by_kind())
    for kind, agents in kinds:
        for name, part in agents.items():
            rest = Tally()
            for other, theirs in kinds:
                if other != kind and name in theirs:
                    rest.add(theirs[name])
            if name == GENERALIST or min(part.judged, rest.judged) < _LEAST_JUDGED:
                continue
            high = wilson(part.good, part.judged)[1]
            others = [t for other, t in agents.items() if other != name]
            if any(wilson(t.good, t.judged)[0] > high for t in others):
                continue
            if high < wilson(rest.good, rest.judged)[0]:
                yield name, kind, part, rest


def _split(
    agent: Agent, kind: str, part: Tally, rest: Tally, runs: Sequence[Run], taken: Collection[str]
) -> Suggestion | None:
    document, whole = agent.document, agent.definition
    theirs = [
        run for run in runs if run.agent == document.name and run.audience == document.audience
    ]
    own = {one_line(r.request).casefold(): r for r in theirs if _fits(r) and r.task_type == kind}
    chosen = list(own.values())[-_EXAMPLES:]
    requests = [one_line(run.request) for run in chosen]
    words = subject(requests, [run.request for run in theirs if run.task_type != kind][-_OTHERS:])
    if len(requests) < _LEAST_EXAMPLES or not words:
        return None
    about = " ".join(words)
    name = free_name("-".join((document.name, *words))[:60].rstrip("-"), taken)
    try:
        made = whole.changed(
            name=name,
            specialty=f"{about}, as a part of what {document.name} did"[:120],
            description=f"Does what {document.name} does, for one kind of request: {about}.",
            examples=requests,
        )
        kept = _without(whole.examples, requests)
        left = whole.changed(examples=kept) if len(kept) < len(whole.examples) else whole
    except DefinitionError:
        return None
    changes = [Change("agent", name, None, made.body(), document.audience)]
    if left.version != document.version:
        changes.append(
            Change("agent", document.name, document.version, left.body(), document.audience)
        )
    right, beside = part.good / part.judged, rest.good / rest.judged
    return Suggestion(
        f"Let a part of {document.name} be an agent of its own: {name}",
        (
            f"{document.name} is right in {right:.0%} of {part.judged:.0f} judged answers to "
            f"requests of {kind}, and in {beside:.0%} of {rest.judged:.0f} to all others. Both "
            "begin with the same instructions; from then on each becomes better by itself."
        ),
        tuple(changes),
        {
            "right at this": round(right, 3), "judged": round(part.judged),
            "right at the rest": round(beside, 3), "judged of the rest": round(rest.judged),
        },
        runs=[run.run_id for run in chosen],
        answers_now=document.name,
        task_type=kind,
    )  # fmt: skip


def _fits(run: Run) -> bool:
    return run.kind == "reply" and 0 < len(one_line(run.request)) <= _LONGEST_EXAMPLE


def _without(examples: Sequence[str], requests: Sequence[str]) -> list[str]:
    """The examples that are not like these requests."""
    if not examples:
        return []
    vectors = Similarity.load().embed([*examples, *requests])
    alike = (vectors[: len(examples)] @ vectors[len(examples) :].T).max(axis=1)
    return [one for one, like in zip(examples, alike, strict=True) if like < _ALIKE]
