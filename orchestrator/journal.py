"""What the attempts at a goal's task have asked of models and done with tools, kept as it happens.

After a crash an attempt is done again from here: finished calls are answered from the journal, only
what is missing is asked or done. An attempt that waited for a person goes on where it was, days
later if need be, with their words as the result of the question. What an earlier attempt has
changed in the world is not changed a second time.
"""

import hashlib
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from agents.tools.base import ArgumentsRefused, EndUnseen, PersonNeeded, ToolFailed
from agents.turns import (
    ModelEvent,
    ModelFinished,
    TextDelta,
    ToolCall,
    ToolCallsRequested,
    ToolSpec,
    Turn,
)
from agents.universal_agent import ModelPort
from database.errors import BudgetExceeded, VirtuousError
from database.goals import NOTHING, Goal, Spent, Task
from database.records import Step
from goals.plain_words import agrees, was_done
from goals.ports import HoldMore, JournalEntry, JournalRows
from orchestrator.model_steps import step_of

Effect = Literal["read", "write"]

_MODEL, _INTENT, _RESULT, _FAILED = "model", "intent", "result", "failed"
_ASKED, _UNCERTAIN, _BEFOREHAND = "asked", "uncertain", "beforehand"
_WAITED = frozenset({_ASKED, _UNCERTAIN, _BEFOREHAND})
"""An attempt with one of these has ended with a question to a person."""
_SHORT = "short"
"""An attempt with this has ended before a model call that its budget had no room for."""

ANSWER_TOKENS = 2_000
"""What a model call is taken to write at most that is given no bound."""
_BYTES_A_TOKEN = 3
"""Of what a model reads, in UTF-8: about as few as any language has that most people write."""

_ARGUMENTS_SHOWN = 300


class TooLittleHeld(VirtuousError):
    """The next model call may take more than is held and may be had; `lacks` says what it takes."""

    def __init__(self, lacks: Spent, why: BudgetExceeded) -> None:
        super().__init__(str(why))
        self.lacks = lacks


