"""Capability gaps: kinds of requests that nobody is for, or that go badly, and who could be.

A new specialist is drafted by the fast model, or from a template where there is none. What people
wrote goes to that model as data, and into the new agent only as examples that routing compares
requests with; of the prompt it never becomes a part. Where people let us know right answers,
whoever answers now can be shown them (the prompt optimizer's work), and no specialist is proposed:
it would begin without them, and its trial would stand in the way. What was asked in public is
quoted to all, what was asked in one private place there; of several private places only counts are
told.
"""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import structlog

from agents.definition import AgentDefinition, DefinitionError, parse_definition
from agents.drafting import (
    DRAFTING,
    DraftAgent,
    ShapedModels,
    as_data,
    definition_of,
    free_name,
    one_line,
    repeats,
)
from agents.improvement.intervals import wilson
from agents.improvement.judged import went_well
from agents.improvement.learner import Window
from agents.improvement.naming import is_telling, subject
from agents.turns import Turn
from database.errors import VirtuousError
from database.learning import Change, Finding, Proposal, learning_id, proposal_id_of
from database.records import PUBLIC, Document, Feedback, Run

GENERALIST = "generalist"

_MOST_KINDS = 500
_LEAST_RUNS = 20
_LEAST_JUDGED = 10
_LEAST_PEOPLE = 2
_ALONE = 0.9
_WELL, _BADLY = 0.85, 0.7
_LEAST_EXAMPLES, _EXAMPLES = 3, 12
_LONGEST_EXAMPLE = 300
_LEAST_KNOWN = 4
_MOST_DRAFTS = 1
_SHOWN, _SHOWN_CHARACTERS = 6, 120
_OTHERS = 500
"""Other requests that the words of a kind are compared with."""
_LETTERS = re.compile(r"[^\W\d_]{2,}")
_LEAST_WORDS = 2
_UNLIKE = 0.75
"""Of the pairs of neighbouring words in a draft, so many must be different ones."""
PATIENCE_SECONDS = 60.0
"""A model that drafts for longer than this, on a busy machine, is not waited for."""
_PLACES = 3
_MOST_WORDS = 2000

_log = structlog.get_logger()


@dataclass(slots=True)
class Kind:
    """A kind of request: counts, and digests of people. `told` is `n` when it was last told."""

    n: int = 0
    judged: int = 0
    good: int = 0
    agents: dict[str, int] = field(default_factory=dict)
    people: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    told: int = 0

    @property
    def audience(self) -> str | None:
        """Whose words of it may be quoted to whom; None where only counts may be told."""
        if PUBLIC in self.places:
            return PUBLIC
        return self.places[0] if len(self.places) == 1 else None

    def answered_by(self, documents: Sequence[Document]) -> str:
        """Who answers most of it, of those that all who may be told know of."""
        readers = (PUBLIC, self.audience or PUBLIC)
        known = {d.name for d in documents if d.kind == "agent" and d.audience in readers}
        mine = {name: n for name, n in self.agents.items() if name in known}
        return max(mine, key=lambda name: mine[name], default=GENERALIST)

    @property
    def gap(self) -> str:
        """What is missing, as a word of ours: `nobody`, `badly`, or '' for nothing."""
        if self.n < _LEAST_RUNS or 0 < len(self.people) < _LEAST_PEOPLE:
            return ""
        low, high = wilson(self.good, self.judged)
        if self.judged >= _LEAST_JUDGED and high < _BADLY:
            return "badly"
        alone = self.agents.get(GENERALIST, 0) >= _ALONE * self.n
        return "nobody" if alone and low < _WELL else ""


