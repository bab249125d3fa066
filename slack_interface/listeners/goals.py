"""What people press on plans and their questions."""

import re
from dataclasses import dataclass

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from database.errors import VirtuousError
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
from slack_interface.incoming import Json
from slack_interface.listeners.pressed import (
    Pressed,
    about_of,
    once_of,
    place_of,
    values_of,
    verb_of,
    words_of,
)

_DONE_LATER = "start|cancel|yes|no|skip|plainly|again"
_FORMS = {CHANGE_FORM: "change", ANSWER_FORM: "answer"}


@dataclass(slots=True)
class GoalClicks:
    """A click is kept when its listener returns, and done once; views open in the background."""

    pressed: Pressed
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
        goal_id, number = _about(action)
        await self.pressed.keep(
            "goal", body, once_of(body, action), place_of(body),
            command=verb_of(action), subject=goal_id, inputs=_step(number),
        )  # fmt: skip
        await ack()

    async def on_view(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """Asks for words, or shows results."""
        self.background.spawn(self._open(body, action))
        await ack()

    async def _open(self, body: Json, action: Json) -> None:
        try:
            view = await self._view(body, action)
        except VirtuousError as error:
            await self.pressed.whisper(body, str(error))
            return
        await self.pressed.open(body, view)

    async def _view(self, body: Json, action: Json) -> Json:
        verb = verb_of(action)
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
        subject = about_of(view)
        await self.pressed.keep(
            "goal", body, str(view["id"]), subject,
            command=_FORMS[str(view["callback_id"])], subject=subject.get("subject", ""),
            text=words_of(values_of(view)), inputs=_step(subject.get("number", "")),
        )  # fmt: skip
        await ack()


def _about(action: Json) -> tuple[str, str]:
    """The goal and perhaps the step that a button is about."""
    goal_id, _, number = str(action.get("value") or "").partition(":")
    return goal_id, number


def _step(number: str) -> dict[str, str] | None:
    return {"number": number} if number else None
