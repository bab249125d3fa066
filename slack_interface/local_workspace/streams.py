"""A streaming message while it grows: text, task cards, a plan, blocks."""

from dataclasses import dataclass, field
from typing import Literal

from slack_interface.local_workspace.config import Json

Mode = Literal["text", "chunks"]
Display = Literal["timeline", "plan"]
TASK_STATES = ("pending", "in_progress", "complete", "error")


@dataclass(slots=True)
class TextPart:
    """Consecutive markdown text."""

    pieces: list[str]


@dataclass(slots=True)
class TaskPart:
    """One task card; later updates with the same id change it in place."""

    task: Json


@dataclass(slots=True)
class BlocksPart:
    """Blocks streamed as they are."""

    blocks: list[Json]


@dataclass(slots=True)
class OpenStream:
    """What has arrived for one streaming message since `chat.startStream`.

    `mode` is fixed by the first content: Slack refuses to mix markdown_text and chunks.
    `opened_at` is workspace time. `chars` and `blocks` count towards Slack's limits.
    """

    channel: str
    ts: str
    opened_at: float
    display: Display = "timeline"
    mode: Mode | None = None
    chars: int = 0
    blocks: int = 0
    plan_title: str = ""
    parts: list[TextPart | TaskPart | BlocksPart] = field(default_factory=list)
    tasks: dict[str, TaskPart] = field(default_factory=dict)

    def add_text(self, text: str) -> None:
        """Append markdown to the last text part, or start one."""
        self.chars += len(text)
        last = self.parts[-1] if self.parts else None
        if isinstance(last, TextPart):
            last.pieces.append(text)
        else:
            self.parts.append(TextPart([text]))

    def add_chunk(self, chunk: Json) -> None:
        """Apply one validated chunk of any kind."""
        kind = chunk["type"]
        if kind == "markdown_text":
            self.add_text(chunk["text"])
        elif kind == "plan_update":
            self.plan_title = chunk["title"]
        elif kind == "task_update":
            self._update_task(chunk)
        else:
            self.blocks += len(chunk["blocks"])
            self.parts.append(BlocksPart(chunk["blocks"]))

    def _update_task(self, chunk: Json) -> None:
        changes = {key: value for key, value in chunk.items() if key != "type" and value}
        part = self.tasks.get(chunk["id"])
        if part is None:
            part = self.tasks[chunk["id"]] = TaskPart({})
            if self.display == "timeline":
                self.parts.append(part)
        part.task.update(changes)

    def text(self) -> str:
        """All markdown so far, in order."""
        return "".join(
            piece for part in self.parts if isinstance(part, TextPart) for piece in part.pieces
        )

    def rendered(self) -> list[Json]:
        """The message's blocks: cards between the text, or one plan at the top."""
        found: list[Json] = []
        if self.display == "plan" and (self.tasks or self.plan_title):
            cards = [_task_card(part.task) for part in self.tasks.values()]
            found.append({"type": "plan", "title": self.plan_title or "Plan", "tasks": cards})
        elif self.plan_title:
            found.append({"type": "plan", "title": self.plan_title, "tasks": []})
        for part in self.parts:
            if isinstance(part, TextPart):
                found.append({"type": "markdown", "text": "".join(part.pieces)})
            elif isinstance(part, BlocksPart):
                found.extend(part.blocks)
            else:
                found.append(_task_card(part.task))
        return found


def _task_card(task: Json) -> Json:
    card: Json = {
        "type": "task_card",
        "task_id": task["id"],
        "title": task.get("title", ""),
        "status": task.get("status", "pending"),
    }
    for key in ("details", "output"):
        if task.get(key):
            card[key] = _rich_text(task[key])
    if task.get("sources"):
        card["sources"] = task["sources"]
    return card


def _rich_text(value: str | Json) -> Json:
    if isinstance(value, dict):
        return value
    section = {"type": "rich_text_section", "elements": [{"type": "text", "text": value}]}
    return {"type": "rich_text", "elements": [section]}
