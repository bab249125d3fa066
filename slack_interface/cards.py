"""Pure functions from records to Block Kit: what Slack shows of them, with the same in words.

Blocks are plain dicts, as slack_sdk's models do not know the newer ones.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from agents.generalising import WorkflowInput
from database.records import LEARNING, Metrics, MetricsRow, Run
from slack_interface.blocks import (
    actions,
    bars,
    button,
    checkboxes,
    context,
    divider,
    escaped,
    header,
    modal,
    number,
    option,
    raw_text,
    section,
    select,
    shortened,
    table,
    text_input,
)
from slack_interface.incoming import Json

IMPROVE = "improve_answer"
RUN_WORKFLOW = "run_workflow"
SAVE_WORKFLOW = "save_workflow"
SETTINGS = "settings"
MY_DATA = "my_data"
WHY = "why_modal"

REASONS: Mapping[str, str] = {
    "wrong": "Something in it is wrong",
    "missed": "It missed what I asked",
    "incomplete": "Something is missing",
    "long": "It is too long",
    "short": "It is too short",
    "unclear": "It is hard to understand",
}

LENGTHS: Mapping[str, str] = {
    "short": "Short answers",
    "normal": "Normal answers",
    "detailed": "Detailed answers",
}

LEARNING_CHOICES: Mapping[str, str] = {
    "yes": "Learn from my questions",
    "no": "Do not learn from me",
}

TIME_ZONES = (
    "UTC", "Pacific/Honolulu", "America/Anchorage", "America/Los_Angeles", "America/Denver",
    "America/Chicago", "America/New_York", "America/Halifax", "America/Sao_Paulo",
    "America/Argentina/Buenos_Aires", "Atlantic/Azores", "Europe/Lisbon", "Europe/London",
    "Europe/Berlin", "Europe/Madrid", "Europe/Paris", "Europe/Rome", "Europe/Zurich",
    "Europe/Warsaw", "Europe/Stockholm", "Europe/Athens", "Europe/Helsinki", "Europe/Kyiv",
    "Europe/Istanbul", "Africa/Lagos", "Africa/Cairo", "Africa/Johannesburg", "Africa/Nairobi",
    "Asia/Jerusalem", "Asia/Riyadh", "Asia/Dubai", "Asia/Karachi", "Asia/Kolkata", "Asia/Dhaka",
    "Asia/Bangkok", "Asia/Jakarta", "Asia/Singapore", "Asia/Shanghai", "Asia/Hong_Kong",
    "Asia/Manila", "Asia/Seoul", "Asia/Tokyo", "Australia/Perth", "Australia/Sydney",
    "Pacific/Auckland",
)  # fmt: skip

LEARNED = "*What I learned meanwhile, from everybody*"
ABILITIES = (
    "*Ask me anything* in a direct message, or mention me in a channel and go on in the thread.\n"
    "• `/better shorter` (or `better: shorter` in the thread): I answer again, better\n"
    "• `/save-workflow NAME` (or `save-workflow NAME`): keep what we just did; "
    "`run NAME` does it again, `run NAME input=value` with something new\n"
    "• `/metrics me 7d` (or `metrics ...`): success, speed, cost and feedback\n"
    "• `who answered?` in the thread: which specialist, why that one, how long and what it took\n"
    "• `stop` in the thread: I stop at once and keep what I have said\n"
    "• `plan: WHAT YOU WANT`: I make a plan for it, which you can change, start and follow in its "
    "thread; what needs several pieces of work gets one by itself\n"
    "• `create a specialist for TOPIC`: I make one, and it answers from then on\n"
    "• Share a text, CSV or PDF file with your question and I read it\n"
    "• `what did you learn from recent interactions?`, `what patterns did you find yesterday?`, "
    "`how can you improve yourself today?`, `how much did you cost this week and what did you "
    "save?`\n"
    "• `what do you know about me`: what I keep of you, to have it or to be forgotten"
)

PROMPTS = (
    ("Work something out", "What is 17.5% of 2,340?"),
    (
        "Write a message",
        "Write a short, friendly message that moves our Thursday meeting to Friday at 10.",
    ),
    ("Write some code", "Write a Python function that removes duplicates and keeps the order."),
    ("What can you do?", "help"),
)
"""Slack sends one as soon as it is pressed, so each is a whole request."""


def about(**values: str) -> str:
    """What a modal or button is about, to come back with it."""
    return orjson.dumps(values).decode()


def why_modal(private_metadata: str) -> Json:
    """Asks why an answer was bad, with quick reasons, free words and an offer to try again."""
    reasons = [option(label, key) for key, label in REASONS.items()]
    return modal(
        WHY,
        "What was wrong?",
        "Send",
        [
            checkboxes("reasons", "What was the matter?", reasons),
            text_input("words", "What would have been better?", multiline=True, optional=True),
            checkboxes("again", "And now", [option("Answer again with this in mind", "yes")]),
        ],
        private_metadata,
    )


def improve_modal(private_metadata: str) -> Json:
    """Asks what to change in an answer."""
    field_ = text_input("words", "What should be better?", multiline=True)
    return modal(IMPROVE, "Improve this answer", "Answer again", [field_], private_metadata)


def save_modal(private_metadata: str) -> Json:
    """Asks for a workflow's name."""
    field_ = text_input("words", "Name of the workflow, such as weekly-report")
    return modal(SAVE_WORKFLOW, "Save as workflow", "Save", [field_], private_metadata)


