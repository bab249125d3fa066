"""What tools need from the rest of the house; others implement it, bootstrap wires it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from database.records import Message, Reader


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file shared in the thread; `size` in bytes."""

    file_id: str
    name: str
    mimetype: str
    size: int


class FilesPort(Protocol):
    """The files of one thread, as the person who asks may read them."""

    def files(self) -> Sequence[FileRef]:
        """The files shared in the thread, oldest first."""

    async def read(self, file_id: str) -> bytes:
        """The whole file. Raises UnknownName when it is not one of `files()`."""


class RecallPort(Protocol):
    """Remembered messages."""

    async def search_messages(
        self, words: str, reader: Reader, limit: int = 10
    ) -> Sequence[Message]:
        """Best matches first, only what `reader` may see."""


class WorkflowsPort(Protocol):
    """Saved workflows that the person may run."""

    async def names(self, reader: Reader) -> Sequence[str]:
        """Names of the workflows that `reader` may see."""

    async def named_in(self, text: str, reader: Reader) -> Sequence[str]:
        """Those of them that `text` speaks of."""

    async def run_inline(self, name: str, inputs: Mapping[str, str], reader: Reader) -> str:
        """Replay a workflow with new inputs and return its last answer. Raises UnknownName."""


class SpawnPort(Protocol):
    """Makes new specialists."""

    async def spawn(self, description: str, author: str) -> str:
        """Create an agent for a described specialty and return its name.

        `author` is the person who asked. Raises BudgetExceeded past the spawn budget and
        InputError when no agent can be made of the description.
        """


class TapePort(Protocol):
    """Stands between an answer and its tools (agents.tools.tape)."""

    async def result(
        self,
        tool: str,
        effect: Literal["read", "write"],
        arguments: Mapping[str, Any],
        call: Callable[[], Awaitable[str]],
    ) -> str:
        """The result of a call: recorded, or as it is recorded already. Raises as the tool does."""


class AskedPort(Protocol):
    """What the person said when asked before changes (orchestrator.journal)."""

    def decided(self, tool: str, arguments: Mapping[str, Any]) -> str | None:
        """Their words when asked before this very change; None: they are to be asked now."""

    def agreed(self, words: str) -> bool:
        """Whether these words are a yes."""


class KnownErrorsPort(Protocol):
    """What was learned from errors, for whoever reads the answer (orchestrator.known_errors)."""

    def before(self, tool: str, arguments: Mapping[str, Any]) -> str | None:
        """Why this call had better not be made like this; None for nearly all calls."""

    def after(self, tool: str, error: str) -> str | None:
        """What worked after such an error, if that is known."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Who asks, where and when, and the ports a tool may use. `now` is timezone-aware.

    `named_workflows` are the saved workflows that the request speaks of; `tape`, where given,
    records what the tools return or answers from what was recorded. `known_errors` is None where
    nothing is known, and in runs that are told of nothing. `brief` asks tools to say little, for a
    model that reads slowly. `heard_others`: what others wrote is read already; `asked` is what the
    person said to changes that they were asked about for that reason.
    """

    user_id: str
    channel_id: str
    thread_ts: str
    reader: Reader
    now: datetime
    recall: RecallPort
    files: FilesPort
    workflows: WorkflowsPort
    spawn: SpawnPort | None = None
    named_workflows: Sequence[str] = ()
    tape: TapePort | None = None
    known_errors: KnownErrorsPort | None = None
    asked: AskedPort | None = None
    heard_others: bool = False
    brief: bool = False
