"""What to do with each thing that came in: answer, obey a command, or just remember."""

from dataclasses import dataclass, field, replace

import structlog
from cachetools import LRUCache

from database.errors import VirtuousError
from database.records import Message
from slack_interface.administration import Administration
from slack_interface.answering import BROKEN, Answering
from slack_interface.commands import Commands
from slack_interface.feedback_handler import FeedbackHandler
from slack_interface.files import SharedFiles
from slack_interface.gate import Gate
from slack_interface.incoming import SHARED, Incoming, plain_text
from slack_interface.learning_questions import said_below
from slack_interface.places import Places
from slack_interface.ports import Orchestrator, Record
from slack_interface.sends import Place
from slack_interface.typed import TypedCommand, is_stop, typed_command
from slack_interface.voice import Voice

log = structlog.get_logger()

GREETING = "Hello! Ask me something, or say `help` to see what I can do."
ELSEWHERE = (
    "That was for a conversation that you are not in, as far as Slack tells me, so nothing was "
    "done. Please do it again from the conversation itself."
)
SECRET = (
    "A kind word: what you wrote holds something that looks like a password or a key. I do not "
    "keep it; in my records it reads `[secret]`. But Slack keeps your message, and the model that "
    "I asked has read it. If it is a real one, delete your message and change it."
)
SECRET_TOLD_S = 86_400.0
"""A person is told of it once a day."""
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
    gate: Gate
    administration: Administration
    _taking_part: LRUCache[str, bool] = field(default_factory=lambda: LRUCache(10_000))
    _met: LRUCache[str, bool] = field(default_factory=lambda: LRUCache(10_000))

    async def handle(self, item: Incoming) -> None:
        """Do it; whatever goes wrong, the person hears of it in words."""
        try:
            item = await self._placed(item)
            if item.kind == "message":
                if not await self._below_a_card(item):
                    await self._message(item)
            elif item.kind == "goal_answer":
                await self.commands.say_answer(item)
            elif item.kind != "command" and not await self._is_there(item):
                await self._tell_alone(item, ELSEWHERE)
            elif not await self.gate.refuses(item, addressed=True):
                await self.commands.obey(item)
        except VirtuousError as error:
            await self._tell_problem(item, str(error))
        except Exception:
            log.exception("incoming_failed", **item.described())
            await self._tell_problem(item, BROKEN.format(run_id=item.key))

    async def _is_there(self, item: Incoming) -> bool:
        """Whether a person is where their modal was opened: what it remembers is not believed."""
        if item.direct:
            return await self.voice.direct_channel(item.user_id) == item.channel_id
        if item.channel_type == "channel":
            return True
        return item.channel_id in (await self.places.reader(item.user_id)).channels

    async def _tell_alone(self, item: Incoming, words: str) -> None:
        """Say it in the direct message, wherever `item` claims to come from."""
        if direct := await self.voice.direct_channel(item.user_id):
            await self.voice.post_once(f"{item.key}:told", Place(direct), words)

    async def _tell_problem(self, item: Incoming, words: str) -> None:
        """Say it, also when the disk that notes what was said is what failed."""
        try:
            await self.voice.tell(item, words)
        except VirtuousError as error:
            log.warning("told_without_a_note", error=str(error))
            await self.voice.post(item.channel_id, words, thread_ts=item.thread_ts)

    def may_answer(self, item: Incoming) -> bool:
        """Whether a message may be for us, as far as can be said at once."""
        if item.direct or item.mentioned or item.in_thread:
            return True
        return self.gate.policy.speaking(item.channel_id) == "everything"

    async def hear(self, item: Incoming) -> None:
        """Remember a message that is not for us; we may be asked about its files later."""
        self.files.of(item)
        text = plain_text(item.text, self.bot_user_id)
        if not text:
            return
        if not item.channel_type:
            item = await self._placed(item)
        if item.channel_type == SHARED and not self.gate.policy.allows("external", item.channel_id):
            return
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
        kind = await self.places.placed(item.channel_id, item.channel_type)
        return item if kind == item.channel_type else replace(item, channel_type=kind)

    async def _message(self, item: Incoming) -> None:
        if not await self._for_us(item):
            await self.hear(item)
            return
        addressed = item.direct or item.mentioned or item.in_thread
        text = plain_text(item.text, self.bot_user_id)
        command = typed_command(text)
        if command and command.name in ("channel", "policy") and not item.bot:
            await self.administration.obey(item, command)
            return
        if await self.gate.refuses(item, addressed):
            return
        files = self.files.of(item)
        if await self._obeyed(item, text, command):
            return
        question = text or "Read the file that I shared and tell me what it says."
        if item.direct:
            await self.places.reader(item.user_id)  # what they may read, asked every few minutes
        await self._meet(item.user_id)
        goals = self.commands.goals
        wanted = goals is not None and goals.wanted(item, question)
        begun = await goals.begin(item, question) if goals and wanted else "plainly"
        if begun == "told":
            await self.hear(item)
        elif begun == "plainly":
            request = self.answering.request(item, question)
            await self.answering.answer(request, item, files)
            await self.feedback.after_answer(item, text)
        self._taking_part[item.lane] = True
        await self._warn_of_secret(item, text)

    async def _obeyed(self, item: Incoming, text: str, command: TypedCommand | None) -> bool:
        """Whether it was anything else than something to answer, which is done then."""
        goals = self.commands.goals
        if goals and await goals.heard(item, text, ordinary=command is None):
            await self.hear(item)
        elif is_stop(text):
            await self.voice.tell(item, NOTHING_RUNS)
        elif command and await self.commands.obey_typed(item, command):
            pass
        elif not text and not item.files:
            await self.voice.tell(item, GREETING, openly=True)
        else:
            return False
        return True

    async def _below_a_card(self, item: Incoming) -> bool:
        """Whether it was a word in the thread of a card of learning that means something there."""
        learning, text = self.commands.learning, plain_text(item.text, self.bot_user_id)
        said = said_below(text) if item.in_thread and not item.bot else None
        if learning is None or said is None:
            return False
        about = await learning.approvals.card_at(item.channel_id, item.thread_ts)
        if about is None:
            return False
        if not await self.gate.refuses(item, addressed=True):
            await learning.heard_below(item, said, about)
        return True

    async def _warn_of_secret(self, item: Incoming, text: str) -> None:
        """Unseen by others, and gone when the person has read it: no part of the conversation."""
        if not self.orchestrator.holds_secret(text):
            return
        if await self.gate.claims.claim(f"secret:{item.user_id}", SECRET_TOLD_S):
            place, thread_ts = item.channel_id, item.thread_ts
            await self.voice.whisper(place, item.user_id, SECRET, thread_ts=thread_ts)

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
        """A direct message, a mention, or what the channel's policy adds to these.

        By default a reply in a thread that we take part in. What begins by mentioning somebody else
        is for them.
        """
        if item.direct or item.mentioned:
            return True
        speaking = self.gate.policy.speaking(item.channel_id)
        if speaking == "mentions" or item.text.lstrip().startswith("<@"):
            return False
        if speaking == "everything":
            return bool(item.text.strip())
        if not item.in_thread:
            return False
        known = self._taking_part.get(item.lane)
        if known is None:
            said = await self.record.thread(item.channel_id, item.thread_ts)
            known = any(message.role == "assistant" for message in said)
            if known:  # a "no" may change with the next message
                self._taking_part[item.lane] = True
        return known