def workflow_modal(name: str, inputs: Sequence[WorkflowInput], private_metadata: str) -> Json:
    """A workflow's inputs, filled with what they were when it was saved."""
    fields = [
        text_input(f"input:{blank.name}", blank.name, initial=blank.example)
        for blank in inputs[:90]
    ]
    intro = section(f"Run *{escaped(name)}* again" + (" with:" if fields else "."))
    return modal(RUN_WORKFLOW, "Run a workflow", "Run", [intro, *fields], private_metadata)


def workflow_card(
    name: str, inputs: Sequence[WorkflowInput], saved: bool
) -> tuple[str, list[Json]]:
    """A saved workflow with its Run button, in words and blocks."""
    call = " ".join([f"run {name}", *(_assignment(blank) for blank in inputs)])
    verb = "Saved as workflow" if saved else "Workflow"
    text = f"{verb} {name}. Say `{call}` to run it."
    blanks = ", ".join(f"`{escaped(blank.name)}`" for blank in inputs) or "none"
    blocks = [
        section(
            f"{verb} *{escaped(name)}*\nInputs: {blanks}\nSay `{escaped(call)}`, or press Run.",
            button("Run", RUN_WORKFLOW, about(name=name), primary=True),
        )
    ]
    return text, blocks


def _assignment(blank: WorkflowInput) -> str:
    example = shortened(blank.example.replace('"', "'"), 40)
    if not example:
        return f"{blank.name}=…"
    return f'{blank.name}="{example}"' if " " in example else f"{blank.name}={example}"


def improve_offer(run_id: str) -> list[Json]:
    """A button that asks what to do better, below thanks for bad news."""
    return [actions(button("Improve this answer", IMPROVE, about(run_id=run_id)))]


# Metrics


def metrics_card(
    metrics: Metrics, title: str, counts_only: bool, learning: Sequence[str] = ()
) -> tuple[str, list[Json]]:
    """Success, speed, cost and feedback: two charts and a table, and the same in words.

    `counts_only` shows how many runs there were and nothing else (another person's figures).
    `learning` is what learning did in that time, for everybody.
    """
    total = metrics.total
    if not total.runs:
        text = f"{title}: nothing was asked in that time. Try a longer one, such as `30d`."
        return text, [section(escaped(text))]
    if counts_only:
        text = f"{title}: {_count(total.runs, 'answer')} in public channels."
        return text, [header(title), section(escaped(text)), *_day_chart(metrics, True)]
    lines = [*_summary(total), *filter(None, (metrics.behind.sentence(), metrics.note))]
    agents = _agent_lines(metrics.by_agent)
    about_learning = [LEARNED, *learning] if learning else []
    text = "\n".join([title, *lines, *agents, *about_learning])
    rows = [_table_row(row) for row in (*metrics.by_agent[:99], total)]
    head = ["Agent", "Answers", "Success", "Median", "95%", "Tokens", "Cost", "Good", "Bad"]
    blocks = [
        header(title),
        section("\n".join(escaped(line) for line in lines)),
        *_day_chart(metrics, False),
        *_agent_chart(metrics.by_agent),
        table(f"{title}, by agent", head, rows),
        *([section("\n".join(about_learning))] if about_learning else ()),
    ]
    return text, blocks


