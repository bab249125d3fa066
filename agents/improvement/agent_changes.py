"""Changes of an agent that its figures suggest; each must still prove itself.

What is changed comes from fixed rules: no word that a person or a model wrote gets into a
definition here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agents.definition import AgentDefinition
from agents.improvement.intervals import wilson
from agents.improvement.problems import Problem
from agents.improvement.tallies import Habits, Tallies
from agents.similarity import Similarity
from agents.variants import variant_of
from database.learning import Change
from database.records import Document

CALM = 0.0
_WARM = 0.3
_LEAST_RUNS = 100
_LEAST_CUT = 10
_CUT_SHARE = 0.1
_LONGEST = 4096
_NEAR_EQUAL = 0.93
_KEPT_TOOLS = frozenset({"ask_person"})
"""Seldom needed, and then badly."""

_WEAK = frozenset({"success", "version", "peers"})


class Names(Protocol):
    """What is behind the names `strong` and `fast`."""

    def resolve(self, model: str) -> str:
        """The real name behind `strong`, `fast` or a real name."""


@dataclass(frozen=True, slots=True)
class Agent:
    """An active agent as the rules see it."""

    document: Document
    definition: AgentDefinition
    habits: Habits


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Changes, why, and figures; `problem` is what they should mend, where there is one.

    `cheaper`: it should be as good and take less; otherwise it should be better. `answers_now` is
    the agent that a new one is to be compared with, `task_type` the kind of request it is for.
    """

    title: str
    why: str
    changes: tuple[Change, ...]
    figures: Mapping[str, Any]
    runs: Sequence[str] = ()
    problem: Problem | None = None
    cheaper: bool = False
    answers_now: str = ""
    task_type: str | None = None


def suggestions(
    agent: Agent, problems: Sequence[Problem], names: Names | None
) -> Iterator[Suggestion]:
    """What may help this agent, most promising first."""
    yield from _room(agent)
    weak = next((p for p in problems if p.kind in _WEAK and p.severity != "low"), None)
    if weak is not None:
        yield from _calmer(agent, weak)
        yield from _stronger(agent, weak, names)
    yield from _unused(agent)


def near_equal(agents: Sequence[Agent], tallies: Tallies) -> Iterator[Suggestion]:
    """Pairs of agents that are nearly the same: one takes over the other's examples."""
    fallbacks = {name for one in agents for name in one.definition.fallbacks}
    plain = [one for one in agents if variant_of(one.document.name) is None]
    if len(plain) < 2:
        return
    vectors = Similarity.load().embed([_of_itself(one.definition) for one in plain])
    alike = vectors @ vectors.T
    gone: set[str] = set()
    runs = {name: round(tally.runs) for name, tally in tallies.sums().items()}
    for at, one in enumerate(plain):
        for beside in range(at + 1, len(plain)):
            pair = [one, plain[beside]]
            if alike[at, beside] < _NEAR_EQUAL or not _may_merge(pair, tallies):
                continue
            less, more = sorted(pair, key=lambda agent: runs.get(agent.document.name, 0))
            names = {less.document.name, more.document.name}
            if less.document.name in fallbacks or names & gone:
                continue
            gone |= names
            yield _merged(more, less, float(alike[at, beside]), runs)


def _change(agent: Agent, **fields: Any) -> tuple[Change, ...]:
    document = agent.document
    body = agent.definition.changed(**fields).body()
    return (Change("agent", document.name, document.version, body, document.audience),)


def _calmer(agent: Agent, problem: Problem) -> Iterator[Suggestion]:
    now = agent.definition.temperature
    if now is not None and now <= _WARM:
        return
    said = "the model's own" if now is None else f"{now:g}"
    yield Suggestion(
        f"Let {agent.document.name} answer the same to the same (temperature {CALM:g})",
        f"{problem.says} Its temperature is {said}: answers to one request differ by chance.",
        _change(agent, temperature=CALM),
        {"temperature now": said, "then": CALM},
        problem=problem,
    )


