"""Everything that tells how good an answer was, as Feedback on its run.

Explicit feedback weighs 1: the buttons, their reasons and `/better`. The rest is read between the
lines and weighs less, as it may mean something else:

| kind       | what happened                                   | value       | weight |
|------------|-------------------------------------------------|-------------|--------|
| rating     | a button below the answer                       | +1 or -1    | 1.0    |
| reason     | why it was bad                                  | -1          | 1.0    |
| better     | asked for a better answer                       | -0.5        | 1.0    |
| reaction   | an emoji on the answer                          | by emoji    | 0.5    |
| reaction   | that emoji taken back                           | the same    | 0.0    |
| correction | "no, I meant ..." right after it                | -0.7        | 0.5    |
| correction | the question was edited after it was answered   | -0.3        | 0.2    |
| rephrase   | the same person asks nearly the same again      | -0.5        | 0.3    |
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from cachetools import TTLCache

from database.records import Feedback, FeedbackKind, run_id_of
from slack_interface.cards import REASONS
from slack_interface.incoming import Incoming, Json
from slack_interface.ports import Orchestrator, Record

log = structlog.get_logger()

Likeness = Callable[[str, str], float]
"""How alike two texts are on their surface, 0..1 (agents.similarity.surface_similarity)."""

EMOJI: Mapping[str, float] = {
    "+1": 1.0, "thumbsup": 1.0, "white_check_mark": 1.0, "heavy_check_mark": 1.0, "100": 1.0,
    "tada": 1.0, "heart": 1.0, "clap": 1.0, "star": 1.0, "star-struck": 1.0, "fire": 0.8,
    "raised_hands": 1.0, "pray": 0.7, "ok_hand": 0.7, "smile": 0.5, "rocket": 0.8, "bulb": 0.5,
    "-1": -1.0, "thumbsdown": -1.0, "x": -1.0, "no_entry": -1.0, "question": -0.3,
    "face_with_rolling_eyes": -0.7, "confused": -0.6, "thinking_face": -0.3, "angry": -1.0,
    "disappointed": -0.8, "facepalm": -0.8, "man-facepalming": -0.8, "woman-facepalming": -0.8,
    "poop": -1.0, "hankey": -1.0, "cry": -0.5, "negative_squared_cross_mark": -1.0,
}  # fmt: skip

REACTION_WEIGHT = 0.5
CORRECTION = (-0.7, 0.5)
EDIT = (-0.3, 0.2)
REPHRASE = (-0.5, 0.3)
BETTER_VALUE = -0.5

ALIKE = 0.75
"""From here on a second question counts as the first one in other words."""
SOON_S = 600.0
"""A correction or a rephrased question comes within ten minutes, or means something else."""

_CORRECTS = re.compile(
    r"^(?:no|nope|not quite|wrong|that(?:'|’)?s (?:wrong|not (?:right|what))|that is (?:wrong|not)"
    r"|i meant|i mean\b|actually,? i meant|sorry,? i meant"
    r"|you (?:misunderstood|got (?:it|that) wrong))"
    r"(?:$|[\s,.!:;-])",
    re.IGNORECASE,
)
_AGREES = re.compile(r"^no (?:problem|worries|thanks|thank you|need|more|doubt)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Asked:
    run_id: str
    text: str


@dataclass(slots=True)
class FeedbackHandler:
    """Turns clicks, emoji and words into Feedback; ids are made from the event, so a repeated
    delivery is one feedback.
    """

    orchestrator: Orchestrator
    record: Record
    likeness: Likeness
    _asked: TTLCache[tuple[str, str], _Asked] = field(
        default_factory=lambda: TTLCache(10_000, SOON_S, timer=time.monotonic)
    )

    async def rating(self, run_id: str, user_id: str, good: bool, action_ts: str) -> None:
        """A button below an answer; the newest of a person's ratings counts."""
        value = 1.0 if good else -1.0
        await self._give(run_id, "rating", value, user_id, (user_id, action_ts))

    async def reason(
        self, run_id: str, user_id: str, reasons: Sequence[str], words: str, view_id: str
    ) -> None:
        """Why an answer was bad: keys of `REASONS` and the person's own words."""
        labels = [REASONS[key] for key in reasons if key in REASONS]
        text = ": ".join(part for part in ("; ".join(labels), words.strip()) if part)
        if text:
            await self._give(run_id, "reason", -1.0, user_id, (view_id,), text=text)

    async def better(self, run_id: str, user_id: str, wish: str, key: str) -> None:
        """A wish for a better answer."""
        await self._give(run_id, "better", BETTER_VALUE, user_id, (key,), text=wish)

    async def reaction(self, event: Json) -> None:
        """An emoji on one of our answers, or taken back; others are none of our business.

        What is taken back is a fact of its own, of weight 0: nothing that was kept is changed.
        """
        value = EMOJI.get(str(event.get("reaction", "")).split("::")[0])
        item = event.get("item") or {}
        channel_id, ts = item.get("channel"), item.get("ts")
        if value is None or item.get("type") != "message" or not (channel_id and ts):
            return
        run = await self.record.run_of_message(channel_id, ts)
        if run is None or run.reply_ts != ts:
            return
        user_id = str(event["user"])
        unique = (event["type"], user_id, str(event["reaction"]), str(event.get("event_ts") or ""))
        weight = REACTION_WEIGHT if event["type"] == "reaction_added" else 0.0
        await self._give(run.run_id, "reaction", value, user_id, unique, weight=weight)

    async def edited_question(self, channel_id: str, ts: str, user_id: str, text: str) -> None:
        """A question was changed after it had been answered."""
        run = await self.record.run_of_message(channel_id, ts)
        if run is None or run.message_ts != ts or run.user_id != user_id:
            return
        value, weight = EDIT
        unique = (user_id, text)
        await self._give(run.run_id, "correction", value, user_id, unique, weight=weight, text=text)

    async def after_answer(self, item: Incoming, text: str) -> None:
        """A new question was answered: what does it say about the one before?

        In a direct message, where each message starts a thread, the person's last one counts.
        """
        place = (item.channel_id if item.direct else item.lane, item.user_id)
        before = self._asked.get(place)
        self._asked[place] = _Asked(item.key, text)
        if before is None or before.run_id == item.key:
            return
        kind: FeedbackKind
        if _CORRECTS.match(text) and not _AGREES.match(text):
            kind, (value, weight) = "correction", CORRECTION
        elif self.likeness(before.text, text) >= ALIKE:
            kind, (value, weight) = "rephrase", REPHRASE
        else:
            return
        await self._give(
            before.run_id, kind, value, item.user_id, (item.key,), weight=weight, text=text
        )

    async def _give(
        self,
        run_id: str,
        kind: FeedbackKind,
        value: float,
        user_id: str,
        unique: tuple[str, ...],
        *,
        weight: float = 1.0,
        text: str | None = None,
    ) -> None:
        feedback = Feedback(
            feedback_id=run_id_of("feedback", run_id, kind, *unique),
            run_id=run_id,
            kind=kind,
            value=value,
            weight=weight,
            text=text,
            user_id=user_id,
            created_at=time.time(),
        )
        await self.orchestrator.give_feedback(feedback)
        log.info("feedback", run_id=run_id, kind=kind, value=value, weight=weight)