class Gaps:
    """Kinds of requests over all windows; the latest are remembered, without texts."""

    def __init__(self, state: Mapping[str, Any] | None) -> None:
        state = state or {}
        self._kinds = {name: Kind(**row) for name, row in state.get("kinds", {}).items()}
        self._words: dict[str, bool] = dict(state.get("words", {}))

    def take_in(self, run: Run, feedback: Sequence[Feedback]) -> None:
        """Count a request."""
        if run.kind != "reply" or run.task_type is None:
            return
        kind = self._kinds.pop(run.task_type, None) or Kind()
        self._kinds[run.task_type] = kind  # the last is the one asked last
        kind.n += 1
        kind.agents[run.agent] = kind.agents.get(run.agent, 0) + 1
        self.judge(run, feedback)
        if run.user_id and len(kind.people) < _LEAST_PEOPLE:
            digest = hashlib.blake2b(run.user_id.encode(), digest_size=4).hexdigest()
            kind.people = sorted({*kind.people, digest})
        if run.audience not in kind.places:
            places = sorted({*kind.places, run.audience}, key=lambda one: one != PUBLIC)
            kind.places = places[:_PLACES]

    def judge(self, run: Run, feedback: Sequence[Feedback]) -> None:
        """Count what is said of an answer, in place of what was said before."""
        kind, well = self._kinds.get(run.task_type or ""), went_well(run, feedback)
        if kind is None or well is None or run.kind != "reply":
            return
        before = self._words.pop(run.run_id, None)
        self._words[run.run_id] = well
        if before is None:
            kind.judged, kind.good = kind.judged + 1, kind.good + well
        else:
            kind.good += well - before

    def new(self) -> Iterator[tuple[str, Kind]]:
        """Gaps that were not told, or that twice as many requests fell into since."""
        for name, kind in self._kinds.items():
            if kind.gap and kind.n >= 2 * kind.told:
                yield name, kind

    def as_json(self) -> dict[str, Any]:
        """What to remember."""
        kept = list(self._kinds.items())[-_MOST_KINDS:]
        for _, kind in kept:
            kind.agents = dict(Counter(kind.agents).most_common(20))
        return {
            "kinds": {name: asdict(kind) for name, kind in kept},
            "words": dict(list(self._words.items())[-_MOST_WORDS:]),
        }


async def found_gaps(
    gaps: Gaps, window: Window, models: ShapedModels | None
) -> tuple[list[Finding], list[Proposal]]:
    """What is missing, and specialists for it; a gap without enough requests in sight waits."""
    findings: list[Finding] = []
    proposals: list[Proposal] = []
    known = kinds_with_answers(window)
    for name, kind in gaps.new():
        audience = kind.audience
        runs = _examples(name, audience, window)
        if audience is not None and len(runs) < _LEAST_EXAMPLES:
            continue
        if len(proposals) >= _MOST_DRAFTS:
            break
        kind.told = kind.n
        findings.append(_finding(name, kind, runs, window))
        if audience is not None and name not in known:
            made = await _definition(kind, runs, window, models)
            if made is not None:
                proposals.append(_proposal(name, kind, audience, made, runs, window))
    return findings, proposals


def kinds_with_answers(window: Window) -> set[str]:
    """Kinds of requests of which people told enough right answers to show them to an agent."""
    told = Counter(question.task_type for question in window.exam if question.task_type)
    return {name for name, n in told.items() if n >= _LEAST_KNOWN}


def _examples(name: str, audience: str | None, window: Window) -> list[Run]:
    """Different requests of the kind that its audience may see, the newest last."""
    found: dict[str, Run] = {}
    for run in window.runs:
        text = one_line(run.request)
        if run.task_type == name and run.audience == audience and 0 < len(text) <= _LONGEST_EXAMPLE:
            found[text.casefold()] = run
    return list(found.values())[-_EXAMPLES:]


async def _definition(
    kind: Kind, runs: Sequence[Run], window: Window, models: ShapedModels | None
) -> AgentDefinition | None:
    agents = {d.name: d for d in window.documents if d.kind == "agent"}
    now = agents.get(kind.answered_by(window.documents))
    tools = [str(tool) for tool in (now.body.get("tools") or ())] if now else []
    requests = [one_line(run.request) for run in runs]
    drafted = await _drafted(requests, agents, tools, models) if models else None
    about = _about(runs, window)
    try:
        made = drafted or _template(about, agents, tools)
        if drafted and not is_telling(drafted.name):
            made = drafted.changed(name=free_name("-".join(about), agents))
        return made.changed(examples=requests)
    except DefinitionError as error:
        _log.info("gap_without_definition", reason=str(error))
        return None


async def _drafted(
    requests: Sequence[str],
    taken: Mapping[str, Document],
    tools: Sequence[str],
    models: ShapedModels,
) -> AgentDefinition | None:
    """What the fast model makes of it; None where it makes nothing that can be used."""
    shown = as_data([request[:_SHOWN_CHARACTERS] for request in requests[-_SHOWN:]])
    asked = f"The specialty: requests like these.\n{shown}"
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            draft, _ = await models.structured(
                [Turn("system", DRAFTING), Turn("user", asked)], DraftAgent, model="fast",
                temperature=0.2, max_tokens=1200,
            )  # fmt: skip
        made = definition_of(draft, taken, tools)
    except (VirtuousError, TimeoutError) as error:
        _log.info("specialist_from_template", reason=str(error) or "It takes too long.")
        return None
    if wrong := _unusable(made, [*requests, one_line(asked)]):
        _log.info("specialist_from_template", reason=wrong)
        return None
    return made


