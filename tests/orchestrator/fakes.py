"""Small working stand-ins at the orchestrator's ports: a model that follows a script, and so on."""

import asyncio
import re
import time
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import numpy as np

from agents.definition import AgentDefinition
from agents.errors import ModelRefusedRequest, ModelUnavailable
from agents.ports import FileRef
from agents.turns import ModelEvent, ModelFinished, TextDelta, ToolCallsRequested, ToolSpec, Turn
from database.errors import ModelError, UnknownName
from database.records import PUBLIC, Reader
from orchestrator.ports import Answered
from orchestrator.requests import Request
from orchestrator.routing import Matrix

Say = str | ModelError | ToolCallsRequested


class WordEmbedder:
    """Texts are alike in as far as they share words; counts what it embedded."""

    dimensions = 512

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str]) -> Matrix:
        self.embedded += texts
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                row[zlib.crc32(word.encode()) % self.dimensions] += 1
            norm = np.linalg.norm(row)
            if norm:
                row /= norm
        return rows


class ScriptedModels:
    """Answers from `script`: a function of (turns, real model name) to text, error or tool calls.

    Text is streamed word by word; `asked` keeps what each call was given.
    """

    def __init__(self, script: Callable[[Sequence[Turn], str], Say], *, fast: str = "m-fast"):
        self.script = script
        self.asked: list[tuple[str, list[Turn]]] = []
        self.room: int | None = None
        """The most tokens that the last call might write."""
        self.structured_answers: list[dict[str, Any] | ModelError] = []
        self.names = {"strong": "m-strong", "fast": fast}
        self.hold: asyncio.Event | None = None

    def resolve(self, model: str) -> str:
        return self.names.get(model, model)

    async def stream(
        self,
        turns: Sequence[Turn],
        *,
        model: str = "strong",
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[ToolSpec] = (),
    ) -> AsyncIterator[ModelEvent]:
        name = self.resolve(model)
        self.asked.append((name, list(turns)))
        self.room = max_tokens
        said = self.script(turns, name)
        if isinstance(said, ModelError):
            raise said
        if isinstance(said, ToolCallsRequested):
            yield said
        else:
            for piece in re.findall(r"\S+\s*", said):
                yield TextDelta(piece)
                if self.hold is not None:
                    await self.hold.wait()
        yield ModelFinished(name, 10, 5, 0.001, 1.0)

    async def structured(
        self,
        turns: Sequence[Turn],
        schema: type[Answered],
        *,
        model: str = "strong",
        temperature: float | None = 0.0,
        max_tokens: int | None = None,
    ) -> tuple[Answered, ModelFinished]:
        name = self.resolve(model)
        self.asked.append((name, list(turns)))
        if not self.structured_answers:
            raise ModelUnavailable(f"{name} has nothing to say to that.")
        answer = self.structured_answers.pop(0)
        if isinstance(answer, ModelError):
            raise answer
        return schema.model_validate(answer), ModelFinished(name, 10, 5, 0.001, 1.0)


class NoFiles:
    """A thread without files."""

    def files(self) -> Sequence[FileRef]:
        return ()

    async def read(self, file_id: str) -> bytes:
        raise UnknownName(file_id)


def away(_: Sequence[Turn], model: str) -> Say:
    return ModelUnavailable(f"{model} is away. Try later.")


def refused(_: Sequence[Turn], model: str) -> Say:
    """What an agent gets for settings that its model does not take."""
    return ModelRefusedRequest(f"{model} does not accept that. Check the agent's settings.")


def agent(name: str, *examples: str, **more: Any) -> AgentDefinition:
    body = {
        "name": name,
        "specialty": f"everything about {name}",
        "description": f"Does {name}.",
        "examples": examples,
        "system_prompt": f"You are {name}.",
    }
    return AgentDefinition.model_validate(body | more)


GENERAL = agent("generalist")


def request(text: str, ts: str = "1.000001", **more: Any) -> Request:
    known: dict[str, Any] = {
        "run_id": f"run-{ts}",
        "user_id": "U1",
        "channel_id": "C1",
        "thread_ts": ts,
        "message_ts": ts,
        "text": text,
        "reader": Reader("U1"),
        "received_at": time.time(),
        "audience": PUBLIC,
    }
    return Request(**(known | more))
