"""Plans as Block Kit: the plan message, questions, results, forms. Pure: a Goal in, blocks out.

Field shapes of `plan` and `task_card`: docs.slack.dev, block-kit reference. Their texts are plain
or rich text, in which nothing is read as a mention or a link.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from database.goals import Goal, Objective, Task
from slack_interface.blocks import (
    actions,
    button,
    context,
    escaped,
    fields,
    header,
    modal,
    notice_modal,
    plain,
    section,
    shortened,
    text_input,
)
from slack_interface.goal_figures import (
    SIGNS,
    came_to,
    chance,
    cost_against,
    done_of,
    elapsed,
    expected_cost,
    facts,
    flat,
    lasts,
    mrkdwn,
    plan_text,
    steps_named,
    steps_of,
    time_against,
    who,
)
from slack_interface.goal_figures import about as roughly
from slack_interface.incoming import Json
from slack_interface.learning_words import said
from slack_interface.splitting import split_point

GOAL = "goal"
"""Action ids are `goal:VERB`; the button's value is the goal's id, or that, `:` and a step."""
CHANGE_FORM, ANSWER_FORM = "goal_change", "goal_answer"

PLAN_BYTES = 8_000
"""Of a plan's titles and twice its details and outputs, in UTF-8; Slack refuses messages from about
10,600 on (measured by others, openclaw/openclaw#143882)."""
MOST_STEPS = 40
OUTPUT_CHARS = 280
_SHORTER = (OUTPUT_CHARS, 140, 70, 0)
_SECTION = 2_900
_VIEW_CHARS = 60_000
"""Of results in a modal: a view may have 250 KB, in blocks of at most 3,000 characters."""

HINTS = (
    "In this thread: `how is it going?` · `skip step 3` · `add a step that ...` · "
    "`use the cheaper model` · `stop`"
)


@dataclass(frozen=True, slots=True)
class PlanCard:
    """A message: its `blocks`, `plainer` ones for servers that do not know plans, and words."""

    text: str
    blocks: list[Json]
    plainer: list[Json]


def planning_card() -> PlanCard:
    """What stands there while the plan is made."""
    text = "🧭 *I am making a plan.*"
    hint = context("This takes some seconds, on a small model a minute. Say `stop` to leave it.")
    return _alike(text, [section(text), hint])


def notice_card(words: str, again: str = "") -> PlanCard:
    """Where no plan came about: why. `words` is mrkdwn; `again` what a button to try again says."""
    below = [actions(button("Try again", f"{GOAL}:again", again, primary=True))] if again else []
    return _alike(words, [section(words), *below])


def _alike(text: str, blocks: list[Json]) -> PlanCard:
    """Blocks that every server knows."""
    return PlanCard(text, blocks, blocks)


def plan_card(goal: Goal, now: float) -> PlanCard:
    """The plan as it stands: what for, who does what, how far it is, what it takes."""
    if goal.state == "refused" and not goal.tasks:
        return _refused(goal)
    state = _state(goal, now)
    head = [section(f"*{said(flat(goal.title or goal.request, 300))}*\n{state}")]
    head += _objectives(goal)
    below = [*_figures(goal, now), *_notes(goal), *_buttons(goal), *_hints(goal)]
    text = plan_text(goal, now, [state])
    if goal.state == "proposed":
        text += (
            f"\nExpected: {roughly(goal.estimate.seconds)}, {expected_cost(goal)}, chance of "
            f"success {chance(goal.estimate)}. Say `start`, `change: ...` or `cancel` here."
        )
    return PlanCard(text, [*head, _plan(goal), *below], [*head, *_plain_steps(goal), *below])


def _refused(goal: Goal) -> PlanCard:
    words = f"🚫 *I made no plan*: {said(goal.reason or 'there is none that would work.', 600)}"
    return _alike(words, [section(words), *_notes(goal), *_buttons(goal)])


def _state(goal: Goal, now: float) -> str:
    match goal.state:
        case "proposed":
            return "📋 *This is my plan.* Nothing is done before you press Start."
        case "running":
            waiting = [task.number for task in steps_of(goal) if task.state == "waiting"]
            also = f" ❓ {_first_up(steps_named(waiting))} waits for you." if waiting else ""
            return f"⏳ *Working on it*: {done_of(goal)}.{also}"
        case "waiting":
            return f"❓ *Waiting for you*: {_asked(goal)}"
        case "done":
            ends = f"✅ *Done* in {lasts(elapsed(goal, now))}"
            parts = any(task.state != "done" for task in goal.tasks)
            return f"{ends}, with parts missing." if parts else f"{ends}."
        case "failed":
            return f"❌ *Failed*: {said(goal.reason or 'no step came to a result.', 600)}"
        case "cancelled":
            why = f": {said(goal.reason, 300)}" if goal.reason else "."
            begun = "" if goal.started_at is None else f" {_first_up(done_of(goal))}."
            return f"⏹️ *Stopped*{why}{begun}"
        case _:
            return f"🚫 *Refused*: {said(goal.reason, 600)}"


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]


