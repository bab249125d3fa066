"""Who does which step: by meaning and by what has worked; the fast model where that is open."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from database.errors import ModelError
from database.goals import NOTHING, Goal, Spent, Task
from goals.drafts import choice_schema
from goals.estimates import PRIOR_CHANCE, PRIOR_RUNS
from goals.ports import Planner, Roster, Specialist

GENERALIST = "generalist"
"""Does whatever no specialist is for, where there is an agent of that name."""

# Of 17 steps such as plans have, with the ten specialists shipped: what is at least CLEAR is right,
# and of what is below OPEN next to nothing is for any of them.
CLEAR = 0.33
OPEN = 0.28
AHEAD = 0.08

# Short steps in a person's own words are less like any description, and still far more like one
# than like the others: of 24 such parts of ten requests two were between these and OPEN, rightly.
ALONE = 0.25
FAR_AHEAD = 0.11

RECORD_WEIGHT = 0.2
"""So much likeness is worth a record that is better by 1, of chances in 0..1."""

POOR = 0.3
"""Who succeeds less often, as far as is known, is not chosen but where a person named them."""

_OFFERED = 3
_TEXT = 200
_EXPERTS = re.compile(r"\b(?:specialists?|experts?)\b", re.IGNORECASE)

_CHOOSING = (
    "Choose who does each step of a plan. Take a specialist only if the step is exactly what they "
    f"do, else {GENERALIST}. Answer with one name for each step."
)

_EXAMPLE = (
    "sql-helper: writing and explaining SQL queries\n"
    "travel-agent: finding trains and flights\n"
    "generalist: everyday questions, explaining and writing\n\n"
    "step_1 (generalist or sql-helper): Choose a database. Compare three databases for our shop "
    "and choose one.\n"
    "step_2 (sql-helper or generalist): Count the orders. Write a query that counts orders by "
    "month.\n"
    "step_3 (generalist or travel-agent): Write the mail. Write a mail to the team about the trip.",
    '{"step_1": "generalist", "step_2": "sql-helper", "step_3": "generalist"}',
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Assigned:
    """The steps with their agents, what choosing took, and what there is to say of it."""

    tasks: tuple[Task, ...]
    spent: Spent
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Offer:
    """Who might do a step, best first; open where the first is not clearly the one."""

    names: tuple[str, ...]
    open: bool


_NOBODY = _Offer((), open=False)
_OF_IT = re.compile(r"\b(?:it|them)\b", re.IGNORECASE)
"""Words for what an earlier step has made."""


def fallback(specialists: Sequence[Specialist]) -> str:
    """Who does what is for nobody in particular: the generalist, or whoever has done most."""
    names = [one.name for one in specialists]
    if GENERALIST in names:
        return GENERALIST
    return max(specialists, key=lambda one: (one.runs, one.name)).name


def chance(one: Specialist) -> float:
    """How likely this agent does well, by its record and a prior."""
    return (one.succeeded + PRIOR_CHANCE * PRIOR_RUNS) / (one.runs + PRIOR_RUNS)


async def assign(
    tasks: Sequence[Task],
    goal: Goal,
    specialists: Sequence[Specialist],
    roster: Roster,
    planner: Planner,
) -> Assigned:
    """Give each step that has no agent yet one of `specialists`, of whom there is at least one.

    Where the person asked for experts, a step for which there is none asks for a new specialist
    (agent None), as often as the goal's budget allows. The fast model is asked once at most, and
    what it says counts only among those offered to it.
    """
    general = fallback(specialists)
    known = {one.name for one in specialists}
    offers = {
        task.key: _offer(task, specialists, roster, general)
        for task in tasks
        if task.agent not in known
    }
    offers |= _for_the_same(tasks, offers, general)
    unsure = {key: offer.names for key, offer in offers.items() if offer.open}
    chosen, spent = await _asked(tasks, unsure, specialists, planner) if unsure else ({}, NOTHING)
    done = [
        replace(task, agent=chosen.get(task.key, offers[task.key].names[0]))
        if task.key in offers
        else task
        for task in tasks
    ]
    done, notes = _few_agents(done, goal, general)
    return Assigned(_with_experts(done, goal, offers, general), spent, notes)


def _for_the_same(
    tasks: Sequence[Task], offers: dict[str, _Offer], general: str
) -> dict[str, _Offer]:
    """Where it is open who "writes a test for it", the specialist who surely makes that does."""
    sure = {key: offer.names[0] for key, offer in offers.items() if not offer.open}
    found: dict[str, _Offer] = {}
    for task in tasks:
        makers = [sure[need] for need in task.needs if sure.get(need, general) != general]
        if makers and offers.get(task.key, _NOBODY).open and _OF_IT.search(task.instruction):
            found[task.key] = _Offer((makers[-1],), open=False)
    return found


def _words_of(task: Task) -> str:
    """What a step says, once: the title of one in a person's own words is its beginning."""
    begins = task.title.rstrip("…").casefold()
    if task.instruction.casefold().startswith(begins):
        return task.instruction
    return f"{task.title}. {task.instruction}"