def _stronger(agent: Agent, problem: Problem, names: Names | None) -> Iterator[Suggestion]:
    if agent.definition.model != "fast" or names is None:
        return
    if names.resolve("fast") == names.resolve("strong"):
        return
    yield Suggestion(
        f"Let {agent.document.name} ask the strong model",
        f"{problem.says} It asks the fast model. The strong one may do better; it costs more.",
        _change(agent, model="strong"),
        {"model now": names.resolve("fast"), "then": names.resolve("strong")},
        problem=problem,
    )


def _room(agent: Agent) -> Iterator[Suggestion]:
    """More tokens where answers end because they may be no longer."""
    habits, most = agent.habits, agent.definition.max_tokens
    if most is None or most >= _LONGEST or habits.cut < _LEAST_CUT:
        return
    if habits.cut < _CUT_SHARE * habits.runs:
        return
    more = min(2 * most, _LONGEST)
    yield Suggestion(
        f"Let {agent.document.name} write up to {more} tokens",
        (
            f"{habits.cut} of {habits.runs} answers used all of the {most} tokens that it may "
            "write, so they were probably cut off."
        ),
        _change(agent, max_tokens=more),
        {"answers": habits.runs, "cut off": habits.cut, "tokens now": most, "then": more},
        runs=habits.examples,
    )


def _unused(agent: Agent) -> Iterator[Suggestion]:
    """Fewer tools where some were never used: each costs words in every call."""
    if agent.habits.runs < _LEAST_RUNS:
        return
    unused = [
        tool
        for tool in agent.definition.tools
        if tool not in agent.habits.tools and tool not in _KEPT_TOOLS
    ]
    if not unused:
        return
    kept = [tool for tool in agent.definition.tools if tool not in unused]
    yield Suggestion(
        f"Take from {agent.document.name} what it never uses: {', '.join(unused)}",
        (
            f"In {agent.habits.runs} answers of this version none of these tools was called, and "
            "each is described to the model in every call."
        ),
        _change(agent, tools=kept),
        {"answers": agent.habits.runs, "tools now": len(agent.definition.tools),
         "then": len(kept)},
        cheaper=True,
    )  # fmt: skip


def _of_itself(definition: AgentDefinition) -> str:
    return "\n".join((definition.description, *definition.examples, definition.system_prompt))


def _may_merge(pair: Sequence[Agent], tallies: Tallies) -> bool:
    """Same readers, model and tools, and neither surely better at what both answer."""
    one, other = (agent.definition for agent in pair)
    if pair[0].document.audience != pair[1].document.audience:
        return False
    if (one.model, set(one.tools)) != (other.model, set(other.tools)):
        return False
    if "generalist" in (one.name, other.name):
        return False
    for _, agents in tallies.by_kind():
        if one.name in agents and other.name in agents:
            mine, theirs = (
                wilson(agents[name].good, agents[name].judged) for name in (one.name, other.name)
            )
            if mine[1] < theirs[0] or theirs[1] < mine[0]:
                return False
    return True


def _merged(kept: Agent, gone: Agent, alike: float, runs: Mapping[str, int]) -> Suggestion:
    examples = list(dict.fromkeys((*kept.definition.examples, *gone.definition.examples)))[:40]
    retired = Change("agent", gone.document.name, gone.document.version, None,
                     gone.document.audience)  # fmt: skip
    names = kept.document.name, gone.document.name
    changed = (*_change(kept, examples=examples),) if examples != list(
        kept.definition.examples
    ) else ()  # fmt: skip
    return Suggestion(
        f"Let {names[0]} answer what {names[1]} does, and take {names[1]} away",
        (
            f"What they say of themselves is {alike:.0%} alike, they have the same model and "
            "tools, and neither is surely better at what both answer."
        ),
        (*changed, retired),
        {
            "alike": round(alike, 3),
            f"answers of {names[0]}": runs.get(names[0], 0),
            f"answers of {names[1]}": runs.get(names[1], 0),
        },
    )
