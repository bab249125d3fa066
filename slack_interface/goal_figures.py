"""Plans in words: how far they are, what they take, who does what. Pure."""

import re
from collections.abc import Iterable, Sequence

from database.goals import ANSWER, Estimate, Goal, Task
from slack_interface.blocks import shortened
from slack_interface.learning_words import count, said, share, usd
from slack_interface.model_words import ModelWords

SIGNS = {
    "pending": "▫️", "queued": "▫️", "running": "⏳", "waiting": "❓", "done": "✅",
    "failed": "❌", "skipped": "⏭️", "blocked": "⛔", "cancelled": "⏹️",
}  # fmt: skip

THERE = "It stands below."
"""What the step that makes the answer came to."""

_WORTH_TELLING_S = 60.0

_MARKS = re.compile(r"\*\*|__|`+|^\s{0,3}#{1,6}\s+|^\s*>\s?", re.MULTILINE)
_BOLD = re.compile(r"\*\*(?=\S)([^*\n]+?)\*\*")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_BULLET = re.compile(r"^(\s*)[-*+]\s+", re.MULTILINE)


def flat(text: str, most: int) -> str:
    """A model's words in one line of plain text, which no server reads as anything else."""
    line = " ".join(_MARKS.sub("", text).split())
    return ModelWords().whole(shortened(line, most))


def mrkdwn(text: str, most: int) -> str:
    """A model's Markdown as Slack's mrkdwn, as far as headings, bold and lists go."""
    text = _HEADING.sub(r"**\1**", text)
    return _BULLET.sub(r"\1• ", _BOLD.sub(r"*\1*", said(text, most)))


def lasts(seconds: float) -> str:
    """`8 s`, `2 min 5 s`, `3 h 20 min`, `2 days`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s" if whole else "less than 1 s"
    if whole < 3_600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min" + (f" {rest} s" if rest else "")
    if whole < 172_800:
        hours, rest = divmod(round(whole / 60), 60)
        return f"{hours} h" + (f" {rest} min" if rest else "")
    return f"{round(whole / 86_400)} days"


def about(seconds: float) -> str:
    """The same, no more exact than a guess is."""
    step = 1 if seconds < 10 else 5 if seconds < 60 else 30 if seconds < 600 else 300
    return f"about {lasts(max(step, round(seconds / step) * step))}"


def price(dollars: float | None) -> str:
    """An amount, or that nobody knows it."""
    return "price unknown" if dollars is None else usd(dollars)


def listed(numbers: Iterable[int]) -> str:
    """`1`, `1 and 2`, `1, 2 and 5`."""
    texts = [str(number) for number in sorted(numbers)]
    return " and ".join((", ".join(texts[:-1]), texts[-1])) if texts[1:] else "".join(texts)


def steps_named(numbers: Iterable[int]) -> str:
    """`step 3`, `steps 1 and 2`."""
    found = list(numbers)
    return f"step{'s' if len(found) > 1 else ''} {listed(found)}"


def steps_of(goal: Goal) -> list[Task]:
    """Its steps in the order of their numbers."""
    return sorted(goal.tasks, key=lambda task: task.number)


def who(task: Task) -> str:
    """Who does a step."""
    if task.agent:
        return flat(task.agent, 60)
    return f"a new specialist for {flat(task.specialty, 80)}" if task.specialty else "a specialist"


def after(goal: Goal, task: Task) -> str:
    """What a step needs: `after 1 and 2`."""
    numbers = {other.number for other in goal.tasks if other.key in task.needs}
    if task.key == ANSWER and len(numbers) > 2:
        return "after all others"
    return f"after {listed(numbers)}" if numbers else ""


def took(task: Task) -> str:
    """How long a step took, as far as that is known."""
    if task.started_at is None or task.ended_at is None:
        return lasts(task.spent.seconds) if task.spent.seconds else ""
    return lasts(task.spent.seconds or task.ended_at - task.started_at)


def facts(goal: Goal, task: Task) -> list[str]:
    """Who does a step, what it needs, and what it takes or took."""
    match task.state:
        case "done" | "failed":
            return [part for part in (who(task), took(task)) if part]
        case "skipped" | "cancelled" | "blocked":
            return [who(task)]
        case _:
            parts = (who(task), after(goal, task), about(task.estimate.seconds))
            return [part for part in parts if part]


def came_to(task: Task, most: int) -> str:
    """What a step came to, in one line: its result, or what holds it up."""
    match task.state:
        case "done":
            return THERE if task.key == ANSWER else flat(task.result or "", most)
        case "waiting":
            return f"Waits for an answer: {flat(task.question or '', most)}"
        case "failed":
            return f"Failed: {flat(task.reason, most)}" if task.reason else "Failed."
        case "blocked":
            return f"Cannot go on: {flat(task.reason, most)}" if task.reason else "Cannot go on."
        case "skipped":
            return f"Skipped: {flat(task.reason, most)}" if task.reason else "Skipped."
        case "cancelled":
            return "Stopped."
        case "pending" if task.reason:
            return f"Is tried again: {flat(task.reason, most)}"
        case _:
            return ""


def done_of(goal: Goal) -> str:
    """`2 of 5 steps done`."""
    done = sum(task.state == "done" for task in goal.tasks)
    return f"{done} of {count(len(goal.tasks), 'step')} done"


def elapsed(goal: Goal, now: float) -> float:
    """Seconds since it was started."""
    return max(0.0, (goal.ended_at or now) - (goal.started_at or goal.created_at or now))


def chance(estimate: Estimate) -> str:
    """`81%, from 12 earlier runs`."""
    basis = f"from {count(estimate.known, 'earlier run')}" if estimate.known else "a guess"
    return f"{share(estimate.chance)} ({basis})"


def cost(goal: Goal) -> str:
    """What was spent, or that it is not known."""
    spent = goal.spent
    if goal.estimate.usd is None:
        tokens = f"{count(spent.tokens, 'token')}, price unknown"
        return f"{usd(spent.usd)} and {tokens}" if spent.usd else tokens
    return usd(spent.usd)


def time_against(goal: Goal, now: float) -> str:
    """`2 min 3 s (expected: about 2 min)`; where people were waited for, the work is told apart."""
    expected, whole = f"(expected: {about(goal.estimate.seconds)})", elapsed(goal, now)
    worked, asked = goal.spent.seconds, any(task.question or task.answers for task in goal.tasks)
    if asked and whole > worked + _WORTH_TELLING_S:
        return f"{lasts(worked)} of work {expected}, over {lasts(whole)}"
    return f"{lasts(whole)} {expected}"


def cost_against(goal: Goal) -> str:
    """`$0.0120 (expected: $0.0200)`."""
    expected = goal.estimate
    if expected.usd is None:
        return f"{cost(goal)} (expected: about {count(_round(expected.tokens), 'token')})"
    return f"{cost(goal)} (expected: {usd(expected.usd)})"


def _round(tokens: int) -> int:
    return max(100, round(tokens, -2))


def expected_cost(goal: Goal) -> str:
    """`$0.0200`, or the tokens where no price is known."""
    if goal.estimate.usd is None:
        return f"price unknown, about {count(_round(goal.estimate.tokens), 'token')}"
    return f"{usd(goal.estimate.usd)}, about {count(_round(goal.estimate.tokens), 'token')}"


def status(goal: Goal, now: float) -> str:
    """How it is going, for who asks, in Slack's mrkdwn."""
    match goal.state:
        case "proposed":
            return "The plan waits for its start: say `start`, `change: ...` or `cancel`."
        case "done":
            return f"It is done: it took {time_against(goal, now)}, {cost_against(goal)}."
        case "failed":
            return f"It failed after {lasts(elapsed(goal, now))}: {said(goal.reason, 300)}"
        case "cancelled":
            return f"It was stopped; {done_of(goal)}."
        case "refused":
            return f"There is no plan: {said(goal.reason, 300)}"
        case _:
            return "\n".join(_under_way(goal, now))


