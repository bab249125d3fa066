"""Records to rows and back: the column names are the same in every backend."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, Protocol, TypeVar

import structlog

from database.errors import UnreadableRow
from database.records import (
    LEARNING,
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
T = TypeVar("T")

_log = structlog.get_logger(__name__)


class Row(Protocol):
    """What a backend gives: columns by name."""

    def __getitem__(self, column: str, /) -> Any:
        """The value of a column."""


def readable(found: Iterable[Row], make: Callable[[Row], T], *key: str) -> list[T]:
    """The records of the rows that can be read: one that is damaged is left out, and stays.

    The log says so, once in a process, and names it by the columns of `key`.
    """
    made = (readable_or_none(row, make, *key) for row in found)
    return [record for record in made if record is not None]


def readable_or_none(row: Row | None, make: Callable[[Row], T], *key: str) -> T | None:
    """The record of a row; None where there is none that can be read."""
    if row is None:
        return None
    try:
        return make(row)
    except UnreadableRow as error:
        say_unreadable(*(str(row[column]) for column in key), problem=str(error))
        return None


@lru_cache(maxsize=1000)
def say_unreadable(*key: str, problem: str) -> None:
    """A line in the log, once: rows are read again and again."""
    _log.error(
        "row_unreadable", row=" ".join(key), problem=problem,
        advice="It is left out. Restore the record from a backup, or mend or delete that row.",
    )  # fmt: skip


def from_json(text: str, column: str, kind: type) -> Any:
    """What a column of JSON holds. Raises UnreadableRow for anything but `kind`."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UnreadableRow(f"{column} is no JSON ({error}).") from error
    if not isinstance(found, kind):
        raise UnreadableRow(f"{column} holds {type(found).__name__}, not {kind.__name__}.")
    return found


def _packed(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _unpacked(row: Row, column: str) -> Any:
    return None if row[column] is None else from_json(row[column], column, dict)


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
        route=_unpacked(row, "route"),
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
        arguments=_unpacked(row, "arguments"),
        ok=_bool(row["ok"]),
        error=row["error"],
        duration_ms=row["duration_ms"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cost_usd=row["cost_usd"],
    )


def steps_by_run(found: Iterable[Row]) -> dict[str, tuple[Step, ...]]:
    """The steps of rows that are ordered by run, by its id."""
    return {
        run_id: tuple(readable(group, step_from, "run_id", "position"))
        for run_id, group in groupby(found, key=lambda row: str(row["run_id"]))
    }


def runs_from(found: Iterable[Row], steps: Mapping[str, tuple[Step, ...]]) -> list[Run]:
    """The runs of rows, with those of the steps that are theirs."""
    return readable(found, lambda row: run_from(row, steps.get(row["run_id"], ())), "run_id")


def runs_with_steps(found: Sequence[Mapping[str, Any]]) -> list[Run]:
    """The runs of rows that have theirs under "steps"."""
    return runs_from(found, steps_by_run(step for row in found for step in row["steps"] or ()))


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


def _body(row: Row) -> Mapping[str, Any]:
    return _unpacked(row, "body") or {}


def document_from(row: Row) -> Document:
    """The document of a row; one whose body was forgotten, or is damaged, has an empty body."""
    return Document(
        kind=row["kind"],
        name=row["name"],
        body=readable_or_none(row, _body, "kind", "name", "version") or {},
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
    """The person of a row; who may have declined anything, as nobody can read it, has declined."""
    settings = readable_or_none(row, _settings, "user_id")
    return Person(row["user_id"], row["name"], {LEARNING: "no"} if settings is None else settings)


def _settings(row: Row) -> Mapping[str, Any]:
    settings: Mapping[str, Any] = from_json(row["settings"], "settings", dict)
    return settings


def person_values(workspace: str, person: Person) -> Values:
    """A person: workspace, user_id, name, settings."""
    return (workspace, person.user_id, person.name, _packed(person.settings))


def policy_change_from(row: Row) -> PolicyChange:
    """The policy change of a row."""
    return PolicyChange(row["key"], row["value"], row["set_by"], row["set_at"])


def task_type_from(row: Row) -> TaskType:
    """The task type of a row."""
    return TaskType(row["name"], bytes(row["centroid"]), row["count"])