def _asked(goal: Goal) -> str:
    waiting = [task.number for task in steps_of(goal) if task.state == "waiting"]
    if goal.asks:
        return said(goal.asks, 300)
    verb = "has a question" if len(waiting) == 1 else "have questions"
    return f"{steps_named(waiting)} {verb}."


def _objectives(goal: Goal) -> list[Json]:
    """What the plan is for below its title, with the steps that serve each."""
    own = [objective for objective in goal.objectives if objective.level != "strategic"]
    if not own:
        return []
    lines: list[str] = []
    for top in (objective for objective in own if not _parent(own, objective)):
        below = [one for one in own if _parent(own, one) is top]
        if len(below) == 1:
            lines.append(_objective(goal, "•", top, *below))
        else:
            lines += [_objective(goal, "•", top)]
            lines += [_objective(goal, "      ◦", one) for one in below]
    return [section("\n".join(lines[:12]))]


def _parent(among: Sequence[Objective], objective: Objective) -> Objective | None:
    return next((other for other in among if other.key == objective.parent), None)


def _objective(goal: Goal, sign: str, *objectives: Objective) -> str:
    """One line: the objective, perhaps with the only one that serves it, and their steps."""
    keys = {objective.key for objective in objectives}
    numbers = [task.number for task in goal.tasks if task.objective in keys]
    steps = f"  _({steps_named(numbers)})_" if numbers else ""
    titles = ": ".join(flat(objective.title, 120) for objective in objectives)
    return f"{sign} {said(_first_up(titles))}{steps}"


# The steps, as Slack's own plan and as plain sections


def _plan(goal: Goal) -> Json:
    steps = steps_of(goal)[:MOST_STEPS]
    for most in _SHORTER:
        cards = [_card(goal, task, most) for task in steps]
        if sum(_weight(card) for card in cards) <= PLAN_BYTES:
            break
    return {"type": "plan", "title": "Steps", "tasks": cards}


def _card(goal: Goal, task: Task, most: int) -> Json:
    title = shortened(f"{task.number}. {flat(task.title, 150)}{_aside(task)}", 200)
    card: Json = {
        "type": "task_card",
        "task_id": shortened(task.key, 255),
        "title": title,
        "status": _card_state(task),
    }
    if told := " · ".join(facts(goal, task)):
        card["details"] = _rich(told)
    if came := came_to(task, most) if most else "":
        card["output"] = _rich(came)
    return card


def _aside(task: Task) -> str:
    """What Slack's four states cannot say."""
    asides = {"skipped": " (skipped)", "cancelled": " (stopped)", "waiting": " (waits for you)",
              "blocked": " (cannot go on)"}  # fmt: skip
    return asides.get(task.state, "")


def _card_state(task: Task) -> str:
    """What waits for days must not look busy, what is left out neither done nor wrong."""
    states = {"running": "in_progress", "done": "complete", "failed": "error", "blocked": "error"}
    return states.get(task.state, "pending")


def _weight(card: Json) -> int:
    rich = [part["elements"][0]["elements"][0]["text"] for key in ("details", "output")
            if (part := card.get(key))]  # fmt: skip
    return len(card["title"].encode()) + 2 * sum(len(text.encode()) for text in rich)


def _rich(text: str) -> Json:
    words = {"type": "text", "text": text}
    return {
        "type": "rich_text",
        "elements": [{"type": "rich_text_section", "elements": [words]}],
    }


def _plain_steps(goal: Goal) -> list[Json]:
    """The steps for servers without plans: as few sections as hold them."""
    blocks: list[str] = []
    for task in steps_of(goal)[:MOST_STEPS]:
        came = said(came_to(task, 200))
        line = f"{SIGNS[task.state]} *{task.number}. {said(flat(task.title, 150))}*{_aside(task)}"
        line += f"\n{said(' · '.join(facts(goal, task)))}" + (f"\n>{came}" if came else "")
        if blocks and len(blocks[-1]) + len(line) < _SECTION:
            blocks[-1] += f"\n{line}"
        else:
            blocks.append(line)
    return [section(text) for text in blocks]


# What it takes, what was repaired, what can be done


def _figures(goal: Goal, now: float) -> list[Json]:
    if goal.started_at is None:
        found = {
            "Expected time": roughly(goal.estimate.seconds),
            "Expected cost": expected_cost(goal),
            "Chance of success": chance(goal.estimate),
            "Steps": f"{len(goal.tasks)}, by {_people(goal)}",
        }
    else:
        found = {"Time": time_against(goal, now), "Cost": cost_against(goal)}
        if not goal.ended:
            found["Chance of success"] = chance(goal.estimate)
    return [fields([f"*{name}*\n{escaped(value)}" for name, value in found.items()])]


def _people(goal: Goal) -> str:
    number = len({task.agent or task.key for task in goal.tasks})
    return "one specialist" if number == 1 else f"{number} specialists"


def _notes(goal: Goal) -> list[Json]:
    """The last of what was repaired, changed, or has failed."""
    notes = [said(note, 250) for note in goal.notes]
    if not notes:
        return []
    more = [f"_and {len(notes) - 5} earlier notes_"] if len(notes) > 5 else []
    return [context("\n".join([*more, *(f"🔧 {note}" for note in notes[-5:])]))]


