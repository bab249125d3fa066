"""Asking the orchestrator and showing what it says: one request, one visible answer, one record."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import orjson
import structlog
from pydantic import TypeAdapter, ValidationError
from slack_sdk.web.async_client import AsyncWebClient

from agents.ports import FilesPort
from agents.turns import StepFinished, StepStarted, TextDelta
from database.records import Message, Run
from orchestrator.requests import ReplyEvent, ReplyFinished, ReplyStarted, Request
from slack_interface.answer_cards import closing_blocks
from slack_interface.delivery import Destination
from slack_interface.incoming import Incoming, Json
from slack_interface.model_words import ModelWords
from slack_interface.pace import Pace
from slack_interface.places import Places
from slack_interface.ports import Orchestrator, Record
from slack_interface.reply_stream import ReplyStream
from slack_interface.running import RunningReplies, RunningReply
from slack_interface.sends import Earlier, Sends
from slack_interface.transport import TRANSPORT_ERRORS, in_words
from slack_interface.voice import Voice

log = structlog.get_logger()

STOPPED = "stopped by the person"
STOPPED_WORDS = "_Stopped. What I had said is kept above._"
STOPPED_EARLY = "_Stopped before I had said anything._"
BROKEN = (
    "Something went wrong on my side, and I could not answer. Please ask again in a moment; if it "
    "happens again, tell whoever runs me to look at the log for run `{run_id}`."
)
NOT_SHOWN = (
    "Slack did not let me show my answer there. If I am not a member of that channel, invite me "
    "with `/invite`; then ask again, or ask me in a direct message."
)
NOTHING = "I have no answer to that. Please ask again in other words."


@dataclass(slots=True)
class _Draft:
    """What has been heard of an answer so far."""

    request: Request
    agent: str = ""
    said: list[str] = field(default_factory=list)
    finished: ReplyFinished | None = None

    def stopped(self) -> ReplyFinished:
        """The end of an answer whose events were cut off."""
        return self._made_here(STOPPED, None)

    def broken(self) -> ReplyFinished:
        """The end of an answer that failed where it must not."""
        return self._made_here("internal error", BROKEN.format(run_id=self.request.run_id))

    def _made_here(self, error: str, problem: str | None) -> ReplyFinished:
        request, reply = self.request, "".join(self.said)
        run = Run(
            run_id=request.run_id,
            request=request.text,
            agent=self.agent or "none",
            parent_run_id=request.parent_run_id,
            started_at=request.received_at,
            user_id=request.user_id,
            channel_id=request.channel_id,
            thread_ts=request.thread_ts,
            message_ts=request.message_ts,
            audience=request.audience,
            reply=reply or None,
            error=error,
        )
        question = Message(
            channel_id=request.channel_id,
            ts=request.message_ts,
            thread_ts=request.thread_ts,
            role="person",
            text=request.text,
            user_id=request.user_id,
            run_id=request.run_id,
            audience=request.audience,
            created_at=request.received_at,
        )
        return ReplyFinished(run, (question,), problem)


@dataclass(frozen=True, slots=True)
class _Whole:
    """A complete answer: `shown` is all that the person sees of it, `finished` what is recorded."""

    finished: ReplyFinished
    shown: str

    def to_bytes(self) -> bytes:
        return orjson.dumps(self)

    @classmethod
    def from_bytes(cls, kept: bytes) -> "_Whole | None":
        """None where another version of this program wrote it: then it is made again."""
        try:
            return _whole_reader().validate_json(kept)
        except ValidationError as error:
            log.warning("kept_answer_unreadable", errors=error.error_count())
            return None


@cache
def _whole_reader() -> TypeAdapter[_Whole]:
    """Needed after a crash only, so not made before."""
    return TypeAdapter(_Whole)


@dataclass(slots=True)
class Answering:
    """Answers requests in their threads."""

    client: AsyncWebClient
    orchestrator: Orchestrator
    record: Record
    places: Places
    pace: Pace
    running: RunningReplies
    sends: Sends
    voice: Voice

    def request(self, item: Incoming, text: str, *, message_ts: str = "") -> Request:
        """What the orchestrator is asked for `item`, whose channel type is known."""
        return Request(
            run_id=item.key,
            user_id=item.user_id,
            channel_id=item.channel_id,
            thread_ts=item.thread_ts,
            message_ts=message_ts or item.ts,
            text=text,
            reader=self.places.reader_here(item.user_id, item.channel_id, item.channel_type),
            received_at=item.received_at,
            audience=item.audience,
        )

    async def answer(self, request: Request, item: Incoming, files: FilesPort) -> ReplyFinished:
        """Answer and record; returns when the answer can be seen and is kept.

        What a former process began is taken up: an answer that was recorded is not given again,
        one that was complete is shown as it was, and its messages are used, whole or half.
        """
        earlier = Earlier()
        if item.resumed:
            run = await self.record.run(request.run_id)
            if run is not None:
                self.sends.settle(request.run_id)
                return ReplyFinished(run, ())
            earlier = await self.sends.earlier(request.run_id)
        to = Destination(
            item.channel_id, request.thread_ts, item.team_id, item.user_id,
            direct=item.direct, asked_ts=request.message_ts, asked=f"{item.text} <@{item.user_id}>",
        )  # fmt: skip
        if earlier.answer and (ready := _Whole.from_bytes(earlier.answer)):
            return await self._show_kept(request, to, earlier, ready)
        stream = self._stream(request.run_id, to, earlier)
        whole = await self._hear(request, files, stream)
        kept = self.sends.keep(request.run_id, whole.to_bytes())
        shown = await stream.finish(closing_blocks(whole.finished.run), kept)
        if shown is None:
            await self.voice.whisper(item.channel_id, item.user_id, NOT_SHOWN)
        return await self._record(whole.finished, shown)

    async def show(
        self, finished: ReplyFinished, text: str, to: Destination, below: list[Json]
    ) -> str | None:
        """Show and record an answer that was made elsewhere: once for its run, over any restart.

        `text` is all that the person sees of it, with `below` under it. The `ts` of its last
        message; None where Slack did not take it.
        """
        run = await self.record.run(finished.run.run_id)
        if run is not None:
            self.sends.settle(run.run_id)
            return run.reply_ts
        earlier = await self.sends.earlier(finished.run.run_id)
        shown = await self._shown_whole(finished.run.run_id, to, earlier, text, below)
        await self._record(finished, shown)
        return shown

    async def _show_kept(
        self, request: Request, to: Destination, earlier: Earlier, whole: _Whole
    ) -> ReplyFinished:
        """Show what a former process had ready."""
        below = closing_blocks(whole.finished.run)
        shown = await self._shown_whole(request.run_id, to, earlier, whole.shown, below)
        return await self._record(whole.finished, shown)

    async def _shown_whole(
        self, run_id: str, to: Destination, earlier: Earlier, text: str, below: list[Json]
    ) -> str | None:
        """Show it, unless all of it can be seen already."""
        if earlier.begun:
            try:
                if shown := await self.sends.complete(run_id, to.place):
                    return shown
            except TRANSPORT_ERRORS as error:
                log.warning("thread_not_read", run_id=run_id, error=in_words(error))
        stream = self._stream(run_id, to, earlier)
        stream.say(text)
        return await stream.finish(below, None)

    def _stream(self, run_id: str, to: Destination, earlier: Earlier) -> ReplyStream:
        words = ModelWords(to.asked, self.places.members.known_name)
        return ReplyStream(self.client, to, run_id, self.pace, self.sends, earlier, words)

    async def _record(self, finished: ReplyFinished, shown: str | None) -> ReplyFinished:
        await self.orchestrator.record(finished, shown)
        self.sends.settle(finished.run.run_id)
        return finished

    async def _hear(self, request: Request, files: FilesPort, stream: ReplyStream) -> _Whole:
        """Everything that the orchestrator says, and how it ended, on its way to the person."""
        running = self.running.start(
            request.run_id, request.user_id, request.channel_id, request.thread_ts
        )
        draft = _Draft(request)
        try:
            finished = await self._listen(draft, files, stream, running)
        except asyncio.CancelledError:
            stream.abandon()
            raise
        finally:
            self.running.end(running)
        said = "".join(draft.said)
        if running.stopped:
            end = f"\n\n{STOPPED_WORDS}" if said else STOPPED_EARLY
        elif finished.problem:
            end = ("\n\n" if said else "") + f":warning: {finished.problem}"
        else:
            end = "" if said else finished.run.reply or NOTHING
        stream.say(end)
        return _Whole(finished, said + end)

    async def answer_all(
        self, requests: Sequence[Request], item: Incoming, files: FilesPort
    ) -> None:
        """Answer one after the other; the first that fails or is stopped is the last."""
        for request in requests:
            finished = await self.answer(request, replace(item, thread_ts=request.thread_ts), files)
            if finished.run.error:
                return

    async def _listen(
        self, draft: _Draft, files: FilesPort, stream: ReplyStream, running: RunningReply
    ) -> ReplyFinished:
        """Pass on what the orchestrator says, until it ends or is stopped."""
        request = draft.request
        try:
            async for event in self.orchestrator.reply(request, files):
                _pass_on(event, stream, draft)
        except asyncio.CancelledError:
            pass
        except Exception:
            log.exception("reply_broken", run_id=request.run_id)
        if running.cut_short():
            return draft.finished or draft.stopped()
        return draft.finished or draft.broken()


def _pass_on(event: ReplyEvent, stream: ReplyStream, draft: _Draft) -> None:
    match event:
        case TextDelta(text):
            draft.said.append(text)
            stream.say(text)
        case StepStarted(step_id, title):
            stream.step(step_id, title, "in_progress")
        case StepFinished(step_id, title, ok, detail):
            stream.step(step_id, title, "complete" if ok else "error", detail)
        case ReplyStarted(agent):
            draft.agent = agent
        case ReplyFinished():
            draft.finished = event
