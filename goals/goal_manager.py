"""Goals as people and the clock use them: create, start, watch, change, cancel.

Every act reads a goal, makes another one of it (goals.task_graph, pure) and puts that in its place
in the ledger unless somebody was faster; then it reads again and decides again.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

from database.goals import Goal
from database.records import Reader

Changed = Callable[[Goal], Awaitable[None]]
"""Hears of a goal that has moved."""


class Wish(Protocol):
    """The request of a person that needs a plan (orchestrator.requests.Request is one)."""

    @property
    def run_id(self) -> str:
        """The Run of the request, from what was said: the same message is the same goal."""

    @property
    def user_id(self) -> str:
        """Who asks."""

    @property
    def channel_id(self) -> str:
        """Where."""

    @property
    def thread_ts(self) -> str:
        """In which thread."""

    @property
    def message_ts(self) -> str:
        """With which message."""

    @property
    def text(self) -> str:
        """What is asked."""

    @property
    def reader(self) -> Reader:
        """What they may read there."""

    @property
    def received_at(self) -> float:
        """When it came."""

    @property
    def audience(self) -> str:
        """Who can read the thread."""


class GoalManager:
    """The goals of one workspace.

    Who may act on a goal: whoever asked for it, and approvers. `approver` says that the caller has
    made sure that this person is one (Slack's admins are known to Slack's side only); approvers
    that policy names are known here.
    """

    def wanted(self, text: str) -> bool:
        """Whether a request needs a plan; never while policy has switched goals off."""
        raise NotImplementedError

    async def begin(self, request: Wish) -> Goal:
        """Plan it. The same request again, as after a restart, is the same goal.

        The goal returned is `proposed` and waits for Start; or `running`, where it is small and
        cheap enough to start by itself (policy `goal_start`), which a note of it says; or
        `refused`, with the `reason` why there is no plan. The Run of the request is recorded.
        Raises ModelError when no plan could be made just now, BudgetExceeded past a day's limit.
        """
        raise NotImplementedError

    async def goal(self, goal_id: str) -> Goal | None:
        """A goal as it is now; an id may be shortened to its first characters (six at least)."""
        raise NotImplementedError

    async def in_thread(self, channel_id: str, thread_ts: str) -> Goal | None:
        """The newest goal of a thread, ended or not."""
        raise NotImplementedError

    async def start(self, goal_id: str, person: str, *, approver: bool = False) -> Goal:
        """Run a proposed plan; one that runs already is left as it is.

        Raises UnknownName, NotAllowed, and InputError for one that has ended.
        """
        raise NotImplementedError

    async def cancel(
        self, goal_id: str, person: str, why: str = "", *, approver: bool = False
    ) -> Goal:
        """Stop everything of it; what is done stays. Raises UnknownName, NotAllowed, InputError."""
        raise NotImplementedError

    async def skip(self, goal_id: str, number: int, person: str, *, approver: bool = False) -> Goal:
        """Leave out step `number`. Raises UnknownName, NotAllowed, InputError."""
        raise NotImplementedError

    async def change(
        self, goal_id: str, words: str, person: str, *, approver: bool = False
    ) -> Goal:
        """Change the plan as the words say, also while it runs: "add a step that ...".

        What was changed, or why nothing could be, is the last of its `notes`.
        Raises UnknownName, NotAllowed, InputError, ModelError.
        """
        raise NotImplementedError

    async def use_model(
        self,
        goal_id: str,
        model: Literal["fast", "strong"],
        person: str,
        *,
        approver: bool = False,
    ) -> Goal:
        """All that has not begun is done with this model. Raises UnknownName, NotAllowed."""
        raise NotImplementedError

    async def answer(self, goal_id: str, text: str, person: str, *, approver: bool = False) -> Goal:
        """What a person says to the question that waits longest: a task's, or the goal's own.

        A goal's own question (may it go on beyond its budget) wants a yes or a no; of other words
        a note says so and nothing changes. Raises UnknownName, NotAllowed, and InputError where
        nothing was asked.
        """
        raise NotImplementedError

    async def changed(self, since: int) -> tuple[Sequence[Goal], int]:
        """Goals that moved after `since`, as they are now, and where to go on next time.

        0 is the beginning; a goal that moved twice comes once.
        """
        raise NotImplementedError

    def on_changed(self, handler: Changed) -> None:
        """Have it called after each move, of this process at once, of others within a second.

        It may be called twice for one move, and for a burst of moves once. What it raises is
        logged.
        """
        raise NotImplementedError
