"""What a model planned, made into steps that can be carried out, or refused.

Every repair is said in a sentence for the thread. Nothing of a draft gives anybody a right: it has
words and the order of steps, and who does a step is decided elsewhere (goals.assigning).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from database.goals import Objective, Task
from goals.checking import PlanInvalid, cycle
from goals.drafts import AIM, RESULT, STAGES, TASK, TITLE, Draft, DraftStep

UNASSIGNED = ""
"""The agent of a step that nobody was found for yet."""

STRATEGIC = "goal"
_ROOM = 4
"""Texts may be so many times longer than the schema says: some servers keep to none."""


@dataclass(frozen=True, slots=True)
class Planned:
    """Steps without the answer, numbered from 1; what they serve; what was repaired."""

    tasks: tuple[Task, ...]
    objectives: tuple[Objective, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Step:
    place: int
    title: str
    task: str
    result: str
    stage: int
    needs: tuple[int, ...]


_DEFINITE = re.compile(
    r"\b(?:the|these|those|this|each|both|chosen|selected)\s+([\w-]+)(?:\s+([\w-]+))?"
)
_BACK = re.compile(
    r"^(?:\w+ ){1,2}(?:them|it|these|those)\b|\b(?:results|findings|previous|above|so far)\b"
)
_ONE_BEFORE = re.compile(
    r"\b(?:it|its|them|these|those)\b|^\w+ (?:this|that|one)\b|\b(?:this|that|one)$", re.IGNORECASE
)
_ALL_BEFORE = re.compile(r"\b(?:both|all|each|everything)\b", re.IGNORECASE)
_WORD = re.compile(r"[\w-]+")
_SHORT = 3
_SAME = 0.6
"""Of the words of a part: a step that has so many of them is a step for it."""

_ALIKE = 0.75
"""Of the words of two steps together: with so many in common they are one."""

Name = Callable[[int], str]
"""The key of the further step of this number, from 1."""

_Repair = Callable[[list[_Step]], tuple[list[_Step], list[str]]]


def planned(draft: Draft, most: int, aim: str = "", parts: Sequence[str] = ()) -> Planned:
    """The plan of a draft, of at most `most` steps; `aim` is what it is for if it does not say.

    `parts` are what the request asks for, where that is known: each gets a step at least.
    Raises PlanInvalid where nothing can be carried out of it.
    """
    steps, notes = _repaired(draft.steps, most, parts)
    numbers = {step.place: number for number, step in enumerate(steps, 1)}
    stages = [clipped(stage, AIM) for stage in parts or draft.stages[:STAGES]]
    tasks = tuple(_task(step, numbers, stages) for step in steps)
    objectives = _objectives(_aim(draft.goal) or clipped(aim, AIM), stages, steps, tasks)
    return Planned(tasks, objectives, tuple(notes))


def in_own_words(draft: Draft, parts: Sequence[str]) -> Draft:
    """A draft whose steps are these parts as they were worded; it says what each needs and brings.

    Where it names no needs, a part that says "it" needs the one before, and "both" all before; a
    part that it says nothing of needs the one before.
    """
    said = [*draft.steps, *(DraftStep(needs=[at]) for at in range(len(draft.steps), len(parts)))]
    steps = [
        step.model_copy(
            update={
                "title": _title(part), "task": part, "stage": at,
                "needs": [need for need in step.needs if need < at] or _pointed_at(part, at),
            }
        )
        for at, (part, step) in enumerate(zip(parts, said, strict=False), 1)
    ]  # fmt: skip
    return draft.model_copy(update={"steps": steps})


def _pointed_at(part: str, at: int) -> list[int]:
    """Numbers of the earlier parts that the words of part `at` point back to."""
    if _ALL_BEFORE.search(part):
        return list(range(1, at))
    return [at - 1] if at > 1 and _ONE_BEFORE.search(part) else []


def more_steps(
    draft: Draft, most: int, known: Sequence[Task], last: int, name: Name
) -> tuple[Task, ...]:  # fmt: skip
    """At most `most` further steps, called by `name`, which may need each other and the `known`.

    Numbers up to `last` are of steps there are, what is beyond means the new ones. Raises
    PlanInvalid where there are none.
    """
    keys = {task.number: task.key for task in known}
    outer = {
        place: tuple(dict.fromkeys(keys[need] for need in step.needs if need in keys))
        for place, step in enumerate(draft.steps, 1)
    }
    own = [
        step.model_copy(update={"needs": [need - last for need in step.needs if need > last]})
        for step in draft.steps
    ]
    steps, _ = _repaired(own, most)
    names = {step.place: name(number) for number, step in enumerate(steps, 1)}
    return tuple(
        Task(
            names[step.place],
            last + number,
            step.title,
            step.task,
            UNASSIGNED,
            needs=outer[step.place] + tuple(names[need] for need in step.needs),
            others_words=True,  # the model that made it was shown what the steps came to
        )
        for number, step in enumerate(steps, 1)
    )


def repeats(task: Task, others: Sequence[Task]) -> bool:
    """Whether a step says in nearly the same words what one of the others does."""
    words = _words(task.instruction)
    there = [_words(other.instruction) for other in others]
    return any(len(words & said) >= _ALIKE * len(words | said) for said in there if said)


def _repaired(
    drafted: Sequence[DraftStep], most: int, parts: Sequence[str] = ()
) -> tuple[list[_Step], list[str]]:  # fmt: skip
    steps = [
        _Step(place, s.title, s.task, s.result, s.stage, tuple(dict.fromkeys(s.needs)))
        for place, s in enumerate(drafted, 1)
    ]
    if len(steps) > 2 * most:
        raise PlanInvalid(
            f"The model planned {len(steps)} steps, where at most {most} are allowed: ask for less "
            "at once."
        )
    notes: list[str] = []
    repairs: list[_Repair] = [
        _telling,
        _distinct,
        lambda left: _complete(left, parts, most),
        lambda left: _few(left, most),
        _known,
        _untangled,
        _linked,
    ]
    for repair in repairs:
        steps, said = repair(steps)
        notes += said
    if not steps:
        raise PlanInvalid("The model found no steps in this: say in more detail what you need.")
    return steps, notes


def _telling(steps: list[_Step]) -> tuple[list[_Step], list[str]]:
    """Steps that say what to do; one that lacks its title or its task takes it from the other."""
    said = [
        replace(
            step,
            title=clipped(step.title or step.task, TITLE),
            task=clipped(step.task or step.title, TASK * _ROOM),
            result=clipped(step.result, RESULT),
        )
        for step in steps
        if any(ch.isalnum() for ch in step.title + step.task)
    ]
    empty = len(steps) - len(said)
    return said, [f"{empty} empty steps of the plan were left out."] if empty and said else []


def _distinct(steps: list[_Step]) -> tuple[list[_Step], list[str]]:
    """Without steps that say the same as an earlier one, which then stands for them."""
    first: dict[str, int] = {}
    stands_for = {step.place: first.setdefault(_bare(step.task), step.place) for step in steps}
    kept = [
        replace(step, needs=tuple(dict.fromkeys(stands_for.get(n, n) for n in step.needs)))
        for step in steps
        if stands_for[step.place] == step.place
    ]
    twice = len(steps) - len(kept)
    return kept, [f"{twice} steps that were planned twice are done once."] if twice else []


def _complete(
    steps: list[_Step], parts: Sequence[str], most: int
) -> tuple[list[_Step], list[str]]:  # fmt: skip
    """With a step for each part of the request that none was planned for, in the part's words."""
    steps = _sorted_out(steps, parts)
    forgotten = _forgotten(steps, parts)
    if not steps or not forgotten:
        return steps, []
    place = max(step.place for step in steps)
    kept = list(steps)
    while len(kept) + len(forgotten) > most and (spare := _spare(kept)):
        kept.remove(spare)
    made = [
        _Step(
            place + at, _title(parts[stage - 1]), parts[stage - 1], "", stage, _so_far(kept, stage)
        )
        for at, stage in enumerate(forgotten, 1)
    ]
    notes = [f'The model had forgotten "{step.title}": it has a step now.' for step in made]
    return sorted([*kept, *made], key=lambda step: step.stage), notes