def _unusable(made: AgentDefinition, heard: Sequence[str]) -> str:
    """What is wrong with a draft: small models echo what they read, and go round in circles."""
    texts = [one_line(t) for t in (made.specialty, made.description, made.system_prompt)]
    if any(repeats(said, text) for said in heard for text in texts):
        return "The draft repeats what was asked."
    if len(_LETTERS.findall(made.specialty)) < _LEAST_WORDS:
        return "The draft names no specialty."
    for text in texts:
        pairs = list(pairwise(_LETTERS.findall(text.lower())))
        if len(set(pairs)) < _UNLIKE * len(pairs):
            return "The draft goes round in circles."
    return ""


def _about(runs: Sequence[Run], window: Window) -> tuple[str, ...]:
    """What the requests are about, in single words that most of them have and others have not."""
    kinds = {run.task_type for run in runs}
    others = [run.request for run in window.runs if run.task_type not in kinds]
    found = subject([run.request for run in runs], others[-_OTHERS:])
    return found or ("special", "requests")


def _template(
    about: Sequence[str], taken: Mapping[str, Document], tools: Sequence[str]
) -> AgentDefinition:
    """A specialist from nothing but single words of the requests."""
    words = " ".join(about)
    body = {
        "name": free_name("-".join(about), taken),
        "specialty": f"Requests about {words}"[:120],
        "description": f"Answers one kind of request that nobody was for; it is about {words}.",
        "system_prompt": (
            f"You are a specialist for one kind of request; it is about: {words}.\n\nFind out what "
            "exactly is asked, and answer that first. Keep to the form that is asked for. If the "
            "answer depends on something that you were not told, ask for it in one question "
            "instead of guessing. Say so when you do not know."
        ),
        "tools": list(tools),
    }
    return parse_definition(body, "the new specialist")


def _finding(name: str, kind: Kind, runs: Sequence[Run], window: Window) -> Finding:
    nobody = kind.gap == "nobody"
    title = f"Nobody is there for requests of {name}" if nobody else f"Requests of {name} go badly"
    low, high = wilson(kind.good, kind.judged)
    went = (
        f"{kind.good} of {kind.judged} judged answers were good (95%: {low:.0%} to {high:.0%})."
        if kind.judged
        else "Nobody has said how the answers were."
    )
    such = "; ".join(f"“{one_line(run.request)[:80]}”" for run in runs[-3:])
    return Finding(
        finding_id=learning_id("finding", "gap", name),
        learner="workflow-analyst",
        kind="gap",
        title=title,
        text=(
            f"{kind.n} of them were answered, mostly by {_who(kind, window)}. {went}"
            + (f" Such as: {such}" if such else "")
        ),
        data={
            "support": kind.n,
            "figures": {"requests": kind.n, "judged": kind.judged, "good": kind.good},
        },
        runs=tuple(run.run_id for run in runs),
        audience=kind.audience or PUBLIC,
        created_at=window.now,
    )


def _who(kind: Kind, window: Window) -> str:
    name = kind.answered_by(window.documents)
    return "the generalist" if name == GENERALIST else name


def _proposal(
    name: str,
    kind: Kind,
    audience: str,
    made: AgentDefinition,
    runs: Sequence[Run],
    window: Window,
) -> Proposal:
    changes = (Change("agent", made.name, None, made.body(), audience),)
    return Proposal(
        proposal_id=proposal_id_of("workflow-analyst", changes),
        learner="workflow-analyst",
        title=f"Make a specialist: {made.name}",
        why=(
            f"{kind.n} requests of {name} went mostly to {_who(kind, window)}; {kind.good} of "
            f"{kind.judged} judged answers were good. The specialist must first do better on such "
            "requests, unseen."
        ),
        changes=changes,
        evidence={
            "runs": [run.run_id for run in runs],
            "answers_now": kind.answered_by(window.documents),
            "figures": {"requests": kind.n, "judged": kind.judged, "good": kind.good},
        },
        task_type=name,
        audience=audience,
        created_at=window.now,
        moved_at=window.now,
    )
