"""Answers under way, so that a person can stop them."""

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class RunningReply:
    """One answer while its events are read, or a change of a plan while it is made.

    `stopped` once a person asked for it; `hears` says that this word is then still to be heard.
    """

    run_id: str
    user_id: str
    channel_id: str
    thread_ts: str
    task: asyncio.Task[None]
    hears: bool = False
    stopped: bool = False

    def stop(self) -> None:
        """End the model call; what was said is kept."""
        if not self.stopped:
            self.stopped = True
            self.task.cancel()

    def cut_short(self) -> bool:
        """After the events ended: whether a person stopped them.

        Raises:
            CancelledError: it was not a person but the end of the process.
        """
        if self.stopped:
            while self.task.cancelling():
                self.task.uncancel()
            return True
        if self.task.cancelling():
            raise asyncio.CancelledError
        return False


@dataclass(slots=True)
class RunningReplies:
    """All of them, by thread."""

    _replies: set[RunningReply] = field(default_factory=set)

    def start(
        self, run_id: str, user_id: str, channel_id: str, thread_ts: str, *, hears: bool = False
    ) -> RunningReply:
        """The current task reads an answer's events from here on."""
        task = asyncio.current_task()
        assert task is not None, "answers are read in a task"
        reply = RunningReply(run_id, user_id, channel_id, thread_ts, task, hears)
        self._replies.add(reply)
        return reply

    def end(self, reply: RunningReply) -> None:
        """No more events are read."""
        self._replies.discard(reply)

    def stop(
        self, channel_id: str, thread_ts: str, user_id: str, direct: bool = False
    ) -> list[RunningReply]:
        """Stop what runs in a thread; what that was.

        In a direct message, where a new message starts a thread, all that the person asked there.
        """
        found = [
            reply
            for reply in self._replies
            if reply.channel_id == channel_id
            and (reply.thread_ts == thread_ts or (direct and reply.user_id == user_id))
        ]
        for reply in found:
            reply.stop()
        return found