def _offer(
    task: Task, specialists: Sequence[Specialist], roster: Roster, general: str
) -> _Offer:  # fmt: skip
    others = [one for one in specialists if one.name != general and chance(one) >= POOR]
    text = _words_of(task)[:_TEXT]
    by_specialty = roster.likeness(text, [one.specialty for one in others])
    by_description = roster.likeness(text, [f"{o.specialty}. {o.description}" for o in others])
    scored = sorted(
        (
            (max(first, second) + RECORD_WEIGHT * (chance(one) - PRIOR_CHANCE), one.name)
            for one, first, second in zip(others, by_specialty, by_description, strict=True)
        ),
        reverse=True,
    )
    best, second = (*(score for score, _ in scored[:2]), 0.0, 0.0)[:2]
    ahead = best - second
    if (best >= CLEAR and ahead >= AHEAD) or (best >= ALONE and ahead >= FAR_AHEAD):
        return _Offer((scored[0][1],), open=False)
    likely = [(score, name) for score, name in scored if score >= OPEN][:_OFFERED]
    if not likely:
        return _Offer((general,), open=False)
    names = [name for _, name in likely]
    return _Offer((*names, general) if best >= CLEAR else (general, *names), open=True)


async def _asked(
    tasks: Sequence[Task],
    unsure: dict[str, tuple[str, ...]],
    specialists: Sequence[Specialist],
    planner: Planner,
) -> tuple[dict[str, str], Spent]:
    by_number = {f"step_{task.number}": task for task in tasks if task.key in unsure}
    offered = {name for names in unsure.values() for name in names}
    who = "\n".join(_introduced(one) for one in specialists if one.name in offered)
    what = "\n".join(
        f"{key} ({' or '.join(unsure[task.key])}): {task.title}. {task.instruction}"[: 2 * _TEXT]
        for key, task in by_number.items()
    )
    schema = choice_schema({key: unsure[task.key] for key, task in by_number.items()})
    try:
        said, spent = await planner.ask(
            _CHOOSING, f"{who}\n\n{what}", schema, model="fast", examples=[_EXAMPLE]
        )
    except ModelError as error:
        log.info("agents_not_asked", problem=str(error))
        return {}, NOTHING
    chosen = {task.key: said.text(key) for key, task in by_number.items()}
    return {key: name for key, name in chosen.items() if name in unsure[key]}, spent


def _introduced(one: Specialist) -> str:
    record = f" ({one.succeeded:.0f} of {one.runs:.0f} went well)" if one.runs >= 1 else ""
    return f"{one.name}: {one.specialty}{record}"


def _few_agents(
    tasks: list[Task], goal: Goal, general: str
) -> tuple[list[Task], tuple[str, ...]]:  # fmt: skip
    """At most as many agents as the goal may have, the answer's included: the rarest give way."""
    before = [task.agent for task in goal.tasks if task.agent]
    wanted = before + [task.agent for task in tasks if task.agent]
    names = sorted(set(wanted) - {general, *before}, key=lambda name: (-wanted.count(name), name))
    room = max(0, goal.budget.agents - len({general, *before}))
    left_out = set(names[room:])
    if not left_out:
        return tasks, ()
    kept = [replace(task, agent=general) if task.agent in left_out else task for task in tasks]
    note = f"At most {goal.budget.agents} agents may work on this: {general} does what is left."
    return kept, (note,)


def _with_experts(
    tasks: Sequence[Task], goal: Goal, offers: dict[str, _Offer], general: str
) -> tuple[Task, ...]:
    """Steps for a new specialist, where the person asked for experts and there is none."""
    already = goal.spawns + sum(task.agent is None for task in goal.tasks)
    room = goal.budget.spawns - already if _EXPERTS.search(goal.request) else 0
    done = []
    for task in tasks:
        offer = offers.get(task.key)
        if room > 0 and offer is not None and offer.names == (general,):
            task, room = replace(task, agent=None, specialty=task.title), room - 1
        done.append(task)
    return tuple(done)
