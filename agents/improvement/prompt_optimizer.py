"""Prompt optimizer: better instructions and examples for what an agent gets wrong.

It looks at questions whose right answer people let us know, finds the agents (and kinds of
requests) that fail at them, and searches for a prompt that does better. It sees the exam's learn
part only, and no candidate is chosen by an answer that it shows (prompt_search.py). What people
wish again and again where nothing can be checked becomes a sentence of the instructions
(wishes.py).
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from agents.checks import judge
from agents.definition import AgentDefinition, DefinitionError, parse_definition
from agents.improvement.asking import Asker
from agents.improvement.examples import Known, known_answers, shortened
from agents.improvement.learner import Learned, Window
from agents.improvement.prompt_search import Found, PromptSearch
from agents.improvement.variant_counts import counted
from agents.improvement.wishes import wished
from agents.turns import TextDelta, Turn
from agents.universal_agent import ModelPort
from agents.variants import variant_name
from database.errors import ModelError
from database.learning import Change, Finding, Proposal, learning_id, proposal_id_of
from database.records import PUBLIC, Document

NAME = "prompt-optimizer"

LEAST_QUESTIONS = 24
"""Fewer questions with known answers say too little to make anything of them and to choose by."""

_FOR_EACH_CHOICE, _MOST_WAITED_FOR = 4, 96
"""Where the choices stand in the questions, so many for each of them are waited for, but not more
than these together: fewer show most choices only once, if at all, and make a small gain of what
could have been a large one, whose trial then stands in the way for a while."""

_WEAK = 0.9
_LEAST_WRONG = 3
_LEAST_GAIN = 0.05
_AGAIN, _AGAIN_WHILE_TRIED = 1.25, 2.0
"""The same version is searched again when there are so many times the questions of last time: more
where something was found then, which is perhaps still being tried."""

_MOST_REMEMBERED = 3000
_REFLECTION_TOKENS = 700

_log = structlog.get_logger()


class Asks(Protocol):
    """Asks a definition (agents.improvement.asking)."""

    async def ask(self, definition: AgentDefinition, request: str) -> str:
        """One answer; '' where it failed."""


@dataclass(frozen=True, slots=True)
class Group:
    """Questions of one kind that one agent answers, as the people of one audience asked them."""

    document: Document
    definition: AgentDefinition
    task_type: str | None
    audience: str
    known: Sequence[Known]

    @property
    def key(self) -> str:
        """What is remembered of it is remembered under this."""
        return learning_id(NAME, self.document.name, self.task_type or "", self.audience)


class PromptOptimizer:
    """Searches with `models`; `calls` bounds the answers that one cycle asks for.

    `reflecting` lets a model write instructions anew (gepa) after what needs no model was tried.
    """

    name = NAME
    about = "Makes better instructions and examples for what agents get wrong."
    cron = "40 */3 * * *"
    threshold = 30

    def __init__(
        self,
        models: ModelPort,
        asks: Asks | None = None,
        *,
        calls: int = 340,
        reflecting: bool = True,
    ) -> None:
        self._models = models
        self._asks = asks or Asker(models)
        self._calls = calls
        self._reflecting = reflecting

    async def learn(self, window: Window, state: Mapping[str, Any]) -> Learned:
        """Judges what was answered, and searches where it was often wrong."""
        judged = await self._judged(window, state.get("judged", {}))
        tried = dict(state.get("tried", {}))
        findings: list[Finding] = []
        proposals: list[Proposal] = []
        left = self._calls
        for group in sorted(_groups(window), key=lambda one: len(one.known), reverse=True):
            right = _answers(group, judged)
            if not (_weak(right) and _enough(group) and _worth_trying(group, tried.get(group.key))):
                continue
            if left < LEAST_QUESTIONS * 3:
                break
            findings.append(_problem(group, right, window.now))
            search = PromptSearch(
                self._asks,
                self._reflect if self._reflecting else None,
                calls=left,
                remarks=_remarks(window, group.audience),
            )
            wrong = frozenset(key for key, ok in right.items() if not ok)
            found = await search.search(group.definition, group.known, wrong)
            left -= search.asked
            better = found is not None and found.after - found.before >= _LEAST_GAIN
            if found is not None and better:
                proposals.append(_proposal(group, found, window))
            tried[group.key] = {
                "version": group.document.version,
                "known": len(group.known),
                "found": better,
            }
        kept = {"judged": judged, "tried": dict(list(tried.items())[-500:])}
        kept |= counted(window, state)
        wishes, kept["wishes"] = wished(window, state.get("wishes", {}))
        return Learned(tuple(findings), (*proposals, *wishes), kept)

    async def _judged(self, window: Window, before: Mapping[str, Any]) -> dict[str, Any]:
        """Which questions were answered right, and by which version: by id, the newest kept."""
        judged = dict(before)
        runs = {run.run_id: run for run in (*window.older, *window.runs)}
        for known in known_answers(window.exam):
            run = runs.get(known.question.run_id)
            if run is None or run.kind != "reply":
                continue
            verdict = await judge([known.check], run.reply or "")
            await asyncio.sleep(0)  # answers go on meanwhile
            judged[known.question.question_id] = [run.agent_version, verdict.passed]
        return dict(list(judged.items())[-_MOST_REMEMBERED:])

    async def _reflect(self, prompt: str) -> str:
        """A model's answer; '' where it has none, so that the search goes on without it."""
        said = []
        try:
            turns = [Turn("user", prompt)]
            async for event in self._models.stream(
                turns, temperature=0.7, max_tokens=_REFLECTION_TOKENS
            ):
                if isinstance(event, TextDelta):
                    said.append(event.text)
        except ModelError as error:
            _log.info("reflection_failed", reason=str(error))
        return "".join(said)


