"""What people press on the cards and the page of learning."""

import re
from dataclasses import dataclass

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from database.errors import InputError
from slack_interface.background import Background
from slack_interface.cards import about
from slack_interface.gate import ClickGuard
from slack_interface.incoming import Json
from slack_interface.learning import Learning
from slack_interface.learning_cards import LEARN
from slack_interface.learning_edits import values_of_suggestion
from slack_interface.learning_forms import (
    BACK,
    CONCLUDE,
    REJECT,
    back_form,
    conclude_form,
    reject_form,
)
from slack_interface.learning_home import AGENT_MODE
from slack_interface.listeners.home import Home
from slack_interface.listeners.pressed import (
    Pressed,
    about_of,
    once_of,
    place_of,
    values_of,
    verb_of,
    words_of,
)

_DONE_LATER = "approve|discuss|why|true|untrue"
_FORMS = {REJECT: "reject", BACK: "back", CONCLUDE: "conclude"}


@dataclass(slots=True)
class LearningClicks:
    """A click is kept when its listener returns, and done once; forms open in the background."""

    pressed: Pressed
    learning: Learning
    home: Home
    background: Background
    guard: ClickGuard

    def register(self, app: AsyncApp) -> None:
        """Listen."""
        guarded = [self.guard.check]
        app.action(re.compile(f"^{LEARN}:({_DONE_LATER})$"), middleware=guarded)(self.on_click)
        app.action(f"{LEARN}:reject", middleware=guarded)(self.on_reject)
        app.action(f"{LEARN}:back", middleware=guarded)(self.on_back)
        app.action(f"{LEARN}:conclude", middleware=guarded)(self.on_conclude)
        app.action(re.compile(f"^{LEARN}:(page|home)$"), middleware=guarded)(self.on_page)
        app.action(re.compile(f"^{LEARN}:(on|paused|off)$"), middleware=guarded)(self.on_switch)
        app.action(f"{LEARN}:card", middleware=guarded)(self.on_card)
        app.action(re.compile(f"^{AGENT_MODE}:"), middleware=guarded)(self.on_mode)
        for form in _FORMS:
            app.view(form, middleware=guarded)(self.on_form)

    # Cards

    async def on_click(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """A button that needs nothing else to be said."""
        subject = str(action.get("value") or "")
        await self.pressed.keep(
            "learning", body, once_of(body, action), place_of(body),
            command=verb_of(action), subject=subject,
        )  # fmt: skip
        await ack()

    async def on_reject(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """Asks why not; who is no approver is told at once."""
        await self._require_approver(body)
        form = reject_form(_subject(body, action))
        self.background.spawn(self.pressed.open(body, form))
        await ack()

    async def on_back(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """Asks why it is taken back."""
        await self._require_approver(body)
        form = back_form(_subject(body, action))
        self.background.spawn(self.pressed.open(body, form))
        await ack()

    async def on_conclude(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """Asks for the values as they should be."""
        await self._require_approver(body)
        self.background.spawn(self._ask_conclusion(body, str(action.get("value") or ""), action))
        await ack()

    async def _ask_conclusion(self, body: Json, proposal_id: str, action: Json) -> None:
        proposal = await self.learning.improvement.proposal(proposal_id)
        if proposal is None or proposal.state != "awaiting":
            await self.pressed.whisper(body, "It does not wait any more, so nothing was suggested.")
            return
        where = place_of(body)
        audiences = await self.learning.audiences_of(body["user"]["id"])
        if proposal.audience not in audiences:
            await self.pressed.whisper(body, "It rests on conversations that you may not read.")
            return
        suggestion = await self.learning.approvals.suggestion(proposal, audiences)
        values = values_of_suggestion(proposal, suggestion.before)
        form = conclude_form(proposal, values, about(subject=proposal_id, **where))
        await self.pressed.open(body, form)

    async def on_form(self, ack: AsyncAck, body: Json, view: Json) -> None:
        """A form was filled in."""
        subject, values = about_of(view), values_of(view)
        inputs = {
            block_id: str((fields.get("text") or {}).get("value") or "")
            for block_id, fields in values.items()
            if block_id.startswith("value:")
        }
        await self.pressed.keep(
            "learning", body, str(view["id"]), subject,
            command=_FORMS[str(view["callback_id"])], subject=subject.get("subject", ""),
            text=words_of(values), inputs=inputs,
        )  # fmt: skip
        await ack()

    # The page

    async def on_page(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """To the learning page, or back."""
        user_id = body["user"]["id"]
        to_page = str(action["action_id"]) == f"{LEARN}:page"
        publish = self.home.publish_learning if to_page else self.home.publish
        self.background.spawn(publish(user_id))
        await ack()

    async def on_switch(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """Go on, pause, off: decided when this returns."""
        await self._require_approver(body)
        user_id = body["user"]["id"]
        to = verb_of(action)
        await self.learning.improvement.switch(to, user_id)
        self.background.spawn(self.home.publish_learning(user_id))
        await ack()

    async def on_mode(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """Who decides about an agent's changes."""
        await self._require_approver(body)
        user_id = body["user"]["id"]
        agent = verb_of(action)
        mode = str((action.get("selected_option") or {}).get("value") or "")
        await self.learning.set_mode(agent, mode, user_id)
        self.background.spawn(self.home.publish_learning(user_id))
        await ack()

    async def on_card(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """Show the card of what waits, in the direct message."""
        await self._require_approver(body)
        proposal = await self.learning.improvement.proposal(str(action.get("value") or ""))
        if proposal is None:
            raise InputError("It is gone: open the page again.")
        user_id = body["user"]["id"]
        self.background.spawn(self.learning.approvals.show_to(user_id, proposal))
        await ack()

    # Shared

    async def _require_approver(self, body: Json) -> None:
        await self.learning.approvals.gate.require_approver(body["user"]["id"])


def _subject(body: Json, action: Json) -> str:
    """What a form is about, and where it was asked for."""
    return about(subject=str(action.get("value") or ""), **place_of(body))
