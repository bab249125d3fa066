"""What people press on plans and their questions."""

import re
import time
from dataclasses import dataclass
from uuid import uuid4

import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from database.errors import InputError, VirtuousError
from database.records import run_id_of
from slack_interface.background import Background
from slack_interface.cards import about
from slack_interface.gate import ClickGuard
from slack_interface.goal_cards import (
    ANSWER_FORM,
    CHANGE_FORM,
    GOAL,
    answer_form,
    change_form,
    results_view,
)
from slack_interface.goals import Goals
from slack_interface.inbox import Inbox
from slack_interface.incoming import Incoming, Json, channel_type_of
from slack_interface.listeners.actions import (
    NO_PLACE,
    TOO_LATE,
    place_of,
    subject_of,
    team_of,
    trigger_of,
    values_of,
    words_of,
)

log = structlog.get_logger()

_DONE_LATER = "start|cancel|yes|no|skip|plainly"
_FORMS = {CHANGE_FORM: "change", ANSWER_FORM: "answer"}


@dataclass(slots=True)
class GoalClicks:
    """A click is kept when its listener returns, and done once; views open in the background."""

    inbox: Inbox
    goals: Goals
    background: Background
    guard: ClickGuard

    def register(self, app: AsyncApp) -> None:
        """Listen."""
        guarded = [self.guard.check]
        app.action(re.compile(f"^{GOAL}:({_DONE_LATER})$"), middleware=guarded)(self.on_click)
        app.action(re.compile(f"^{GOAL}:(change|reply|results)$"), middleware=guarded)(self.on_view)
        for form in _FORMS:
            app.view(form, middleware=guarded)(self.on_form)

    async def on_click(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """A button that needs nothing else to be said."""
        verb = str(action["action_id"]).partition(":")[2]
        once = str(action.get("action_ts") or trigger_of(body) or uuid4().hex)
        goal_id, number = _about(action)
        await self._accept(body, verb, goal_id, number, once, place_of(body))
        await ack()

    async def on_view(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """Asks for words, or shows results."""
        self.background.spawn(self._open(body, action))
        await ack()

    async def _open(self, body: Json, action: Json) -> None:
        try:
            view = await self._view(body, action)
        except VirtuousError as error:
            await self._whisper(body, str(error))
            return
        if not await self.goals.voice.open_view(trigger_of(body), view):
            await self._whisper(body, TOO_LATE)

    async def _view(self, body: Json, action: Json) -> Json:
        verb = str(action["action_id"]).partition(":")[2]
        (goal_id, number), place = _about(action), place_of(body)
        user_id = str(body["user"]["id"])
        goal = await self.goals.readable(goal_id, place.get("channel", ""), user_id)
        if verb == "results":
            return results_view(goal)
        await self.goals.may_act(goal, user_id)
        subject = about(subject=goal_id, number=number, **place)
        if verb == "change":
            return change_form(goal, subject)
        return answer_form(goal, int(number) if number.isdecimal() else 0, subject)

    async def on_form(self, ack: AsyncAck, body: Json, view: Json) -> None:
        """A form was filled in."""
        subject, verb = subject_of(view.get("private_metadata")), _FORMS[str(view["callback_id"])]
        goal_id, number = subject.pop("subject", ""), subject.pop("number", "")
        words = words_of(values_of(view))
        await self._accept(body, verb, goal_id, number, str(view["id"]), subject, words)
        await ack()

    async def _accept(
        self,
        body: Json,
        verb: str,
        goal_id: str,
        number: str,
        once: str,
        where: dict[str, str],
        text: str = "",
    ) -> None:
        """Keep it: it is done after this, also by the next process."""
        user_id = body["user"]["id"]
        channel = where.get("channel") or await self.goals.voice.direct_channel(user_id)
        if not channel:
            raise InputError(NO_PLACE)
        app_id, team_id = body.get("api_app_id") or "", team_of(body)
        await self.inbox.accept(
            Incoming(
                kind="goal",
                key=run_id_of(app_id, team_id, "goal", once),
                app_id=app_id,
                team_id=team_id,
                channel_id=channel,
                channel_type=channel_type_of(channel, where.get("channel_name")),
                user_id=user_id,
                text=text,
                thread_ts=where.get("thread_ts", ""),
                in_thread=bool(where.get("thread_ts")),
                command=verb,
                subject=goal_id,
                inputs={"number": number} if number else None,
                received_at=time.time(),
            )
        )

    async def _whisper(self, body: Json, text: str) -> None:
        place, voice = place_of(body), self.goals.voice
        if channel := place.get("channel"):
            thread_ts = place.get("thread_ts", "")
            await voice.whisper(channel, body["user"]["id"], text, thread_ts=thread_ts)


def _about(action: Json) -> tuple[str, str]:
    """The goal and perhaps the step that a button is about."""
    goal_id, _, number = str(action.get("value") or "").partition(":")
    return goal_id, number