def _groups(window: Window) -> list[Group]:
    """Kinds of questions that an agent answers, those of a private place by themselves.

    Questions of kinds that have too few are taken together, as the agent's own: only for those a
    whole agent is changed, and only where all who read it may read them.
    """
    agents = {d.name: d for d in window.documents if d.kind == "agent" and d.active}
    by_kind: dict[tuple[str, str | None, str], list[Known]] = defaultdict(list)
    for known in known_answers(window.exam):
        question = known.question
        document = agents.get(question.agent)
        if document is not None and document.audience in (PUBLIC, question.audience):
            by_kind[question.agent, question.task_type, question.audience].append(known)
    for key, few in list(by_kind.items()):
        agent, kind, audience = key
        if kind is not None and len(few) < LEAST_QUESTIONS:
            by_kind[agent, None, audience] += by_kind.pop(key)
    found = []
    for (agent, kind, audience), members in by_kind.items():
        own = agents[agent]
        if len(members) < LEAST_QUESTIONS or (kind is None and audience != own.audience):
            continue
        served = agents.get(_variant(agent, kind, audience, own) if kind else agent, own)
        definition = _definition(served)
        if definition is not None:
            found.append(Group(served, definition, kind, audience, members))
    return found


def _variant(agent: str, kind: str, audience: str, document: Document) -> str:
    """The name of a variant's document; one for a narrower audience is told apart by it."""
    if audience == document.audience:
        return variant_name(agent, kind)
    return variant_name(agent, kind, learning_id(audience)[:8])


def _definition(document: Document) -> AgentDefinition | None:
    try:
        return parse_definition(document.body, f"agent {document.name}")
    except DefinitionError:
        return None


def _answers(group: Group, judged: Mapping[str, Any]) -> dict[str, bool]:
    """Which of the group's questions the version that answers now got right."""
    found = {}
    for known in group.known:
        version, right = judged.get(known.question.question_id, (None, None))
        if version == group.document.version and right is not None:
            found[known.question.question_id] = bool(right)
    return found


def _weak(right: Mapping[str, bool]) -> bool:
    wrong = sum(not ok for ok in right.values())
    return wrong >= _LEAST_WRONG and wrong > (1 - _WEAK) * len(right)


def _enough(group: Group) -> bool:
    """Whether there are examples of each choice, where questions name what there is to choose."""
    choices = {label.casefold() for one in group.known for label in one.labels}
    closed = all(one.labels for one in group.known)
    return not closed or len(group.known) >= min(_FOR_EACH_CHOICE * len(choices), _MOST_WAITED_FOR)


