"""Which plan of a thread words are for: one they name, else one that waits for them; else ask.

Pure. Plans are called by their number in the thread, which never changes ("plan 2: skip step 3",
"stop plan 2"), or by words of their title ("how is the announcement plan going?").
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from database.goals import Goal, Task
from slack_interface.goal_figures import done_of, flat
from slack_interface.goal_words import (
    LAST,
    MOST_CHARS,
    Act,
    GoalWord,
    begins_like,
    goal_word,
    yes_or_no,
)
from slack_interface.learning_words import said

LOOKS: frozenset[str] = frozenset({"status", "results"})
"""What changes nothing, so everybody who reads there may."""
MOST_TOLD = 10
_MOST_NAMES = 20
_FIRST = re.compile(r"^plan\s*#?(?P<number>\d{1,3})\s*[:,]", re.IGNORECASE)
_OF = r"(?:\s+(?:of|for|in|on|from|to))?"
_NUMBER = re.compile(rf"{_OF}\s+(?:the\s+)?plan\s*#?(?P<number>\d{{1,3}})\b", re.IGNORECASE)
_BEFORE_TITLE = re.compile(rf"{_OF}\s+the\s", re.IGNORECASE)
_TITLE = re.compile(
    rf"{_OF}\s+the\s+(?P<name>[^:\n]{{2,80}}?)(?:\s+(?:plan|goal))?"
    r"(?P<rest>\s+(?:going|doing|coming along))?$",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+")
_IDLE = frozenset(_WORD.findall("a an the and of for to in on with our my your plan goal this"))


@dataclass(frozen=True, slots=True)
class Meant:
    """What is wanted of which plans: one, or for a look several; `unclear` where it may be any."""

    word: GoalWord
    goals: tuple[Goal, ...]
    unclear: bool = False


def meant(goals: Sequence[Goal], text: str, who: str) -> Meant | None:
    """What words in a thread with these plans (oldest first) want of which; None: of none.

    `who` may answer questions by ordinary words; '' where the words are a command of their own.
    """
    if first := _FIRST.match(text.strip()):
        rest = text.strip()[first.end() :].strip()
        word = None
        if goal := _numbered(goals, first):
            word = wish(goal, goal_word(rest), rest, who)
        return Meant(word, (goal,)) if goal and word else None
    for rest, goal in _named(goals, text) if len(goals) > 1 else ():
        word = goal_word(rest)
        if word and (word := wish(goal, word, rest, "")):
            return Meant(word, (goal,))
    going_on = [goal for goal in goals if not goal.ended] or list(goals[-1:])
    said_word = goal_word(text)
    wishes = [(goal, wish(goal, said_word, text, who)) for goal in going_on]
    found = [(goal, word) for goal, word in wishes if word]
    if not found:
        return None
    if said_word and said_word.act == "status":
        return Meant(said_word, tuple(goal for goal, _ in found))
    found = _best(found, who)
    return Meant(found[0][1], tuple(goal for goal, _ in found), unclear=len(found) > 1)


def wish(goal: Goal, word: GoalWord | None, text: str, who: str) -> GoalWord | None:
    """What the words mean as this plan stands."""
    agreed = yes_or_no(text)
    if goal.ended:
        return word if word and word.act in LOOKS else None
    if goal.state == "proposed":
        return GoalWord("cancel") if agreed is False else word
    if goal.asks and (agreed is not None or (word and word.act == "start")):
        return GoalWord("answer", words="no" if agreed is False else "yes")
    asked = [task.number for task in goal.tasks if task.state == "waiting"]
    if word and word.act in ("skip", "model"):
        word = _of_these_steps(goal, word, asked)
    answers = bool(asked) and who == goal.user_id and not is_question(text)
    if word and not (word.act == "start" and (asked or agreed)) and (word.sure or not answers):
        return word
    if not answers:
        return None
    doubtful = bool(begins_like(text)) or (word is not None and not word.sure)
    return GoalWord("either" if doubtful else "answer", words=text)


def _of_these_steps(goal: Goal, word: GoalWord, asked: Sequence[int]) -> GoalWord | None:
    """With the number of the last step, and of the one that "skip it" is about, if that is one."""
    last = max((task.number for task in goal.tasks), default=0)
    numbers = tuple(last if number == LAST else number for number in word.numbers)
    if word.act == "skip" and not numbers:
        return replace(word, numbers=tuple(asked)) if len(asked) == 1 else None
    return replace(word, numbers=numbers)


def is_question(text: str) -> bool:
    """Whether somebody asks back, which is no answer."""
    return text.rstrip().endswith("?")


def names_of(goals: Sequence[Goal], *, numbered: bool) -> dict[str, str]:
    """What plans are called, by their id, in mrkdwn; a lone one need not be called anything."""
    if len(goals) < 2:
        return {goal.goal_id: "" for goal in goals}
    titles = {goal.goal_id: said(flat(goal.title or goal.request, 120)) for goal in goals}
    if not numbered:
        return {key: f"*{title}*" for key, title in titles.items()}
    return {key: f"*Plan {n}*, {title}" for n, (key, title) in enumerate(titles.items(), start=1)}


def which(goals: Sequence[Goal], names: Mapping[str, str], text: str, *, numbered: bool) -> str:
    """Asks which of several plans is meant, in mrkdwn."""
    lines = ["Which plan do you mean? I have changed nothing yet."]
    lines += [f"• {names[goal.goal_id]}: {_stands(goal)}" for goal in goals[:MOST_TOLD]]
    if numbered:
        number = [*names].index(goals[-1].goal_id) + 1
        example = said(flat(text, 60)).replace("`", "'")
        how = f"Say it again with its number in front, such as `plan {number}: {example}`."
    else:
        how = "Say it again in the thread of the one you mean."
    return "\n".join([*lines, how])


def either(goal: Goal, text: str) -> str:
    """Asks whether words are an answer to what a step asks, in mrkdwn."""
    asking = [task for task in goal.tasks if task.state == "waiting"]
    word = goal_word(text)
    act = word.act if word else begins_like(text)
    answer = "answer" if len(asking) == 1 else f"step {asking[0].number}"
    asked = "; ".join(f"step {t.number}: {said(flat(t.question or '', 120))}" for t in asking)
    example = said(flat(text, 60)).replace("`", "'")
    return (
        f"Is that your answer ({asked}), or is it about the plan? I have changed nothing yet.\n"
        f"If it is the answer, say `{answer}: {example}`. {_HOW.get(act, '')}"
    )


_HOW: Mapping[Act | None, str] = {
    "cancel": "To stop the whole plan, say `stop`.",
    "skip": "To leave out a step, say for example `skip step 2`.",
    "change": "To change the plan, say `change: ` and what should be different.",
    "model": "For another model, say `use the cheaper model` or `use the strong model`.",
}


def _stands(goal: Goal) -> str:
    """How it is, in few words."""
    waits = next((task for task in goal.tasks if task.state == "waiting"), None)
    if goal.asks:
        return f"asks whether to go on: {said(flat(goal.asks, 120))}"
    if waits:
        return f"step {waits.number} waits for an answer: {said(flat(waits.question or '', 120))}"
    return "waits for its start" if goal.state == "proposed" else done_of(goal)


def _best(found: list[tuple[Goal, GoalWord]], who: str) -> list[tuple[Goal, GoalWord]]:
    """Those that wait for the words, else those that they fit, else all; one's own before."""
    ranks = [_fits(goal, word) for goal, word in found]
    best = [one for one, rank in zip(found, ranks, strict=True) if rank == max(ranks)]
    return [(goal, word) for goal, word in best if goal.user_id == who] or best


