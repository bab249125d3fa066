"""Every move of a goal, pure: a Goal in, another Goal out, nothing else touched.

A step is ready when all it needs is done or skipped. A failed one blocks what needs it, which the
notes say; blocked steps go on when the failed one is skipped or replaced. The answer, always the
last step, needs all others to have ended but only one to be done: it says what is missing. A step
that is skipped or stopped while it runs keeps its reservation until its attempt is settled. Moves
that make no sense raise InputError, which says what to do. Times are seconds since the epoch.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from database.errors import InputError, UnknownName
from database.goals import ANSWER, ENDED_TASK, NOTHING, Goal, Spent, Task
from database.records import Reader
from goals.checking import checked_plan
from goals.estimates import check_room, counts, enough, fits, most, others_hold, shortfall
from goals.plain_words import agrees
from goals.ports import TaskOutcome

MAX_ATTEMPTS = 3
"""A step is tried so often where a failure says that trying again may help."""

MAX_REPLANS = 2
MAX_NOTES = 40
MAX_ACTS = 50
_MAX_REASON = 300


ASK_AGAIN = "{why} Shall I try again now? Yes, or no to end it."


class StaleTask(InputError):
    """The step has moved on since this attempt at it began; its work is no longer wanted."""


def step(goal: Goal, which: int | str) -> Task:
    """The step of this number or key. Raises UnknownName."""
    for task in goal.tasks:
        if which in (task.number, task.key):
            return task
    raise UnknownName(f"There is no step {which} here; the steps are 1 to {len(goal.tasks)}.")


def ready(goal: Goal) -> tuple[Task, ...]:
    """The steps that may be queued now, in their order; none while the goal itself asks."""
    if goal.state not in ("running", "waiting") or goal.asks:
        return ()
    return tuple(task for task in goal.tasks if task.state == "pending" and _free(goal, task))


def blocked_by(goal: Goal, key: str) -> tuple[Task, ...]:
    """The steps at the root of what holds a blocked one up: they failed or were stopped."""
    found: dict[str, Task] = {}
    seen: set[str] = set()
    left = [key]
    while left:
        for need in step(goal, left.pop()).needs:
            task = goal.task(need)
            if task.state in ("failed", "cancelled"):
                found[need] = task
            elif need not in seen and task.state == "blocked":
                left.append(need)
            seen.add(need)
    return tuple(sorted(found.values(), key=lambda task: task.number))


def begin(goal: Goal, now: float) -> Goal:
    """Start a proposed plan. Raises InputError where there is nothing to start."""
    if goal.state != "proposed":
        raise InputError(
            "This was started already." if not goal.ended else "This is over: ask anew."
        )
    return _moved(checked_plan(goal), state="running", started_at=now)


def queue(goal: Goal, key: str) -> Goal:
    """Send a ready step on its way to a worker, as its next attempt. Raises InputError."""
    task = step(goal, key)
    if task not in ready(goal):
        raise InputError(f"Step {task.number} cannot run now: {_why_not(goal, task)}")
    return _moved(goal, replace(task, state="queued", attempt=task.attempt + 1))


def advance(goal: Goal, now: float) -> Goal:
    """What follows from where it stands: the goal ends, or whatever is ready is queued.

    Done after every other move of a started goal; doing it twice changes nothing. What the budget
    has no room for waits while others hold some of it: they may give it back.
    """
    goal = finish(goal, now)
    for task in ready(goal):
        if not others_hold(goal, task) or fits(goal, task):
            goal = queue(goal, task.key)
    return goal


def start(
    goal: Goal, key: str, reserve: Spent, now: float, *, attempt: int | None = None
) -> Goal:  # fmt: skip
    """A worker begins a queued step and holds `reserve` of the budget.

    An attempt that runs already is left as it is: another worker took it over.
    Raises StaleTask when this attempt is no longer wanted, BudgetExceeded when the budget has no
    room for it: `hold` then.
    """
    task = _current(goal, key, attempt)
    if task.state == "running":
        return goal
    if task.state != "queued" or goal.ended:
        raise StaleTask(f"Step {task.number} is not wanted now: it is {task.state}.")
    check_room(goal, task, reserve)
    begun = replace(task, state="running", reserved=reserve, started_at=now, ended_at=None)
    return _moved(goal, begun)


def hold_more(goal: Goal, key: str, least: Spent, *, attempt: int) -> Goal:
    """A running attempt holds at least so much of the budget from now on.

    Raises StaleTask when it is no longer wanted, BudgetExceeded when there is no room.
    """
    task = _current(goal, key, attempt)
    if task.state != "running" or goal.ended:
        raise StaleTask(f"Step {task.number} is not wanted now: it is {task.state}.")
    reserve = most(task.reserved, least)
    if reserve == task.reserved:
        return goal
    check_room(goal, task, reserve)
    return _moved(goal, replace(task, reserved=reserve))


def hold(goal: Goal, key: str, question: str = "") -> Goal:
    """Put a queued step back and ask whether to go on; without a question, about the budget.

    Nobody is asked about the budget while others hold some of it, and may give it back.
    """
    task = step(goal, key)
    if task.state != "queued":
        raise StaleTask(f"Step {task.number} is not queued: it is {task.state}.")
    held = replace(task, state="pending", held=task.held + 1)
    if not question and others_hold(goal, task):
        return _moved(goal, held)
    asks = goal.asks or question or f"{shortfall(goal)} May I go on? Yes or no."
    more = goal.asks_for_more if goal.asks else not question
    return _moved(goal, held, asks=asks, asks_for_more=more)


def settle(
    goal: Goal, key: str, outcome: TaskOutcome, now: float, *, attempt: int | None = None
) -> Goal:  # fmt: skip
    """An attempt has ended: with a result, a question, or a failure that may be tried again.

    Settling twice changes nothing. What was skipped or stopped meanwhile only pays what it took.
    Raises StaleTask for another attempt than the last, or one that never began.
    """
    task = _current(goal, key, attempt)
    paid = replace(task, reserved=NOTHING, spent=task.spent + outcome.spent)
    if task.state in ("skipped", "cancelled"):
        return goal if task.reserved == NOTHING else _moved(goal, paid)
    if task.state != "running":
        if task.run_id == outcome.run_id and task.state != "queued" and task.attempt:
            return goal
        raise StaleTask(f"Step {task.number} is not running: it is {task.state}.")
    paid = replace(paid, run_id=outcome.run_id, agent=outcome.agent or task.agent)
    spawns = goal.spawns + outcome.spawned
    ended = _outcome_of(paid, outcome, now)
    notes = () if ended.state != "failed" else (f"{_named(ended)} failed: {ended.reason}",)
    moved = _moved(goal, ended, notes=notes, spawns=spawns)
    if goal.asks or ended.tries or not outcome.away:
        return moved
    asks = ASK_AGAIN.format(why=f"{_named(ended)}: {ended.reason}")
    return _moved(moved, asks=asks)


def answer(goal: Goal, key: str | None, text: str, now: float) -> Goal:
    """What a person said to a step's question or, without a key, to the goal's own or the only one.

    The question stays with the step until an attempt has made use of the answer.
    The goal's own is answered by yes (its budget grows to what is left to do, where it was asked
    about that) or no (it ends).
    Raises InputError where nothing was asked, or it is not clear what is answered.
    """
    if goal.ended:
        raise InputError("This is over: ask anew.")
    if key is None and goal.asks:
        return _decided(goal, text, now)
    waiting = [task for task in goal.tasks if task.state == "waiting"]
    if key is not None:
        waiting = [task for task in waiting if task.key == key]
    if not waiting:
        raise InputError("Nothing was asked here that still waits for an answer.")
    if len(waiting) > 1:
        steps = " ".join(f"Step {task.number}: {task.question}" for task in waiting)
        raise InputError(f"Say which step your answer is for. {steps}")
    told = replace(waiting[0], state="pending", answers=(*waiting[0].answers, text))
    return _moved(goal, told)


def is_ending(task: Task, attempt: int) -> bool:
    """Whether this attempt at a step was stopped, and holds something still."""
    stopped = task.state in ("skipped", "cancelled")
    return stopped and task.attempt == attempt and task.reserved != NOTHING


def retry(goal: Goal, key: str, agent: str | None = None) -> Goal:
    """Try a failed step again, with another agent where one is named. Raises InputError."""
    _check_open(goal)
    task = step(goal, key)
    if task.state != "failed" or not counts(goal, task):
        raise InputError(f"Step {task.number} has not failed: there is nothing to try again.")
    again = replace(task, state="pending", agent=agent or task.agent, ended_at=None)
    note = f"{_named(task)} is tried again{f' by {agent}' if agent else ''}."
    return _moved(goal, again, notes=(note,))


def skip(goal: Goal, which: int | str, why: str, now: float) -> Goal:
    """Go on without a step, also one that failed: what needs it goes on without its result."""
    _check_open(goal)
    task = step(goal, which)
    if task.key == ANSWER:
        raise InputError("The last step makes the answer; say stop to end all of it.")
    if task.state in ("done", "skipped", "cancelled"):
        raise InputError(f"Step {task.number} is {task.state} already.")
    left_out = replace(task, state="skipped", reason=_short(why), question=None, ended_at=now)
    because = f": {_short(why)}" if why else ""
    return _moved(goal, left_out, notes=(f"{_named(task)} is skipped{because}",))


def cancel(goal: Goal, why: str, now: float) -> Goal:
    """End it all. Raises InputError where it has ended already."""
    if goal.ended:
        raise InputError("This is over already.")
    stopped = [
        replace(task, state="cancelled", question=None, ended_at=now)
        for task in goal.tasks
        if task.state not in ENDED_TASK
    ]
    return _moved(
        goal, *stopped, state="cancelled", asks=None, reason=_short(why), ended_at=now
    )  # fmt: skip


def add(goal: Goal, task: Task) -> Goal:
    """One more step before the answer, with a key of its own; its number is given here.

    Raises PlanInvalid where the plan would not hold, InputError where it is too late.
    """
    _check_open(goal)
    last = goal.task(ANSWER)
    if last.state not in ("pending", "blocked"):
        raise InputError("The answer is being written already: ask for the step in a new request.")
    fresh = replace(task, number=last.number, state="pending", attempt=0)
    last = replace(last, number=last.number + 1, needs=(*last.needs, task.key))
    grown = replace(goal, tasks=(*_without(goal, ANSWER), fresh, last))
    return _moved(checked_plan(grown), notes=(f"{_named(fresh)} was added.",))


def read_as(goal: Goal, now: Reader) -> Goal:
    """What is left of what its person might read when they asked: rights never grow.

    Those that come back after a while are there again.
    """
    lost = goal.reader_channels - now.channels
    return replace(goal, lost_channels=lost, lost_public=goal.reader_public and not now.public)


def use_model(goal: Goal, model: str, numbers: Sequence[int] = ()) -> Goal:
    """Have every step that has not begun, or of these numbers, done by this model ("fast",
    "strong").

    Raises InputError where nothing is left to be done by it, UnknownName for a number of none.
    """
    _check_open(goal)
    begun = ENDED_TASK | {"running"}
    for named in (step(goal, number) for number in numbers):
        if named.state in begun:
            raise InputError(f"Step {named.number} is {named.state} already.")
    changed = [
        replace(task, model=model)
        for task in goal.tasks
        if task.state not in begun and (not numbers or task.number in numbers)
    ]
    if not changed:
        raise InputError("No step is left that another model could do.")
    which = _listed([task.number for task in changed])
    return _moved(goal, *changed, notes=(f"The {model} model does {which}.",))


def noted(goal: Goal, act: str) -> Goal:
    """With the name of what a person did, in the move that does it; '' for what has none."""
    return replace(goal, acts=(*goal.acts, act)[-MAX_ACTS:]) if act else goal


def may_replan(goal: Goal, key: str) -> bool:
    """Whether planning around the failure of this step is still allowed, and of any use."""
    task = step(goal, key)
    return task.key != ANSWER and not goal.ended and goal.replans < MAX_REPLANS


def replace_failed(goal: Goal, key: str, tasks: Sequence[Task]) -> Goal:
    """Put other steps in the place of a failed one: what needed it needs the last of them now.

    Their needs may name each other and whatever is in the plan; those without any need what the
    failed one did. Raises PlanInvalid where the plan would not hold, InputError if not failed.
    """
    failed = step(goal, key)
    if failed.state != "failed" or not may_replan(goal, key) or not tasks:
        raise InputError(f"Step {failed.number} cannot be replaced: skip it, or say stop.")
    last = goal.task(ANSWER)
    fresh = [
        replace(task, number=last.number + at, needs=task.needs or failed.needs, state="pending")
        for at, task in enumerate(tasks)
    ]
    needed = {need for task in fresh for need in task.needs}
    leaves = tuple(task.key for task in fresh if task.key not in needed)
    kept = [_instead(task, key, leaves) for task in _without(goal, ANSWER)]
    everyone = tuple(need for need in last.needs if need != key) + tuple(t.key for t in fresh)
    last = replace(last, number=last.number + len(fresh), needs=everyone)
    grown = replace(goal, tasks=(*kept, *fresh, last), replans=goal.replans + 1)
    numbers = _listed([task.number for task in fresh]).capitalize()
    verb = "takes" if len(fresh) == 1 else "take"
    note = f"{numbers} {verb} the place of step {failed.number}, which failed."
    return _moved(checked_plan(grown), notes=(note,))


def finish(goal: Goal, now: float) -> Goal:
    """End a started goal whose steps have all ended; any other is returned as it is."""
    if goal.ended or goal.state == "proposed":
        return goal
    if any(task.state not in ENDED_TASK for task in goal.tasks):
        return _moved(goal)
    if goal.task(ANSWER).state == "done":
        return replace(goal, state="done", asks=None, ended_at=now)
    reasons = [
        f"{_named(task)} failed: {task.reason}"
        for task in goal.tasks
        if task.state == "failed" and counts(goal, task)
    ]
    why = " ".join(reasons) or "No step was left to answer from."
    return replace(goal, state="failed", asks=None, reason=why, ended_at=now)


def _free(goal: Goal, task: Task) -> bool:
    """Whether all that a step needs is there."""
    states = [goal.task(need).state for need in task.needs]
    if task.key == ANSWER:
        return all(state in ENDED_TASK for state in states)
    return all(state in ("done", "skipped") for state in states)


def _hopeless(task: Task, states: Sequence[str]) -> bool:
    """Whether what a step needs will not come, its needs being in these states."""
    if task.key == ANSWER:
        return "done" not in states and all(state in ENDED_TASK for state in states)
    return any(state in ("failed", "blocked", "cancelled") for state in states)


def _moved(goal: Goal, *changed: Task, notes: tuple[str, ...] = (), **fields: Any) -> Goal:
    """The goal with these steps in place, what they block or free, and where it stands then."""
    if fields.get("asks") and not goal.asks:
        fields["askings"] = goal.askings + 1
    by_key = {task.key: task for task in changed}
    tasks = tuple(by_key.get(task.key, task) for task in goal.tasks)
    goal = replace(goal, tasks=tasks, **fields)
    before = {task.key for task in goal.tasks if task.state == "blocked"}
    goal = _blocked(goal)
    newly = [t.number for t in goal.tasks if t.state == "blocked" and t.key not in before]
    if newly and not goal.ended:
        notes = (*notes, f"{_listed(newly).capitalize()} cannot go on without it.")
    if notes:
        goal = replace(goal, notes=(*goal.notes, *notes)[-MAX_NOTES:])
    return _standing(goal)


def _blocked(goal: Goal) -> Goal:
    """Mark what cannot go on, and free what can again."""
    states = {task.key: task.state for task in goal.tasks}
    changing = True
    while changing:
        changing = False
        for task in goal.tasks:
            if states[task.key] not in ("pending", "blocked"):
                continue
            hopeless = _hopeless(task, [states[need] for need in task.needs])
            now = "blocked" if hopeless else "pending"
            changing = changing or now != states[task.key]
            states[task.key] = "blocked" if hopeless else "pending"
    freed = {task.key for task in goal.tasks if task.state == "blocked" != states[task.key]}
    goal = replace(goal, tasks=tuple(replace(t, state=states[t.key]) for t in goal.tasks))
    tasks = (replace(t, reason="") if t.key in freed else t for t in goal.tasks)
    return replace(goal, tasks=tuple(_with_reason(goal, task) for task in tasks))


def _with_reason(goal: Goal, task: Task) -> Task:
    if task.state != "blocked":
        return task
    numbers = _listed([one.number for one in blocked_by(goal, task.key)])
    return replace(task, reason=f"It needs {numbers}." if numbers else "Nothing came before it.")


def _standing(goal: Goal) -> Goal:
    """Running while anything goes on by itself, else waiting, where a person can change that."""
    if goal.state not in ("running", "waiting"):
        return goal
    goes_on = any(task.state in ("queued", "running") for task in goal.tasks) or ready(goal)
    asked = goal.asks or any(task.state == "waiting" for task in goal.tasks)
    return replace(goal, state="waiting" if asked and not goes_on else "running")


def _outcome_of(task: Task, outcome: TaskOutcome, now: float) -> Task:
    """The step as an attempt left it."""
    if outcome.question or outcome.uncertain:
        unsure = "I may or may not have carried this out before I was interrupted. Was it done?"
        return replace(task, state="waiting", question=outcome.question or unsure)
    if outcome.result is not None and outcome.result.strip():
        return replace(
            task, state="done", result=outcome.result, reason="", question=None, ended_at=now
        )  # fmt: skip
    if outcome.lacks is not None:
        return replace(task, state="pending", held=task.held + 1, least=outcome.lacks)
    why = _short(outcome.failure or "It came to no result.")
    if outcome.away and task.tries >= MAX_ATTEMPTS:
        return replace(task, state="pending", reason=why, held=task.held + task.tries)
    if outcome.retry and task.tries < MAX_ATTEMPTS:
        return replace(task, state="pending", reason=why)
    return replace(task, state="failed", reason=why, question=None, ended_at=now)


def _decided(goal: Goal, text: str, now: float) -> Goal:
    agreed = agrees(text)
    if agreed is False:
        return cancel(goal, f"You said no to: {goal.asks}", now)
    if agreed is None:
        raise InputError(f"Please answer yes or no: {goal.asks}")
    budget = enough(goal) if goal.asks_for_more else goal.budget
    return _moved(goal, asks=None, asks_for_more=False, budget=budget)


def _current(goal: Goal, key: str, attempt: int | None) -> Task:
    task = step(goal, key)
    if attempt is not None and attempt != task.attempt:
        raise StaleTask(f"Attempt {attempt} at step {task.number} is over: drop its work.")
    return task


def _check_open(goal: Goal) -> None:
    if goal.ended:
        raise InputError("This is over: ask anew.")


def _why_not(goal: Goal, task: Task) -> str:
    if goal.asks:
        return f"first answer: {goal.asks}"
    if goal.state == "proposed":
        return "start the plan first."
    if task.state != "pending":
        return f"it is {task.state}."
    missing = [goal.task(n).number for n in task.needs if goal.task(n).state not in ENDED_TASK]
    return f"it waits for {_listed(missing)}."


def _instead(task: Task, key: str, others: tuple[str, ...]) -> Task:
    """A step that needs these others where it needed `key`."""
    if key not in task.needs:
        return task
    return replace(task, needs=tuple(need for need in task.needs if need != key) + others)


def _without(goal: Goal, key: str) -> tuple[Task, ...]:
    return tuple(task for task in goal.tasks if task.key != key)


def _named(task: Task) -> str:
    return f"Step {task.number} ({_short(task.title, 60)})"


def _listed(numbers: Sequence[int]) -> str:
    """Numbers of steps in words: "step 3", "steps 3, 4 and 7"."""
    if len(numbers) < 2:
        return f"step {numbers[0]}" if numbers else ""
    return f"steps {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _short(text: str, most: int = _MAX_REASON) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
