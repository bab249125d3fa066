"""Records to rows and back: the column names are the same in every backend."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from database.records import (
    Document,
    Feedback,
    Message,
    Outcome,
    Person,
    PolicyChange,
    Run,
    Step,
    Summary,
    TaskType,
)

RUN = (
    "workspace, run_id, parent_run_id, kind, audience, agent, agent_version, model, task_type, "
    "user_id, channel_id, thread_ts, message_ts, reply_ts, request, reply, error, route, "
    "outcome_success, outcome_score, outcome_source, started_at, duration_ms, first_token_ms, "
    "input_tokens, output_tokens, cost_usd, day"
)
STEP = (
    "workspace, run_id, position, kind, name, arguments, ok, error, duration_ms, input_tokens, "
    "output_tokens, cost_usd"
)
FEEDBACK = "workspace, feedback_id, run_id, kind, value, weight, text, user_id, created_at"
MESSAGE = "workspace, channel_id, ts, thread_ts, role, audience, text, user_id, run_id, created_at"
SUMMARY = "workspace, channel_id, thread_ts, until_ts, audience, text, created_at"
DOCUMENT = (
    "workspace, kind, name, number, version, audience, body, base, origin, author, reason, "
    "created_at, active"
)

Values = tuple[Any, ...]


class Row(Protocol):
    """What a backend gives: columns by name."""

    def __getitem__(self, column: str, /) -> Any:
        """The value of a column."""


def _packed(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _unpacked(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _bool(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def run_values(workspace: str, run: Run) -> Values:
    """The run without its steps, in the order of RUN."""
    return (
        workspace, run.run_id, run.parent_run_id, run.kind, run.audience, run.agent,
        run.agent_version, run.model, run.task_type, run.user_id, run.channel_id, run.thread_ts,
        run.message_ts, run.reply_ts, run.request, run.reply, run.error, _packed(run.route),
        run.outcome.success, run.outcome.score, run.outcome.source, run.started_at,
        run.duration_ms, run.first_token_ms, run.input_tokens, run.output_tokens, run.cost_usd,
        None if run.started_at is None else int(run.started_at // 86400),
    )  # fmt: skip


def run_from(row: Row, steps: tuple[Step, ...] = ()) -> Run:
    """The run of a row, with the steps given."""
    return Run(
        run_id=row["run_id"],
        request=row["request"],
        agent=row["agent"],
        kind=row["kind"],
        parent_run_id=row["parent_run_id"],
        started_at=row["started_at"],
        duration_ms=row["duration_ms"],
        first_token_ms=row["first_token_ms"],
        user_id=row["user_id"],
        channel_id=row["channel_id"],
        thread_ts=row["thread_ts"],
        message_ts=row["message_ts"],
        reply_ts=row["reply_ts"],
        audience=row["audience"],
        task_type=row["task_type"],
        agent_version=row["agent_version"],
        model=row["model"],
        reply=row["reply"],
        error=row["error"],
        route=_unpacked(row["route"]),
        outcome=Outcome(_bool(row["outcome_success"]), row["outcome_score"], row["outcome_source"]),
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cost_usd=row["cost_usd"],
        steps=steps,
    )


def step_values(workspace: str, run_id: str, step: Step) -> Values:
    """A step of a run, in the order of STEP."""
    return (
        workspace, run_id, step.position, step.kind, step.name, _packed(step.arguments), step.ok,
        step.error, step.duration_ms, step.input_tokens, step.output_tokens, step.cost_usd,
    )  # fmt: skip


def step_from(row: Row) -> Step:
    """The step of a row."""
    return Step(
        position=row["position"],
        kind=row["kind"],
        name=row["name"],
        arguments=_unpacked(row["arguments"]),
        ok=_bool(row["ok"]),
        error=row["error"],
        duration_ms=row["duration_ms"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cost_usd=row["cost_usd"],
    )


def feedback_values(workspace: str, feedback: Feedback) -> Values:
    """Feedback, in the order of FEEDBACK."""
    return (
        workspace, feedback.feedback_id, feedback.run_id, feedback.kind, feedback.value,
        feedback.weight, feedback.text, feedback.user_id, feedback.created_at,
    )  # fmt: skip


def feedback_from(row: Row) -> Feedback:
    """The feedback of a row."""
    return Feedback(
        feedback_id=row["feedback_id"],
        run_id=row["run_id"],
        kind=row["kind"],
        value=row["value"],
        weight=row["weight"],
        text=row["text"],
        user_id=row["user_id"],
        created_at=row["created_at"],
    )


def message_values(workspace: str, message: Message) -> Values:
    """A message, in the order of MESSAGE."""
    return (
        workspace, message.channel_id, message.ts, message.thread_ts, message.role,
        message.audience, message.text, message.user_id, message.run_id, message.created_at,
    )  # fmt: skip


def message_from(row: Row) -> Message:
    """The message of a row."""
    return Message(
        channel_id=row["channel_id"],
        ts=row["ts"],
        thread_ts=row["thread_ts"],
        role=row["role"],
        text=row["text"],
        user_id=row["user_id"],
        run_id=row["run_id"],
        audience=row["audience"],
        created_at=row["created_at"],
    )


def summary_values(workspace: str, summary: Summary) -> Values:
    """A summary, in the order of SUMMARY."""
    return (
        workspace, summary.channel_id, summary.thread_ts, summary.until_ts, summary.audience,
        summary.text, summary.created_at,
    )  # fmt: skip


def summary_from(row: Row) -> Summary:
    """The summary of a row."""
    return Summary(
        channel_id=row["channel_id"],
        thread_ts=row["thread_ts"],
        until_ts=row["until_ts"],
        text=row["text"],
        audience=row["audience"],
        created_at=row["created_at"],
    )


def document_values(workspace: str, document: Document) -> Values:
    """A document, in the order of DOCUMENT."""
    return (
        workspace, document.kind, document.name, document.number, document.version,
        document.audience, _packed(document.body), document.base, document.origin,
        document.author, document.reason, document.created_at, document.active,
    )  # fmt: skip


def document_from(row: Row) -> Document:
    """The document of a row; one whose body was forgotten has an empty body."""
    return Document(
        kind=row["kind"],
        name=row["name"],
        body=_unpacked(row["body"]) or {},
        version=row["version"],
        number=row["number"],
        base=row["base"],
        origin=row["origin"],
        author=row["author"],
        reason=row["reason"],
        audience=row["audience"],
        created_at=row["created_at"],
        active=bool(row["active"]),
    )


def person_from(row: Row) -> Person:
    """The person of a row."""
    return Person(row["user_id"], row["name"], _unpacked(row["settings"]))


def person_values(workspace: str, person: Person) -> Values:
    """A person: workspace, user_id, name, settings."""
    return (workspace, person.user_id, person.name, _packed(person.settings))


def policy_change_from(row: Row) -> PolicyChange:
    """The policy change of a row."""
    return PolicyChange(row["key"], row["value"], row["set_by"], row["set_at"])


def task_type_from(row: Row) -> TaskType:
    """The task type of a row."""
    return TaskType(row["name"], bytes(row["centroid"]), row["count"])
