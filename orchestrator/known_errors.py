"""What was learned from errors, asked before a call is made and after it failed.

Everything is in memory: lessons in force, and faults of the last minutes, which are forgotten again
so that a tool that was away for a while is not avoided for ever.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agents.improvement.error_recovery import in_control, lessons_of
from agents.improvement.error_templates import ErrorTemplates, passes
from agents.improvement.lessons import Lesson
from database.records import Document, DocumentKind, Run

FAULT_SECONDS = 120.0
"""How long a tool that failed by a passing fault is remembered to be away."""

FAULTS = 3
"""So many failures in that time, with no success since, and a tool is left alone."""


class Documents(Protocol):
    """What the record knows of lessons (database.store)."""

    def documents_changed(self) -> int:
        """A number that is another one after any change."""

    async def documents(self, kind: DocumentKind) -> list[Document]:
        """The active version of each, by name."""


class KnownErrors:
    """One workspace's knowledge of errors."""

    def __init__(self, store: Documents, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._lessons: list[tuple[str, Lesson]] = []
        self._templates = ErrorTemplates()
        self._faults: dict[str, deque[float]] = {}
        self._seen_change: int | None = None

    async def refresh(self) -> None:
        """Take over changed lessons; costs one number read where nothing changed."""
        change = self._store.documents_changed()
        if change == self._seen_change:
            return
        known = lessons_of(await self._store.documents("lesson"))
        self._lessons = [(one.document.audience, one.lesson) for one in known.values()]
        self._templates = ErrorTemplates(lesson.error for _, lesson in self._lessons)
        self._seen_change = change

    def told(self, run_id: str, audiences: Collection[str]) -> "Told | None":
        """What the run may know that people of `audiences` read; None for the control's runs."""
        if in_control(run_id):
            return None
        lessons = [lesson for audience, lesson in self._lessons if audience in audiences]
        return Told(lessons, self._templates, self.away)

    async def note(self, run: Run) -> None:
        """Hear of a run that ended: which tools are away just now, and which came back."""
        for step in run.steps:
            if step.kind != "tool" or step.ok is None:
                continue
            if step.ok:
                self._faults.pop(step.name, None)
            elif passes(step.error or ""):
                self._faults.setdefault(step.name, deque(maxlen=FAULTS)).append(self._clock())

    def away(self, tool: str) -> bool:
        """Whether a tool failed so often in the last minutes that it is away."""
        faults = self._faults.get(tool)
        if faults is None or len(faults) < FAULTS:
            return False
        return faults[0] > self._clock() - FAULT_SECONDS


@dataclass(frozen=True, slots=True)
class Told:
    """What one run is told: a `KnownErrorsPort`."""

    lessons: Sequence[Lesson]
    templates: ErrorTemplates
    away: Callable[[str], bool]

    def before(self, tool: str, arguments: Mapping[str, Any]) -> str | None:
        """Why this call had better not be made like this; None for nearly all calls."""
        if self.away(tool):
            return f"`{tool}` failed {FAULTS} times in the last minutes and seems to be away."
        lesson = next((one for one in self.lessons if one.fits(tool, arguments)), None)
        return lesson.advice() if lesson else None

    def after(self, tool: str, error: str) -> str | None:
        """What worked after such an error, if that is known."""
        if passes(error):
            return "Such a fault passes: try once more, then go on without it."
        template = self.templates.match(error)
        known = [one for one in self.lessons if one.tool == tool and one.error == template]
        lesson = next((one for one in known if one.fix), None)
        return f"Known from before: {lesson.advice()}" if lesson else None