def _worth_trying(group: Group, before: Mapping[str, Any] | None) -> bool:
    if before is None or before["version"] != group.document.version:
        return True
    again = _AGAIN_WHILE_TRIED if before.get("found") else _AGAIN
    return len(group.known) >= again * float(before["known"])


def _remarks(window: Window, audience: str) -> dict[str, str]:
    """What people said of a run, by run, where those who may read the group may read it."""
    found = {}
    for run in (*window.older, *window.runs):
        if run.audience not in (PUBLIC, audience):
            continue
        said = [one.text for one in window.feedback.get(run.run_id, ()) if one.text]
        if said:
            found[run.run_id] = said[-1]
    return found


def _problem(group: Group, right: Mapping[str, bool], now: float) -> Finding:
    wrong = [key for key, ok in right.items() if not ok]
    share = len(wrong) / len(right)
    missed = Counter(
        one.answer for one in group.known if right.get(one.question.question_id) is False
    )
    often = ", ".join(shortened(answer, 40) for answer, _ in missed.most_common(3))
    return Finding(
        finding_id=learning_id(
            "finding", group.key, group.document.version, str(len(right) // LEAST_QUESTIONS)
        ),
        learner=NAME,
        kind="problem",
        title=f"{group.definition.name} is often wrong about {group.task_type or 'its requests'}",
        text=(
            f"{len(wrong)} of {len(right)} answers with a known right answer were wrong "
            f"({share:.0%}), most often where right is {often}."
        ),
        data={
            "figures": {"wrong": len(wrong), "known": len(right)},
            "chart": {
                "title": "Wrong answers by right answer",
                "labels": [shortened(answer, 40) for answer, _ in missed.most_common(20)],
                "series": [{"name": "wrong", "values": [n for _, n in missed.most_common(20)]}],
            },
        },
        runs=tuple(
            one.question.run_id
            for one in group.known
            if right.get(one.question.question_id) is False
        )[:20],
        audience=group.audience,
        created_at=now,
    )


def _proposal(group: Group, found: Found, window: Window) -> Proposal:
    agent = group.definition.name
    changes = (_change(group, found),)
    gain = found.after - found.before
    kind = f" for requests of {group.task_type}" if group.task_type else ""
    return Proposal(
        proposal_id=proposal_id_of(NAME, changes),
        learner=NAME,
        title=f"Let {agent} answer{kind} with {found.candidate.made}",
        why=(
            f"On {found.n} questions with known answers {agent} got {found.before:.0%} right "
            f"before and {found.after:.0%} with a change of this kind, made each time without the "
            f"answers it was asked for."
        ),
        changes=changes,
        evidence={
            # all of them: whoever is forgotten must be found in what was made of their words
            "runs": [one.question.run_id for one in group.known],
            "figures": {
                "questions": found.n,
                "right before, %": round(100 * found.before, 1),
                "right after, %": round(100 * found.after, 1),
                "answers asked for": found.asked,
                "variants tried": len(found.tried),
            },
            "chart": {
                "title": "Right answers by variant, %",
                "labels": ["As it is", *(made for made, _ in found.tried)][:20],
                "series": [
                    {
                        "name": "Right, %",
                        "values": [
                            round(100 * share, 1)
                            for share in (found.before, *(share for _, share in found.tried))
                        ],
                    }
                ],
            },
        },
        expected={"effect": gain, "low": found.low, "high": found.high},
        task_type=group.task_type,
        audience=group.audience,
        created_at=window.now,
        moved_at=window.now,
    )


def _change(group: Group, found: Found) -> Change:
    """The agent itself, or a variant of it for one kind of request."""
    body = found.candidate.definition.body()
    name = group.definition.name
    if group.task_type is None:
        return Change("agent", name, group.document.version, body, group.document.audience)
    served = group.document
    agent_audience = PUBLIC if group.audience == PUBLIC else group.audience
    if served.name != name:  # a variant that is there already
        return Change("agent", served.name, served.version, body, served.audience)
    variant = _variant(name, group.task_type, group.audience, served)
    return Change("agent", variant, None, body, agent_audience)
