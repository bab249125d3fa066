"""The team review: once a week a manager asks each specialist about its own work, and concludes.

Each specialist reads some of its answers of the week and says what went well, where it struggled
and what should change; the manager reads what they said and decides on a few changes. What people
wrote goes to both as data. What comes back has a fixed shape with bounded lengths; a change is a
sentence more in the instructions, a temperature or a model, nothing else, and becomes a proposal
like any other: how risky it is and whether it helps is not the manager's to say.

Only what was said in public, to agents that everybody may use, is read here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field

from agents.definition import AgentDefinition, DefinitionError, parse_definition
from agents.drafting import Answered, ShapedModels, as_data, leads, one_line, repeats
from agents.improvement.judged import went_well
from agents.improvement.learner import Learned, Window
from agents.improvement.spending import week_of
from agents.turns import Turn
from database.errors import BudgetExceeded, ModelError
from database.learning import Change, Finding, Proposal, learning_id, proposal_id_of
from database.records import PUBLIC, Document, Run

NAME = "team-review"

_BETWEEN = 6 * 86_400.0
"""A week, less what clocks and busy machines take."""
_LEAST_RUNS = 30
_LEAST_OWN = 10
_SPECIALISTS = 8
_BAD, _GOOD = 6, 3
_QUOTED = 240

_LOOKING_BACK = (
    "{prompt}\n\nNow you look back at your own week with your manager. Say shortly and honestly "
    "what went well, where you struggled, and the one change of how you work that would help most."
)
_LEADING = (
    "You lead a team of assistants. Your specialists tell you about their week. Conclude: what "
    "went well, where the team struggled, and at most three changes that would help most. A change "
    "is for one of these specialists: {names}. It is one sentence more in its instructions, or a "
    "temperature from 0 to 1, or the model: fast (cheap) or strong. Propose none where things go "
    "well. Write plainly."
)

Said = Annotated[str, Field(max_length=400)]

_log = structlog.get_logger()


class OwnReview(BaseModel):
    """What a specialist says of its week."""

    model_config = ConfigDict(extra="forbid")

    went_well: Said
    struggled: Said
    should_change: Said


class WishedChange(BaseModel):
    """A change that the manager wants."""

    model_config = ConfigDict(extra="forbid")

    agent: Annotated[str, Field(max_length=64)]
    why: Said
    instruction: Annotated[str, Field(max_length=300)] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    model: Literal["fast", "strong"] | None = None


class Conclusion(BaseModel):
    """What the manager concludes."""

    model_config = ConfigDict(extra="forbid")

    went_well: Said
    struggled: Said
    changes: Annotated[list[WishedChange], Field(max_length=3)] = []


@dataclass(frozen=True, slots=True)
class Member:
    """A specialist with its answers of the week, and how many were judged and good."""

    document: Document
    definition: AgentDefinition
    runs: Sequence[Run]
    judged: int
    good: int
    shown: Sequence[Run]

    @property
    def figures(self) -> str:
        """Its week in a line."""
        how = f"{self.good} of {self.judged} judged answers were good" if self.judged else (
            "nobody judged them"
        )  # fmt: skip
        return f"{self.document.name}: {len(self.runs)} answers; {how}"


class TeamReview:
    """Asks `models`; what it remembers is when it looked last."""

    name = NAME
    about = "Once a week, a manager and the specialists look back and conclude what to change."
    cron = "0 6 * * 1"
    threshold = 5_000

    def __init__(self, models: ShapedModels) -> None:
        self._models = models

    async def learn(self, window: Window, state: Mapping[str, Any]) -> Learned:
        """Holds the review where the last one is a week ago and there is something to look at."""
        public = [r for r in window.runs if r.kind == "reply" and r.audience == PUBLIC]
        waited = window.now - float(state.get("reviewed_at", 0.0)) >= _BETWEEN
        if not waited or len(public) < _LEAST_RUNS:
            return Learned(state=dict(state))
        team = _team(public, window)
        if not team:
            return Learned(state=dict(state))
        told, conclusion = await self._held(team, window)
        findings = (_finding(team, told, conclusion, window),)
        proposals = tuple(_proposals(team, conclusion, window)) if conclusion else ()
        return Learned(findings, proposals, {"reviewed_at": window.now})

    async def _held(
        self, team: Sequence[Member], window: Window
    ) -> tuple[dict[str, OwnReview], Conclusion | None]:
        """What each said and what follows; as much of it as models and budget allow."""
        told: dict[str, OwnReview] = {}
        try:
            for member in team:
                review = await self._asked(_looking_back(member, window), OwnReview, "fast")
                if review is not None:
                    told[member.document.name] = review
            if told:
                return told, await self._asked(_leading(team, told), Conclusion, "strong")
        except BudgetExceeded as error:
            _log.info("team_review_cut_short", reason=str(error))
        return told, None

    async def _asked(
        self, turns: Sequence[Turn], schema: type[Answered], model: str
    ) -> Answered | None:
        try:
            answer, _ = await self._models.structured(
                turns, schema, model=model, temperature=0.2, max_tokens=900
            )
        except ModelError as error:
            _log.info("team_review_without_an_answer", reason=str(error))
            return None
        return answer


# What they look at


def _team(runs: Sequence[Run], window: Window) -> list[Member]:
    """The specialists with the most work that everybody may know of."""
    mine: dict[str, list[Run]] = {}
    for run in runs:
        mine.setdefault(run.agent, []).append(run)
    agents = {d.name: d for d in window.documents
              if d.kind == "agent" and d.active and d.audience == PUBLIC}  # fmt: skip
    members: list[Member] = []
    for name, theirs in sorted(mine.items(), key=lambda one: -len(one[1])):
        if name in agents and len(theirs) >= _LEAST_OWN and len(members) < _SPECIALISTS:
            try:
                definition = parse_definition(agents[name].body, f"agent {name}")
            except DefinitionError:
                continue
            members.append(_member(agents[name], definition, theirs, window))
    return members


def _member(
    document: Document, definition: AgentDefinition, runs: Sequence[Run], window: Window
) -> Member:
    words = {run.run_id: went_well(run, window.feedback.get(run.run_id, ())) for run in runs}
    told = [run for run in runs if run.request]  # the words of the exam's questions are hidden
    bad = [run for run in told if words[run.run_id] is False][-_BAD:]
    good = [run for run in told if words[run.run_id]][-_GOOD:]
    judged = [word for word in words.values() if word is not None]
    return Member(document, definition, runs, len(judged), sum(judged), [*bad, *good])


def _looking_back(member: Member, window: Window) -> list[Turn]:
    lines = []
    for run in member.shown:
        said = window.feedback.get(run.run_id, ())
        well = went_well(run, said)
        reasons = "; ".join(one.text for one in said if one.text)
        lines.append(
            f"[{'good' if well else 'bad'}] asked: {_short(run.request)} | answered: "
            f"{_short(run.reply or '')}" + (f" | people said: {_short(reasons)}" if reasons else "")
        )
    system = _LOOKING_BACK.format(prompt=member.definition.system_prompt)
    asked = f"Your week: {member.figures}."
    if lines:
        asked += f"\nSome of your answers:\n{as_data(lines)}"
    return [Turn("system", system), Turn("user", asked)]


def _leading(team: Sequence[Member], told: Mapping[str, OwnReview]) -> list[Turn]:
    names = ", ".join(member.document.name for member in team)
    figures = "\n".join(member.figures for member in team)
    lines = [
        f"{name} says. Went well: {one.went_well} Struggled: {one.struggled} "
        f"Should change: {one.should_change}"
        for name, one in told.items()
    ]
    asked = f"The week in figures:\n{figures}\n\nWhat they say:\n{as_data(lines)}"
    return [Turn("system", _LEADING.format(names=names)), Turn("user", asked)]


def _short(text: str) -> str:
    text = one_line(text)
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…"


# What follows


def _proposals(
    team: Sequence[Member], conclusion: Conclusion, window: Window
) -> Iterator[Proposal]:
    known = {member.document.name: member for member in team}
    heard = [
        one_line(said or "")
        for member in team
        for run in member.shown
        for said in (run.request, run.reply)
    ]
    for wish in conclusion.changes:
        member = known.get(wish.agent)
        fields = _fields(wish, member, heard) if member else {}
        if member is None or not fields:
            continue
        try:
            body = member.definition.changed(**fields).body()
        except DefinitionError as error:
            _log.info("team_review_wish_refused", reason=str(error))
            continue
        document = member.document
        if body == dict(member.definition.body()):
            continue
        changes = (Change("agent", document.name, document.version, body, document.audience),)
        yield Proposal(
            proposal_id=proposal_id_of(NAME, changes),
            learner=NAME,
            title=f"Let {document.name} work otherwise, as the team concluded",
            why=f"The manager of the review says: {one_line(wish.why)}",
            changes=changes,
            evidence={
                "runs": [run.run_id for run in member.shown],
                "figures": {"answers": len(member.runs), "judged": member.judged,
                            "good": member.good},
            },
            audience=document.audience,
            created_at=window.now,
            moved_at=window.now,
        )  # fmt: skip


def _fields(wish: WishedChange, member: Member, heard: Sequence[str]) -> dict[str, Any]:
    """The fields that a wish changes; an instruction that quotes what was `heard` or leads
    elsewhere is dropped.
    """
    found: dict[str, Any] = {}
    if wish.temperature is not None:
        found["temperature"] = wish.temperature
    if wish.model is not None:
        found["model"] = wish.model
    sentence = one_line(wish.instruction or "")
    quoted = any(repeats(said, sentence) for said in heard)
    if sentence and not quoted and not leads(sentence):
        prompt = member.definition.system_prompt
        if sentence not in prompt:
            found["system_prompt"] = f"{prompt}\n\n{sentence}"
    return found


def _finding(
    team: Sequence[Member],
    told: Mapping[str, OwnReview],
    conclusion: Conclusion | None,
    window: Window,
) -> Finding:
    week = week_of(window.now)
    if conclusion:
        text = (
            f"What went well: {one_line(conclusion.went_well)} Where we struggled: "
            f"{one_line(conclusion.struggled)}"
        )
    elif told:
        text = " ".join(f"{n}: {one_line(one.struggled)}" for n, one in told.items())
    else:
        text = "No model could be asked; here are the figures of the week."
    return Finding(
        finding_id=learning_id("finding", NAME, week),
        learner=NAME,
        kind="note",
        title=f"The team looked back at week {week}",
        text=text,
        data={
            "figures": {
                member.document.name: (
                    f"{member.good} of {member.judged} judged answers good, "
                    f"{len(member.runs)} in all"
                )
                for member in team
            }
        },
        runs=tuple(run.run_id for member in team for run in member.shown),
        created_at=window.now,
    )