class Journal:
    """The journal of a task as its attempt `task.attempt` sees it; between an agent and its tools.

    `by` is the agent and version that work now: only the same ones can go on where an earlier
    attempt waited. `repeatable` names the tools that may be called again although they write: the
    same call twice changes nothing more.
    """

    def __init__(
        self,
        rows: JournalRows,
        goal: Goal,
        task: Task,
        entries: Sequence[JournalEntry],
        by: str = "",
        repeatable: AbstractSet[str] = frozenset(),
    ) -> None:
        self._rows, self._goal_id, self._key = rows, goal.goal_id, task.key
        self._attempt = task.attempt
        self._by = by
        self._repeatable = repeatable
        self._own = {e.position: e for e in entries if e.attempt == task.attempt}
        earlier = sorted(
            (e for e in entries if e.attempt < task.attempt), key=lambda entry: entry.attempt
        )
        chain = _before(earlier, by)
        waited = [one for one in chain if _has(earlier, one, _WAITED)]
        answers = task.answers[-len(waited) :] if waited else ()
        self._answers = dict(zip(waited, answers, strict=False))
        followed = [one for one in chain if one in self._answers or one not in waited]
        self._last = max(followed, default=0)
        self._inherited = {e.position: e for e in earlier if e.attempt in followed}
        self._effects = {e.position: e for e in earlier if e.body.get("effect") == "write"}
        self._decided = {
            _position(e.body["tool"], e.body["arguments"]): self._answers[e.attempt]
            for e in earlier
            if e.kind == _BEFOREHAND and e.attempt in self._answers
        }
        self._read: Counter[str] = Counter()
        self._first_undecided: tuple[str, Mapping[str, Any]] | None = None
        self.uncertain = False

    @property
    def goes_on(self) -> bool:
        """Whether this attempt goes on where an earlier one stopped, to wait for a person."""
        return bool(self._inherited)

    @property
    def spent(self) -> Spent:
        """What the model calls of this attempt took, those before a crash included."""
        return _taken(self._own.values())

    def expects(self, tokens: int) -> Spent:
        """What a call of so many tokens takes, at the price of those before it."""
        before = _taken((*self._inherited.values(), *self._own.values()))
        return Spent(0.0, tokens, tokens * before.usd / before.tokens if before.tokens else 0.0)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What this attempt has asked and done, those before a crash included; `ok` None of what
        may or may not be done.
        """
        noted = [step for entry in self._own.values() if (step := _step(entry)) is not None]
        return tuple(replace(step, position=at) for at, step in enumerate(noted))

    @property
    def worked_by(self) -> str:
        """The agent and version that have made this attempt so far; '' where nobody began to."""
        return next((str(e.body["by"]) for e in self._own.values() if e.body.get("by")), "")

    @property
    def inherited_calls(self) -> int:
        """With how many model calls of earlier attempts this one begins."""
        return [entry.kind for entry in self._inherited.values()].count(_MODEL)

    @property
    def begins_with_a_call(self) -> bool:
        """Whether the attempt that this one goes on with ended before a model call."""
        return any(e.kind == _SHORT and e.attempt == self._last for e in self._inherited.values())

    def done_before(self) -> list[str]:
        """What earlier attempts have changed already, in words for whoever tries again."""
        if self.goes_on:
            return []
        found = [e.body for e in self._effects.values() if e.kind == _RESULT]
        return [f"{one['tool']} with {_shown(one['arguments'])}: {one['text']}" for one in found]

    def kept(self, position: str) -> Mapping[str, Any] | None:
        """What this attempt, or one that it goes on with, has noted under a name."""
        entry = self._own.get(position) or self._inherited.get(position)
        return entry.body if entry else None

    async def keep(self, position: str, kind: str, body: Mapping[str, Any]) -> None:
        """Note something; it is on disk when this returns."""
        entry = JournalEntry(self._attempt, position, kind, {**body, "by": self._by})
        await self._rows.note(self._goal_id, self._key, entry)
        self._own[position] = entry

    def decided(self, tool: str, arguments: Mapping[str, Any]) -> str | None:
        """What the person said when asked before this very change; None: they were not."""
        said = self._decided.get(_position(tool, arguments))
        if said is None and self._first_undecided is None:
            self._first_undecided = tool, arguments
        return said

    def agreed(self, words: str) -> bool:
        """Whether these words are a plain yes, which nothing limits."""
        return agrees(words) is True

    def begin(self) -> None:
        """An agent begins, perhaps again, and is told what it was told before."""
        self._read.clear()

    async def waits(self) -> None:
        """The attempt has ended with a question: where it was about a change, note about which."""
        if self._first_undecided is not None:
            tool, arguments = self._first_undecided
            body = {"tool": tool, "arguments": dict(arguments)}
            await self.keep(f"beforehand {self._attempt}", _BEFOREHAND, body)

    async def lacks(self) -> None:
        """The attempt has ended before a call that its budget has no room for."""
        await self.keep(f"short {self._attempt}", _SHORT, {})

    async def result(
        self,
        tool: str,
        effect: Effect,
        arguments: Mapping[str, Any],
        call: Callable[[], Awaitable[str]],
    ) -> str:
        """The result of a tool's call, as it is noted or by calling it now. Raises as it does.

        The same change again is the one that was made; the same thing is read again as often as it
        is asked for, since it may have changed.
        """
        position = self._place(tool, effect, arguments)
        body = {"tool": tool, "effect": effect, "arguments": dict(arguments)}
        kept = self._own.get(position) or self._inherited.get(position)
        if kept is not None and kept.kind == _FAILED:
            why = str(kept.body["text"])
            raise ArgumentsRefused(why) if kept.body["refused"] else ToolFailed(why)
        if kept is None and effect == "write":
            kept = self._effects.get(position)
        if kept is not None and kept.kind == _RESULT:
            return str(kept.body["text"])
        if kept is not None and kept.kind == _ASKED:
            return await self._answered(kept, body)
        if kept is not None and kept.kind in (_INTENT, _UNCERTAIN):
            said = await self._perhaps_done(kept, body)
            if said is not None:
                return said
        return await self._called(position, body, call)

    def _place(self, tool: str, effect: Effect, arguments: Mapping[str, Any]) -> str:
        """Where a call is noted: each time that something is read has its own place."""
        position = _position(tool, arguments)
        if effect == "write":
            return position
        self._read[position] += 1
        time = self._read[position]
        return position if time == 1 else f"{position} {time}"

    async def _called(
        self, position: str, body: Mapping[str, Any], call: Callable[[], Awaitable[str]]
    ) -> str:
        if body["effect"] == "write":
            await self.keep(position, _INTENT, body)
        try:
            text = await call()
        except VirtuousError as failed:
            if isinstance(failed, EndUnseen) and body["effect"] == "write":
                raise  # only that it was begun is known: whoever tries again asks a person
            refused = isinstance(failed, ArgumentsRefused)
            await self.keep(position, _FAILED, {**body, "text": str(failed), "refused": refused})
            raise
        except PersonNeeded as needed:
            await self.keep(position, _ASKED, {**body, "question": needed.question})
            raise
        await self.keep(position, _RESULT, {**body, "text": text})
        return text

    async def _answered(self, asked: JournalEntry, body: Mapping[str, Any]) -> str:
        answer = self._answers.get(asked.attempt)
        if answer is None:
            raise PersonNeeded(str(asked.body["question"]))
        text = f"The person answered: {answer}"
        await self.keep(asked.position, _RESULT, {**body, "text": text})
        return text

    async def _perhaps_done(self, kept: JournalEntry, body: Mapping[str, Any]) -> str | None:
        """The result of a change that was begun and whose end nobody saw; None: do it now."""
        if body["tool"] in self._repeatable:
            return None
        answer = self._answers.get(kept.attempt) if kept.kind == _UNCERTAIN else None
        verdict = was_done(answer) if answer is not None else None
        if verdict is False:
            return None
        if verdict is True:
            text = "It was done; a person has said so."
            await self.keep(kept.position, _RESULT, {**body, "text": text})
            return text
        self.uncertain = True
        question = (
            f"I was interrupted while using {body['tool']} with {_shown(body['arguments'])}, and "
            "cannot see whether it was done. Was it? Yes, or no: then I do it."
        )
        await self.keep(kept.position, _UNCERTAIN, body)
        raise PersonNeeded(question)


@dataclass
class JournalledModels:
    """The models of one attempt: each call is noted when it is over, and asked only once.

    `held` is what the attempt may take, and `more` has that made more; without `more` it is as much
    as it likes.
    """

    models: ModelPort
    journal: Journal
    held: Spent = NOTHING
    more: HoldMore | None = None
    calls: int = 0

    async def stream(
        self,
        turns: Sequence[Turn],
        *,
        model: str = "strong",
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[ToolSpec] = (),
    ) -> AsyncGenerator[ModelEvent, None]:
        """One model call, or the one that stands in its place in the journal.

        Raises TooLittleHeld before one that may take more than can be held for it.
        """
        position = f"model {self.calls}"
        self.calls += 1
        if (kept := self.journal.kept(position)) is not None:
            for event in _events(kept):
                yield event
            return
        await self._hold(self.journal.expects(_at_most(turns, max_tokens, tools)))
        said: list[str] = []
        asked: tuple[ToolCall, ...] = ()
        events = self.models.stream(
            turns, model=model, temperature=temperature, max_tokens=max_tokens, tools=tools
        )
        try:
            async for event in events:
                if isinstance(event, TextDelta):
                    said.append(event.text)
                elif isinstance(event, ToolCallsRequested):
                    asked = event.calls
                else:
                    body = {"text": "".join(said), "calls": [asdict(call) for call in asked]}
                    await self.journal.keep(position, _MODEL, {**body, "end": asdict(event)})
                yield event
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    async def _hold(self, call: Spent) -> None:
        """See that as much is held as a call may take, and those before it have taken.

        Of dollars only where a price was known: else tokens bound them.
        """
        least = self.journal.spent + call
        priced = self.held.usd > 0 and least.usd > self.held.usd
        if self.more is None or not (least.tokens > self.held.tokens or priced):
            return
        try:
            self.held = await self.more(Spent(0.0, least.tokens, least.usd if priced else 0.0))
        except BudgetExceeded as error:
            raise TooLittleHeld(call, error) from error


def _at_most(turns: Sequence[Turn], max_tokens: int | None, tools: Sequence[ToolSpec]) -> int:
    """How many tokens a call takes at most, read and written."""
    texts = [turn.text for turn in turns]
    texts += [_shown(call.arguments) for turn in turns for call in turn.tool_calls]
    texts += [f"{tool.name} {tool.description} {json.dumps(tool.parameters)}" for tool in tools]
    read = sum(len(text.encode()) for text in texts)
    return read // _BYTES_A_TOKEN + (ANSWER_TOKENS if max_tokens is None else max_tokens)


def _taken(entries: Iterable[JournalEntry]) -> Spent:
    """What model calls took."""
    ends = [entry.body["end"] for entry in entries if entry.kind == _MODEL]
    return Spent(
        sum(end["duration_ms"] for end in ends) / 1000,
        sum((end["input_tokens"] or 0) + (end["output_tokens"] or 0) for end in ends),
        sum(end["cost_usd"] or 0.0 for end in ends),
    )


def _step(entry: JournalEntry) -> Step | None:
    """An entry as a step of a Run, where it is one."""
    body = entry.body
    if entry.kind == _MODEL:
        return replace(step_of("", ModelFinished(**body["end"])), arguments=None)
    if entry.kind not in (_RESULT, _FAILED, _INTENT, _UNCERTAIN):
        return None
    ok = {_RESULT: True, _FAILED: False}.get(entry.kind)
    error = str(body["text"]) if entry.kind == _FAILED else None
    return Step(0, "tool", str(body["tool"]), body["arguments"], ok, error)


def _events(kept: Mapping[str, Any]) -> list[ModelEvent]:
    events: list[ModelEvent] = [TextDelta(kept["text"])] if kept["text"] else []
    if kept["calls"]:
        events.append(ToolCallsRequested(tuple(ToolCall(**call) for call in kept["calls"])))
    return [*events, ModelFinished(**kept["end"])]


def _has(entries: Sequence[JournalEntry], attempt: int, kinds: AbstractSet[str]) -> bool:
    return any(entry.attempt == attempt and entry.kind in kinds for entry in entries)


def _before(earlier: Sequence[JournalEntry], by: str) -> list[int]:
    """The attempts before this one that stopped to go on later, as far as nothing came between."""
    chain: list[int] = []
    for attempt in sorted({entry.attempt for entry in earlier}, reverse=True):
        entries = [entry for entry in earlier if entry.attempt == attempt]
        if not all(entry.body.get("by") in (by, "") for entry in entries):
            break
        if not _has(entries, attempt, {*_WAITED, _SHORT}):
            break
        chain.insert(0, attempt)
    return chain


def _position(tool: str, arguments: Mapping[str, Any]) -> str:
    given = json.dumps(arguments, sort_keys=True, default=str)
    return f"tool {hashlib.sha256(f'{tool} {given}'.encode()).hexdigest()[:20]}"


def _shown(arguments: Mapping[str, Any]) -> str:
    given = json.dumps(arguments, ensure_ascii=False, default=str)
    return given if len(given) <= _ARGUMENTS_SHOWN else f"{given[: _ARGUMENTS_SHOWN - 1]}…"
