"""What to do with each thing that came in: answer, obey a command, or just remember."""

from dataclasses import dataclass, field, replace

import structlog
from cachetools import LRUCache

from database.errors import VirtuousError
from database.records import Message
from slack_interface.answering import BROKEN, Answering
from slack_interface.commands import Commands
from slack_interface.feedback_handler import FeedbackHandler
from slack_interface.files import SharedFiles
from slack_interface.incoming import Incoming, plain_text
from slack_interface.places import Places
from slack_interface.ports import Orchestrator, Record
from slack_interface.typed import is_stop, typed_command
from slack_interface.voice import Voice

log = structlog.get_logger()

GREETING = "Hello! Ask me something, or say `help` to see what I can do."
NOTHING_RUNS = "Nothing is running here, so there is nothing to stop."


@dataclass(slots=True)
class Conversation:
    """Handles what the inbox hands over, one at a time in each thread."""

    bot_user_id: str
    orchestrator: Orchestrator
    record: Record
    places: Places
    files: SharedFiles
    answering: Answering
    commands: Commands
    feedback: FeedbackHandler
    voice: Voice
    _taking_part: LRUCache[str, bool] = field(default_factory=lambda: LRUCache(10_000))
    _met: LRUCache[str, bool] = field(default_factory=lambda: LRUCache(10_000))

    async def handle(self, item: Incoming) -> None:
        """Do it; whatever goes wrong, the person hears of it in words."""
        try:
            item = await self._placed(item)
            if item.kind == "message":
                await self._message(item)
            else:
                await self.commands.obey(item)
        except VirtuousError as error:
            await self.voice.tell(item, str(error))
        except Exception:
            log.exception("incoming_failed", **item.described())
            await self.voice.tell(item, BROKEN.format(run_id=item.key))

    async def hear(self, item: Incoming) -> None:
        """Remember a message that is not for us; we may be asked about its files later."""
        self.files.of(item)
        text = plain_text(item.text, self.bot_user_id)
        if not text:
            return
        item = await self._placed(item)
        message = Message(
            channel_id=item.channel_id,
            ts=item.ts,
            thread_ts=item.thread_ts,
            role="person",
            text=text,
            user_id=item.user_id,
            audience=item.audience,
            created_at=item.received_at,
        )
        await self.orchestrator.heard(message)

    async def _placed(self, item: Incoming) -> Incoming:
        if item.channel_type:
            return item
        return replace(item, channel_type=await self.places.channel_type(item.channel_id))

    async def _message(self, item: Incoming) -> None:
        if not await self._for_us(item):
            await self.hear(item)
            return
        text = plain_text(item.text, self.bot_user_id)
        files = self.files.of(item)
        if is_stop(text):
            await self.voice.tell(item, NOTHING_RUNS)
            return
        command = typed_command(text)
        if command and await self.commands.obey_typed(item, command):
            return
        if not text and not item.files:
            await self.voice.tell(item, GREETING, openly=True)
            return
        question = text or "Read the file that I shared and tell me what it says."
        if item.direct:
            await self.places.reader(item.user_id)  # what they may read, asked every few minutes
        await self._meet(item.user_id)
        request = self.answering.request(item, question)
        await self.answering.answer(request, item, files)
        self._taking_part[item.lane] = True
        await self.feedback.after_answer(item, text)

    async def _meet(self, user_id: str) -> None:
        """Once for each person: their name and time zone as Slack knows them, until they choose."""
        if user_id in self._met:
            return
        if await self.record.person(user_id) is None:
            person = await self.places.person(user_id)
            if person.settings:
                await self.record.save_person(person)
        self._met[user_id] = True

    async def _for_us(self, item: Incoming) -> bool:
        """A direct message, a mention, or a reply in a thread that we take part in.

        A reply that begins by mentioning somebody else is for them.
        """
        if item.direct or item.mentioned:
            return True
        if not item.in_thread or item.text.lstrip().startswith("<@"):
            return False
        known = self._taking_part.get(item.lane)
        if known is None:
            said = await self.record.thread(item.channel_id, item.thread_ts)
            known = any(message.role == "assistant" for message in said)
            if known:  # a "no" may change with the next message
                self._taking_part[item.lane] = True
        return known
