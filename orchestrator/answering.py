"""One answer in the making: what it is asked with, what it has said and taken so far."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agents.turns import Turn
from database.errors import VirtuousError
from database.records import PUBLIC, Message, Outcome, Reader, Run, Step, one_person
from orchestrator.agent_pool import LiveAgent
from orchestrator.requests import ReplyFinished, Request
from orchestrator.routing import Route, Vector
from orchestrator.trials.arms import Served

STOPPED = "stopped by the person"

_LENGTHS = {
    "short": "Answer in at most three sentences.",
    "detailed": "Answer in detail, with reasons and examples.",
}


@dataclass(slots=True)
class Answer:
    """Gathers what becomes the Run.

    `learned`: its people and place may be learned from; `served` is what the first agent tried was
    to answer with, `away`: its model was not to be had.
    """

    request: Request
    began: float
    task_type: str | None = None
    route: Route | None = None
    live: LiveAgent | None = None
    pieces: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    model: str | None = None
    tried: list[str] = field(default_factory=list)
    first_token_ms: float | None = None
    learned: bool = False
    vector: Vector | None = None
    served: Served | None = None
    away: bool = False

    def said(self, text: str) -> None:
        """The next piece that the person sees."""
        if self.first_token_ms is None:
            self.first_token_ms = self._elapsed_ms()
        self.pieces.append(text)

    def serve(self, live: LiveAgent) -> None:
        """From here on this agent answers."""
        self.live = live
        self.tried.append(live.definition.name)

    def took(self, steps: Sequence[Step], model: str | None = None) -> None:
        """Add an agent's steps after those of the agents tried before it."""
        first = len(self.steps)
        self.steps += [replace(step, position=first + n) for n, step in enumerate(steps)]
        self.model = model or self.model

    def failed(self, steps: Sequence[Step], *, away: bool) -> None:
        """The agent that answers could not; `away`: its model was not to be had."""
        self.took(steps)
        if len(self.tried) == 1:
            self.away = away

    def finished(
        self, error: str | None = None, problem: str | None = None, judged: bool = True
    ) -> ReplyFinished:
        """The run as it stands now, with the person's message and what was said.

        With an error it counts as no success, unless it was the person who stopped it or it is
        not to be `judged`.
        """
        request, reply = self.request, "".join(self.pieces).strip() or None
        failed = judged and error and error != STOPPED
        run = Run(
            run_id=request.run_id,
            request=request.text,
            agent=self.live.definition.name if self.live else (self.tried or ["none"])[-1],
            parent_run_id=request.parent_run_id,
            started_at=request.received_at,
            duration_ms=self._elapsed_ms(),
            first_token_ms=self.first_token_ms,
            user_id=request.user_id,
            channel_id=request.channel_id,
            thread_ts=request.thread_ts,
            message_ts=request.message_ts,
            audience=request.audience,
            task_type=self.task_type,
            agent_version=self.live.document.version if self.live else None,
            model=self.model,
            reply=reply,
            error=error,
            route=self._route(),
            outcome=Outcome(False, source="check") if failed else Outcome(),
            input_tokens=_sum_known([s.input_tokens for s in self._model_steps()]),
            output_tokens=_sum_known([s.output_tokens for s in self._model_steps()]),
            cost_usd=_sum_prices([s.cost_usd for s in self._model_steps()]),
            steps=tuple(self.steps),
        )
        return ReplyFinished(run, self._messages(reply), problem)

    def _model_steps(self) -> list[Step]:
        return [step for step in self.steps if step.kind == "model"]

    def _route(self) -> Mapping[str, Any] | None:
        if self.route is None:
            return None
        kept = self.route.as_json() | (self.served.as_json() if self.served else {})
        if len(self.tried) > 1:
            kept["tried"] = list(self.tried)
        if self.away:
            kept["away"] = True
        if self.request.instruction:
            kept["instruction"] = self.request.instruction
        if self.request.workflow:
            kept["workflow"] = self.request.workflow
            kept["workflow_version"] = self.request.workflow_version
        return kept

    def _messages(self, reply: str | None) -> tuple[Message, ...]:
        request = self.request
        asked = Message(
            request.channel_id,
            request.message_ts,
            request.thread_ts,
            "person",
            request.text,
            request.user_id,
            request.run_id,
            request.audience,
            request.received_at,
        )
        if reply is None:
            return (asked,)
        # The answer's own ts is known once it stands in the channel: `record` fills it in.
        answered = replace(
            asked, ts="", role="assistant", text=reply, user_id=None, created_at=time.time()
        )
        return asked, answered

    def _elapsed_ms(self) -> float:
        return (time.perf_counter() - self.began) * 1000


def thread_reader(request: Request) -> Reader:
    """Whoever reads this thread: an answer may use only what all of them may see.

    In a direct message that is what the person may see.
    """
    return place_reader(request.reader, request.user_id, request.channel_id, request.audience)


def place_reader(reader: Reader, user_id: str, channel_id: str, audience: str) -> Reader:
    """The same of a person, what they may read in a place, and who reads there."""
    if audience == one_person(user_id):
        return reader
    if not reader.public:  # a guest, or a place that others can read too
        return Reader("", frozenset({channel_id}), public=False)
    return Reader("", frozenset() if audience == PUBLIC else frozenset({channel_id}))


def local_time(settings: Mapping[str, Any]) -> datetime:
    """Now, in the person's time zone (UTC where none is known)."""
    try:
        zone = ZoneInfo(str(settings.get("time_zone") or "UTC"))
    except (ZoneInfoNotFoundError, ValueError):
        return datetime.now(UTC)
    return datetime.now(zone)


def question(request: Request, settings: Mapping[str, Any], parent: Run | None) -> list[Turn]:
    """What the person asks, as the last turns; `parent` is the answer they want better.

    Wishes stand beside the question, where small models heed them more than in a system turn.
    """
    length = _LENGTHS.get(str(settings.get("answer_length")))
    if request.instruction is None:
        text = f"{request.text}\n\n({length})" if length else request.text
        return [Turn("user", text)]
    again = f"Please answer my request again, and this time: {request.instruction}"
    if parent is None or not parent.reply:
        return [Turn("user", f"{request.text}\n\n{request.instruction}")]
    return [Turn("user", request.text), Turn("assistant", parent.reply), Turn("user", again)]


def words_for(problem: VirtuousError, said: bool) -> str:
    """What the person is told when no agent could answer."""
    opening = "My answer broke off." if said else "I could not answer."
    return f"{opening} {problem}"


def _sum_known(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _sum_prices(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if values and len(known) == len(values) else None