def _fits(goal: Goal, word: GoalWord) -> int:
    """2 where the plan waits for such words, 1 where they can be done."""
    steps = [task for task in goal.tasks if not word.numbers or task.number in word.numbers]
    waits = any(task.state == "waiting" for task in steps)
    match word.act:
        case "answer" | "either":
            return 2 if waits or (goal.asks and not word.numbers) else 0
        case "start":
            return int(goal.state == "proposed")
        case "skip":
            known = {task.number for task in steps if not _over(task)}
            return (2 if waits else 1) if known >= {*word.numbers} else 0
        case "results":
            return int(any(task.result for task in steps))
        case _:
            return 1


def _over(task: Task) -> bool:
    return task.state in ("done", "skipped", "cancelled")


def _named(goals: Sequence[Goal], text: str) -> list[tuple[str, Goal]]:
    """Plans that the text names, each with the text without the name."""
    found: list[tuple[str, Goal]] = []
    if len(text) > MOST_CHARS:
        return found
    text = " ".join(text.split()).rstrip(".?! ")
    for match in _NUMBER.finditer(text):
        if goal := _numbered(goals, match):
            found += [(rest, goal) for rest in _without(text, match)]
    titles = [_TITLE.match(text, before.start()) for before in _BEFORE_TITLE.finditer(text)]
    for title in islice(filter(None, titles), _MOST_NAMES):
        called = [goal for goal in goals if _is_called(goal, title["name"])]
        if len(called) == 1:
            found += [(rest, called[0]) for rest in _without(text, title, title["rest"] or "")]
    return found


def _numbered(goals: Sequence[Goal], match: re.Match[str]) -> Goal | None:
    number = int(match["number"])
    return goals[number - 1] if 0 < number <= len(goals) else None


def _without(text: str, match: re.Match[str], more: str = "") -> list[str]:
    """What is said of it, with the name left out or with "it" in its place."""
    before, after = text[: match.start()], f"{more} {text[match.end() :]}"
    return [rest for put in (" ", " it ") if (rest := " ".join(f"{before}{put}{after}".split()))]


def _is_called(goal: Goal, name: str) -> bool:
    wanted = {*_WORD.findall(name.casefold())} - _IDLE
    return bool(wanted) and wanted <= {*_WORD.findall(f"{goal.title} {goal.request}".casefold())}
