"""What goes into the orchestrator and what comes out while it answers."""

from dataclasses import dataclass

from agents.turns import StepFinished, StepStarted, TextDelta
from database.records import PUBLIC, Message, Reader, Run


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a person, as it came from a message, a command or a button.

    `instruction` is what the person adds to an earlier request (`/better`), `agent` names who must
    answer, `parent_run_id` the run that this one continues, `workflow` what it is a step of, in the
    version `workflow_version`.
    """

    run_id: str
    user_id: str
    channel_id: str
    thread_ts: str
    message_ts: str
    text: str
    reader: Reader
    received_at: float
    audience: str = PUBLIC
    parent_run_id: str | None = None
    instruction: str | None = None
    agent: str | None = None
    workflow: str | None = None
    workflow_version: str | None = None


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    """Who answers, and why that agent, in words a person understands."""

    agent: str
    title: str
    why: str


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """The whole run, ready to be recorded; `problem` says in a person's words why it failed.

    `messages` are the person's message and the answer, to be remembered with the run.
    """

    run: Run
    messages: tuple[Message, ...]
    problem: str | None = None


ReplyEvent = ReplyStarted | TextDelta | StepStarted | StepFinished | ReplyFinished