def _buttons(goal: Goal) -> list[Json]:
    found: list[Json] = []
    identifier = goal.goal_id
    change = button("Change", f"{GOAL}:change", identifier)
    if goal.state == "proposed":
        found = [
            button("Start", f"{GOAL}:start", identifier, primary=True),
            change,
            button("Cancel", f"{GOAL}:cancel", identifier, danger=True),
        ]
    elif not goal.ended:
        sure = "What is done stays, and the rest is not done."
        found = [change, button("Stop", f"{GOAL}:cancel", identifier, danger=True, sure=sure)]
    if any(task.result for task in goal.tasks):
        found.insert(0, button("Results", f"{GOAL}:results", identifier))
    if goal.state == "refused" or (goal.state == "cancelled" and goal.started_at is None):
        found.append(button("Answer without a plan", f"{GOAL}:plainly", identifier))
    return [actions(*found)] if found else []


def _hints(goal: Goal) -> list[Json]:
    return [] if goal.ended else [context(HINTS)]


# Questions


def question_card(goal: Goal, task: Task | None) -> PlanCard:
    """A question of a step, or of the goal itself, to whoever asked for it."""
    whom = f"<@{goal.user_id}>"
    if task is None:
        text = f"❓ {whom} {said(goal.asks or '', 1500)}"
        yes = button("Yes, go on", f"{GOAL}:yes", goal.goal_id, primary=True)
        no = button("No, stop here", f"{GOAL}:no", goal.goal_id, danger=True)
        return _alike(text, [section(text), actions(yes, no)])
    title = said(flat(task.title, 150))
    text = f"❓ {whom} Step {task.number}, *{title}*, needs you: {said(task.question or '', 1500)}"
    reply = button("Answer", f"{GOAL}:reply", f"{goal.goal_id}:{task.number}", primary=True)
    skip = button("Skip this step", f"{GOAL}:skip", f"{goal.goal_id}:{task.number}")
    hint = context("Or just answer here in the thread. It waits as long as you need.")
    return _alike(text, [section(text), actions(reply, skip), hint])


def answered_card(asked: str, outcome: str) -> PlanCard:
    """The same once nothing is asked any more."""
    answer = said(outcome, 1000).replace("\n", " ")
    text = f"✔️ {said(asked, 1500)}\n>{answer}"
    return _alike(text, [section(text)])


# Forms and results


def change_form(goal: Goal, about: str) -> Json:
    """Asks what should be different."""
    wish = text_input("words", "What should be different?", multiline=True)
    hint = "For example: compare only two · add a step that checks our budget · skip step 3"
    return modal(CHANGE_FORM, "Change the plan", "Change", [wish, context(hint)], about)


def answer_form(goal: Goal, number: int, about: str) -> Json:
    """Asks for the answer to a step's question."""
    asked = next((task for task in goal.tasks if task.number == number), None)
    question = section(said((asked and asked.question) or "It needs your answer.", 2500))
    words = text_input("words", "Your answer", multiline=True)
    return modal(ANSWER_FORM, "Answer", "Send", [question, words], about)


def results_view(goal: Goal) -> Json:
    """What each step came to, in full as far as a modal holds it."""
    found = [task for task in steps_of(goal) if task.result]
    if not found:
        return notice_modal("Results", "No step has come to a result yet.")
    room = _VIEW_CHARS // len(found)
    blocks: list[Json] = []
    for task in found:
        blocks += [
            header(f"{task.number}. {flat(task.title, 140)}"),
            *_sections(task.result or "", room),
            context(escaped(" · ".join(facts(goal, task)))),
        ]
    return {
        "type": "modal",
        "title": plain("Results", 24),
        "close": plain("Close", 24),
        "blocks": blocks[:100],
    }


def _sections(result: str, room: int) -> list[Json]:
    text = mrkdwn(result, room)
    found: list[Json] = []
    while text and len(found) < 12:
        cut = split_point(text, _SECTION)
        found.append(section(text[:cut]))
        text = text[cut:].lstrip("\n")
    return found


def results_text(goal: Goal, numbers: Sequence[int]) -> str:
    """Results for the thread, in Markdown: of these steps, or of all."""
    found = [
        f"**{task.number}. {flat(task.title, 150)}** ({who(task)})\n{task.result}"
        for task in steps_of(goal)
        if task.result and (not numbers or task.number in numbers)
    ]
    return "\n\n".join(found)


# App Home


def home_plans(goals: Sequence[Goal], now: float) -> list[Json]:
    """The person's plans that are not over."""
    if not goals:
        return []
    lines = []
    for goal in goals[:5]:
        where = "" if goal.channel_id.startswith("D") else f" in <#{goal.channel_id}>"
        title = said(flat(goal.title or goal.request, 120))
        lines.append(f"*{title}*{where}\n{shortened(_state(goal, now), 300)}")
    return [header("Your plans"), *(section(line) for line in lines)]