def _summary(row: MetricsRow) -> list[str]:
    return [
        f"Answers: {row.runs}",
        f"Success: {_rate(row.success_rate)}" + (f" ({row.judged} judged)" if row.judged else ""),
        f"Speed: {_seconds(row.p50_ms)} median, {_seconds(row.p95_ms)} for the slowest 5%",
        f"Tokens: {row.input_tokens:,} read, {row.output_tokens:,} written",
        f"Cost: {_cost(row)}{' (the model has no known price)' if _unpriced(row) else ''}",
        _feedback_line(row),
    ]


def _feedback_line(row: MetricsRow) -> str:
    if row.satisfaction is None:
        return "Feedback: none yet"
    counts = f"{row.feedback_up} good, {row.feedback_down} bad"
    return f"Feedback: {counts} (satisfaction {row.satisfaction:.0%})"


def _agent_lines(rows: Sequence[MetricsRow]) -> list[str]:
    return [
        f"{row.label}: {_count(row.runs, 'answer')}, success {_rate(row.success_rate)}, "
        f"{_seconds(row.p50_ms)}, {'cost ' if _unpriced(row) else ''}{_cost(row)}"
        for row in rows[:20]
    ]


def _table_row(row: MetricsRow) -> list[Json]:
    tokens = row.input_tokens + row.output_tokens
    rate = row.success_rate
    return [
        raw_text(row.label),
        number(row.runs, str(row.runs)),
        number(rate, _rate(rate)),
        number(row.p50_ms, _seconds(row.p50_ms)),
        number(row.p95_ms, _seconds(row.p95_ms)),
        number(tokens, f"{tokens:,}"),
        raw_text(_cost(row)) if _unpriced(row) else number(row.cost_usd, _cost(row)),
        number(row.feedback_up, str(row.feedback_up)),
        number(row.feedback_down, str(row.feedback_down)),
    ]


def _day_chart(metrics: Metrics, counts_only: bool) -> list[Json]:
    days = metrics.by_day[-20:]
    if len(days) < 2:
        return []
    labels = [row.label for row in days]
    series = [("Answers", [float(row.runs) for row in days])]
    if not counts_only:
        series.append(("Succeeded", [float(row.succeeded) for row in days]))
    return [bars("Answers a day", labels, series)]


