"""Clicks, modals, shortcuts and reactions."""

import re
from dataclasses import dataclass

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from database.errors import InputError, VirtuousError
from slack_interface.answer_cards import FEEDBACK, HOW_ANSWERED, how_card
from slack_interface.background import Background
from slack_interface.blocks import notice_modal, section
from slack_interface.cards import (
    IMPROVE,
    REASONS,
    RUN_WORKFLOW,
    SAVE_WORKFLOW,
    WHY,
    about,
    improve_modal,
    improve_offer,
    save_modal,
    why_modal,
    workflow_modal,
)
from slack_interface.commands import Commands
from slack_interface.gate import ClickGuard
from slack_interface.incoming import Json, Kind
from slack_interface.listeners.pressed import (
    NOT_KNOWN,
    Pressed,
    about_of,
    chosen_of,
    needed,
    once_of,
    place_of,
    subject_of,
    trigger_of,
    values_of,
    words_of,
)

THANKS = "Thank you, that helps me do better."
SORRY = "Thank you for telling me. I can try again with what you would like better."
NOT_MINE = "That is not one of my answers. Use this on a message in which I answered."


@dataclass(slots=True)
class Actions:
    """What people press; each listener returns when it is kept, modals open in the background."""

    pressed: Pressed
    commands: Commands
    background: Background
    guard: ClickGuard

    def register(self, app: AsyncApp) -> None:
        """Listen."""
        guarded = [self.guard.check]
        app.action(FEEDBACK, middleware=guarded)(self.on_rating)
        app.action(IMPROVE, middleware=guarded)(self.on_improve)
        app.action(RUN_WORKFLOW, middleware=guarded)(self.on_run_workflow)
        app.view(WHY, middleware=guarded)(self.on_why)
        app.view(IMPROVE)(self.on_improve_words)
        app.view(SAVE_WORKFLOW)(self.on_save_words)
        app.view(RUN_WORKFLOW)(self.on_workflow_inputs)
        for name in (IMPROVE, SAVE_WORKFLOW, HOW_ANSWERED):
            shortcut: Json = {"type": "message_action", "callback_id": name}
            app.shortcut(shortcut, middleware=guarded)(self.on_message_shortcut)
        app.event("reaction_added")(self.on_reaction)
        app.event("reaction_removed")(self.on_reaction)
        app.action(re.compile(""))(self.on_other)
        app.view(re.compile(""))(self.on_other_view)
        app.view_closed(re.compile(""))(self.on_closed)
        app.shortcut(re.compile(""))(self.on_other_shortcut)

    # Feedback

    async def on_rating(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """A feedback button: good is thanked for, bad is asked about."""
        verdict, _, run_id = str(action.get("value") or "").partition(":")
        if verdict not in ("up", "down") or not run_id:
            raise InputError(NOT_KNOWN)
        user_id, stamp = body["user"]["id"], once_of(body, action)
        await self.commands.require_readable(run_id, user_id, place_of(body).get("channel", ""))
        await self.commands.feedback.rating(run_id, user_id, verdict == "up", stamp)
        if verdict == "up":
            self.background.spawn(self.pressed.whisper(body, THANKS))
        else:
            self.background.spawn(self._ask_why(body, run_id))
        await ack()

    async def _ask_why(self, body: Json, run_id: str) -> None:
        view = why_modal(about(run_id=run_id, **place_of(body)))
        if not await self.commands.voice.open_view(trigger_of(body), view):
            await self.pressed.whisper(body, SORRY, improve_offer(run_id))

    async def on_why(self, ack: AsyncAck, body: Json, view: Json) -> None:
        """The reasons for a bad rating, and perhaps the wish for another answer."""
        subject, values = about_of(view), values_of(view)
        reasons, words = chosen_of(values, "reasons"), words_of(values)
        user_id, run_id = body["user"]["id"], needed(subject, "run_id")
        await self.commands.require_readable(run_id, user_id)
        await self.commands.feedback.reason(run_id, user_id, reasons, words, view["id"])
        if chosen_of(values, "again"):
            labels = [REASONS[key] for key in reasons if key in REASONS]
            wish = ". ".join(part for part in (*labels, words) if part)
            await self._keep("improve", body, view, run_id, wish)
        else:
            self.background.spawn(self._thank(user_id, subject))
        await ack()

    async def _thank(self, user_id: str, subject: dict[str, str]) -> None:
        if "channel" in subject:
            await self.commands.voice.whisper(
                subject["channel"],
                user_id,
                SORRY,
                [section(SORRY), *improve_offer(subject["run_id"])],
                thread_ts=subject.get("thread_ts", ""),
            )

    async def on_reaction(self, event: Json) -> None:
        """An emoji, perhaps on one of our answers, or one that was taken back."""
        await self.commands.feedback.reaction(event)

    # Better answers

    async def on_improve(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """The button "Improve this answer": asks how."""
        run_id = needed(subject_of(action.get("value")), "run_id")
        view = improve_modal(about(run_id=run_id, **place_of(body)))
        self.background.spawn(self.pressed.open(body, view))
        await ack()

    async def on_improve_words(self, ack: AsyncAck, body: Json, view: Json) -> None:
        """How an answer should be better."""
        run_id = needed(about_of(view), "run_id")
        await self._keep("improve", body, view, run_id, words_of(values_of(view)))
        await ack()

    async def on_message_shortcut(self, ack: AsyncAck, body: Json) -> None:
        """One of the three in a message's menu: improve, save as workflow, how was it answered."""
        run = await self.commands.record.run_of_message(
            body["channel"]["id"], body["message"]["ts"]
        )
        if run is None:
            self.background.spawn(self.pressed.whisper(body, NOT_MINE))
        elif body["callback_id"] == HOW_ANSWERED:
            self.background.spawn(self.pressed.whisper(body, *how_card(run)))
        else:
            make = improve_modal if body["callback_id"] == IMPROVE else save_modal
            view = make(about(run_id=run.run_id, **place_of(body)))
            self.background.spawn(self.pressed.open(body, view))
        await ack()

    async def on_save_words(self, ack: AsyncAck, body: Json, view: Json) -> None:
        """The name for a workflow."""
        run_id = needed(about_of(view), "run_id")
        await self._keep("save_workflow", body, view, run_id, words_of(values_of(view)))
        await ack()

    # Workflows

    async def on_run_workflow(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """A workflow's Run button: asks for its inputs."""
        name = needed(subject_of(action.get("value")), "name")
        self.background.spawn(self._ask_inputs(body, name))
        await ack()

    async def _ask_inputs(self, body: Json, name: str) -> None:
        try:
            reader = await self.commands.places.reader(body["user"]["id"])
            inputs = await self.commands.workflows.inputs(name, reader)
        except VirtuousError as error:
            await self.pressed.whisper(body, str(error))
            return
        await self.pressed.open(
            body, workflow_modal(name, inputs, about(name=name, **place_of(body)))
        )

    async def on_workflow_inputs(self, ack: AsyncAck, body: Json, view: Json) -> None:
        """A workflow's inputs are filled in: run it."""
        inputs = {
            block_id.removeprefix("input:"): str((field.get("text") or {}).get("value") or "")
            for block_id, field in values_of(view).items()
        }
        name = needed(about_of(view), "name")
        await self.pressed.keep(
            "run_workflow", body, view["id"], about_of(view), subject=name, inputs=inputs
        )
        await ack()

    async def on_other(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """A link needs nothing done; anything else is from before an update."""
        if not action.get("url"):
            self.background.spawn(self.pressed.whisper(body, NOT_KNOWN))
        await ack()

    async def on_other_view(self, ack: AsyncAck) -> None:
        """A form from before an update."""
        await ack(response_action="update", view=notice_modal("No longer known", NOT_KNOWN))

    async def on_closed(self, ack: AsyncAck) -> None:
        """A form was put away: nothing is done."""
        await ack()

    async def on_other_shortcut(self, ack: AsyncAck, body: Json) -> None:
        """A shortcut from before an update, or of a newer manifest."""
        self.background.spawn(self.pressed.whisper(body, NOT_KNOWN))
        await ack()

    async def _keep(self, kind: Kind, body: Json, view: Json, run_id: str, text: str) -> None:
        await self.pressed.keep(kind, body, view["id"], about_of(view), subject=run_id, text=text)