def _so_far(steps: Sequence[_Step], stage: int) -> tuple[int, ...]:
    """Places of the steps for earlier parts that no other of them needs."""
    before = [step for step in steps if step.stage < stage]
    needed = {need for step in before for need in step.needs}
    return tuple(step.place for step in before if step.place not in needed)


def _forgotten(steps: Sequence[_Step], parts: Sequence[str]) -> list[int]:
    """Numbers of the parts that no step belongs to."""
    return [at for at in range(1, len(parts) + 1) if all(step.stage != at for step in steps)]


def _sorted_out(steps: Sequence[_Step], parts: Sequence[str]) -> list[_Step]:
    """With the right part where a step names another: the one whose words it says, mostly."""
    words = [_words(part) for part in parts]
    return [replace(step, stage=_part(step, words)) for step in steps]


def _part(step: _Step, parts: Sequence[set[str]]) -> int:
    says = _words(f"{step.title} {step.task}")
    shares = [len(words & says) / len(words) if words else 0.0 for words in parts]
    own = shares[step.stage - 1] if 1 <= step.stage <= len(shares) else 0.0
    best = max(shares, default=0.0)
    return shares.index(best) + 1 if best >= _SAME and best > own else step.stage


def _spare(steps: Sequence[_Step]) -> _Step | None:
    """The last step that is not the only one of its part."""
    stages = [step.stage for step in steps]
    return next((step for step in reversed(steps) if stages.count(step.stage) > 1), None)


def _linked(steps: list[_Step]) -> tuple[list[_Step], list[str]]:
    """With the needs that words tell where a draft has none: "the vendors" of a step before."""
    steps = _ordered(steps)
    linked = [
        replace(step, needs=_meant(step, steps[:at])) if at and not step.needs else step
        for at, step in enumerate(steps)
    ]
    return linked, []