def _agent_chart(rows: Sequence[MetricsRow]) -> list[Json]:
    timed = [row for row in rows if row.p50_ms is not None][:20]
    if not timed:
        return []
    seconds = [round((row.p50_ms or 0.0) / 1000, 2) for row in timed]
    return [
        bars("Seconds to answer (median)", [row.label for row in timed], [("Seconds", seconds)])
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _rate(rate: float | None) -> str:
    return "not judged yet" if rate is None else f"{rate:.0%}"


def _seconds(milliseconds: float | None) -> str:
    return "–" if milliseconds is None else f"{milliseconds / 1000:.1f} s"


def _unpriced(row: MetricsRow) -> bool:
    return row.unpriced_runs == row.runs


def _cost(row: MetricsRow) -> str:
    if _unpriced(row):
        return "unknown"
    known = f"${row.cost_usd:.4f}" if row.cost_usd < 1 else f"${row.cost_usd:,.2f}"
    return f"{known} + {row.unpriced_runs} unpriced" if row.unpriced_runs else known


# App Home


@dataclass(frozen=True, slots=True)
class HomeFacts:
    """What a person's Home shows; `metrics` None where it could not be read.

    `admin` are the blocks that only approvers see, `learning` what is said of learning, `plans`
    what of goals that have not ended.
    """

    name: str
    settings: Mapping[str, Any]
    runs: Sequence[Run] = ()
    metrics: Metrics | None = None
    workflows: Sequence[str] = ()
    notes: Sequence[str] = field(default=())
    admin: Sequence[Json] = ()
    learning: Sequence[Json] = ()
    plans: Sequence[Json] = ()


def home_view(facts: HomeFacts) -> Json:
    """The Home tab: figures, recent answers, workflows, settings, what I can do."""
    blocks = [
        header(f"Hello {facts.name}"),
        *(section(escaped(note)) for note in facts.notes[:3]),
        *_home_figures(facts.metrics),
        *facts.plans,
        *facts.learning,
        divider(),
        *_home_runs(facts.runs),
        divider(),
        *_home_workflows(facts.workflows),
        divider(),
        *_home_settings(facts.settings),
        *facts.admin,
        divider(),
        header("What I can do"),
        section(ABILITIES),
    ]
    return {"type": "home", "blocks": blocks[:100]}


def notice_home(text: str) -> Json:
    """A Home with nothing in it but why."""
    return {"type": "home", "blocks": [section(escaped(text))]}


def _home_figures(metrics: Metrics | None) -> list[Json]:
    if metrics is None or not metrics.total.runs:
        return [section("Your figures appear here once you have asked me something.")]
    lines = "\n".join(escaped(line) for line in _summary(metrics.total))
    return [section(f"*Your last 30 days*\n{lines}")]


def _home_runs(runs: Sequence[Run]) -> list[Json]:
    if not runs:
        return [header("Recent answers"), section("Nothing yet: say hello in Messages.")]
    return [header("Recent answers"), *(_home_run(run) for run in runs[:10])]


def _home_run(run: Run) -> Json:
    asked = escaped(shortened(" ".join(run.request.split()), 120))
    when = ""
    if run.started_at is not None:
        day = time.strftime("%Y-%m-%d %H:%M", time.gmtime(run.started_at))
        when = f"<!date^{int(run.started_at)}^{{date_short_pretty}} {{time}}|{day}>"
    ended = "stopped or failed" if run.error else f"{(run.duration_ms or 0) / 1000:.1f} s"
    parts = [part for part in (escaped(run.agent), ended, when) if part]
    return section(f"*{asked}*\n{' · '.join(parts)}")


def _home_workflows(names: Sequence[str]) -> list[Json]:
    if not names:
        hint = "None yet. After a good answer, say `/save-workflow NAME`."
        return [header("Workflows"), section(hint)]
    rows = [
        section(f"*{escaped(name)}*", button("Run", RUN_WORKFLOW, about(name=name)))
        for name in names[:20]
    ]
    more = [context(f"and {len(names) - 20} more: say `run NAME`")] if len(names) > 20 else []
    return [header("Workflows"), *rows, *more]


def _home_settings(settings: Mapping[str, Any]) -> list[Json]:
    lengths = [option(label, key) for key, label in LENGTHS.items()]
    zone = str(settings.get("time_zone") or "UTC")
    zones = TIME_ZONES if zone in TIME_ZONES else (zone, *TIME_ZONES)
    return [
        header("Settings"),
        section(
            "How long my answers should be",
            select(
                f"{SETTINGS}:answer_length",
                lengths,
                str(settings.get("answer_length") or "normal"),
                "Answer length",
            ),
        ),
        section(
            "Your time zone, for dates and times",
            select(
                f"{SETTINGS}:time_zone",
                [option(name.replace("_", " "), name) for name in zones],
                zone,
                "Time zone",
            ),
        ),
        section(
            "Whether I get better by what you ask and how you take my answers",
            select(
                f"{SETTINGS}:{LEARNING}",
                [option(label, key) for key, label in LEARNING_CHOICES.items()],
                str(settings.get(LEARNING) or "yes"),
                "Learning",
            ),
        ),
        section(
            "What I keep about you, to have it or to be forgotten",
            button("What do you know about me?", MY_DATA, "show"),
        ),
    ]