def _under_way(goal: Goal, now: float) -> list[str]:
    lines = [f"*{done_of(goal)}*, after {time_against(goal, now)}; {cost_against(goal)}."]
    for task in steps_of(goal):
        if task.state == "running":
            since = f", for {lasts(now - task.started_at)}" if task.started_at else ""
            title = said(flat(task.title, 120))
            lines.append(f"{SIGNS['running']} Step {task.number}, {title}: {who(task)}{since}")
        elif task.state in ("waiting", "failed", "blocked"):
            came = said(came_to(task, 200))
            lines.append(f"{SIGNS[task.state]} Step {task.number} {came[:1].lower()}{came[1:]}")
    if goal.asks:
        lines.append(f"{SIGNS['waiting']} {said(goal.asks, 500)}")
    return lines


def account(goal: Goal, now: float) -> str:
    """Below the final answer, in Markdown: which step gave what, what is missing, what it took."""
    steps = [task for task in steps_of(goal) if task.key != ANSWER]
    lines = ["**Where this comes from**", *(_accounted(task) for task in steps)]
    missing = [task for task in steps if task.state != "done"]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        names = ", ".join(f"step {task.number} ({flat(task.title, 80)})" for task in missing)
        lines += ["", f"**Missing** {verb} what {names} would have given."]
    lines += ["", f"It took {time_against(goal, now)}; {cost_against(goal)}."]
    return "\n".join(lines)


def _accounted(task: Task) -> str:
    sign, title, came = SIGNS[task.state], flat(task.title, 120), came_to(task, 160)
    by = ", ".join(part for part in (who(task), took(task)) if part) if task.started_at else ""
    return f"- {sign} {task.number}. {title}" + (f" ({by})" if by else "") + _colon(came)


def _colon(text: str) -> str:
    return f": {text}" if text else ""


def failed_text(goal: Goal) -> str:
    """What is said in place of an answer where nothing of use came out, in Markdown."""
    why = flat(goal.reason, 600) or "no step came to a result."
    return f"I could not finish “{flat(goal.title or goal.request, 150)}”: {why}"


def plan_text(goal: Goal, now: float, lines: Sequence[str] = ()) -> str:
    """The plan without blocks; it is also what is remembered of it."""
    head = f"Plan: {said(flat(goal.title or goal.request, 200))}"
    steps = [
        f"{SIGNS[task.state]} {task.number}. {said(flat(task.title, 150))} "
        f"({said(', '.join(facts(goal, task)))}){_colon(said(came_to(task, 120)))}"
        for task in steps_of(goal)
    ]
    return "\n".join([head, *lines, *steps])