def _meant(step: _Step, before: Sequence[_Step]) -> tuple[int, ...]:
    """Places of earlier steps that a step's words speak of."""
    text = step.task.casefold()
    spoken_of = {_stem(word) for found in _DEFINITE.findall(text) for word in found if word}
    meant = set()
    for word in spoken_of:
        found = [one.place for one in before if word in _brought(one)]
        meant.update(found[-1:])
    if not meant and _BACK.search(text):
        meant.add(before[-1].place)
    return tuple(sorted(meant))


def _brought(step: _Step) -> set[str]:
    """Words for what a step brings about: of its title and result, and new ones of its task."""
    return _words(f"{step.title} {step.result} {_DEFINITE.sub(' ', step.task.casefold())}")


def _words(text: str) -> set[str]:
    return {_stem(word) for word in _WORD.findall(text.casefold()) if len(word) > _SHORT}


def _stem(word: str) -> str:
    return word.removesuffix("s")


def _few(steps: list[_Step], most: int) -> tuple[list[_Step], list[str]]:
    if len(steps) <= most:
        return steps, []
    left_out = ", ".join(f'"{step.title}"' for step in steps[most:])
    return steps[:most], [f"The plan was longer than {most} steps; left out: {left_out}."]


def _known(steps: list[_Step]) -> tuple[list[_Step], list[str]]:
    """Without needs of steps that are not there, or of the step itself."""
    places = {step.place for step in steps}
    kept = [
        replace(step, needs=tuple(n for n in step.needs if n in places and n != step.place))
        for step in steps
    ]
    pairs = zip(steps, kept, strict=True)
    lost = [step.title for was, step in pairs if len(was.needs) > len(step.needs)]
    return kept, [f'"{title}" waits for no step that is not in the plan.' for title in lost]


def _untangled(steps: list[_Step]) -> tuple[list[_Step], list[str]]:
    """Without circles: of steps that wait for each other the earliest does not wait any more."""
    by_place = {step.place: step for step in steps}
    notes = []
    while circle := cycle({place: step.needs for place, step in by_place.items()}):
        early = min(circle)
        late = circle[circle.index(early) - 1]
        waits = by_place[early]
        kept = tuple(need for need in waits.needs if need != late)
        by_place[early] = replace(waits, needs=kept)
        notes.append(
            f'"{waits.title}" does not wait for "{by_place[late].title}", which waits for it.'
        )
    return list(by_place.values()), notes


def _ordered(steps: list[_Step]) -> list[_Step]:
    """In an order in which each step comes after what it needs, else as they were."""
    left, placed = list(steps), list[_Step]()
    done: set[int] = set()
    while left:
        step = next(step for step in left if done.issuperset(step.needs))
        left.remove(step)
        placed.append(step)
        done.add(step.place)
    return placed


def _task(step: _Step, numbers: dict[int, int], stages: Sequence[str]) -> Task:
    number = numbers[step.place]
    needs = tuple(sorted(numbers[need] for need in step.needs))
    return Task(
        f"s{number}",
        number,
        step.title,
        step.task,
        UNASSIGNED,
        objective=_objective(step, number, stages),
        needs=tuple(f"s{need}" for need in needs),
    )


def _objective(step: _Step, number: int, stages: Sequence[str]) -> str:
    if step.result:
        return f"o{number}"
    return f"t{_stage(step, stages)}" if stages else STRATEGIC


def _stage(step: _Step, stages: Sequence[str]) -> int:
    return step.stage if 1 <= step.stage <= len(stages) else len(stages)


def _objectives(
    aim: str, stages: Sequence[str], steps: Sequence[_Step], tasks: Sequence[Task]
) -> tuple[Objective, ...]:
    """The goal itself; its stages that have steps; what each step brings about."""
    made = [Objective(STRATEGIC, "strategic", aim)]
    used = {_stage(step, stages) for step in steps} if stages else set()
    made += [
        Objective(f"t{at}", "tactical", stage, STRATEGIC)
        for at, stage in enumerate(stages, 1)
        if at in used
    ]
    for step, task in zip(steps, tasks, strict=True):
        if step.result:
            parent = f"t{_stage(step, stages)}" if stages else STRATEGIC
            made.append(Objective(task.objective, "operational", step.result, parent))
    return tuple(made)


def _aim(goal: str) -> str:
    """The goal in a line; one that was cut off inside of a word ends before it."""
    line = clipped(goal, AIM)
    return line if len(line) < AIM - 1 else f"{line[:AIM].rsplit(' ', 1)[0].rstrip(' ,;')}…"


def _title(part: str) -> str:
    return clipped(part[:1].upper() + part[1:], TITLE)


def _bare(text: str) -> str:
    return "".join(ch for ch in text.casefold() if ch.isalnum())


def clipped(text: str, most: int) -> str:
    """The text on one line, cut after `most` characters; what cannot be seen is left out."""
    line = " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"
