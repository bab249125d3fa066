"""App Home: what a person sees of themselves, and their settings."""

import re
import time
from dataclasses import dataclass, replace
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from database.errors import VirtuousError
from database.records import LEARNING, Person, RunQuery
from slack_interface.admin_cards import CHOICES, POLICY, admin_blocks
from slack_interface.administration import Administration
from slack_interface.background import Background
from slack_interface.cards import (
    LEARNING_CHOICES,
    LENGTHS,
    PROMPTS,
    SETTINGS,
    TIME_ZONES,
    HomeFacts,
    home_view,
    notice_home,
)
from slack_interface.commands import Commands
from slack_interface.gate import ClickGuard
from slack_interface.incoming import Json
from slack_interface.learning_home import learning_view
from slack_interface.transport import TRANSPORT_ERRORS

log = structlog.get_logger()

FIGURES_DAYS = 30
RECENT_RUNS = 8
ALLOWED = {
    "answer_length": frozenset(LENGTHS),
    "time_zone": frozenset(TIME_ZONES),
    LEARNING: frozenset(LEARNING_CHOICES),
}


@dataclass(slots=True)
class Home:
    """Shows the Home tab and the prompts of the Messages tab; keeps settings."""

    commands: Commands
    background: Background
    administration: Administration

    def register(self, app: AsyncApp) -> None:
        """Listen."""
        app.event("app_home_opened")(self.on_opened)
        app.event("app_context_changed")(self.on_context)
        guarded = [ClickGuard(self.administration.gate, self.background).check]
        app.action(re.compile(f"^{SETTINGS}:"), middleware=guarded)(self.on_setting)
        app.action(re.compile(f"^{POLICY}:"))(self.on_policy)

    async def on_opened(self, event: Json) -> None:
        """The person looks at one of our tabs."""
        if event.get("tab") == "messages":
            if event.get("channel"):
                self.background.spawn(self._suggest(event["channel"]))
        else:
            self.background.spawn(self.publish(event["user"]))

    async def on_context(self) -> None:
        """What the person looks at changed; nothing is made of that yet."""

    async def on_setting(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """A menu of the settings: kept at once."""
        name = str(action["action_id"]).partition(":")[2]
        value = (action.get("selected_option") or {}).get("value")
        if value in ALLOWED.get(name, ()):
            person = await self._person(body["user"]["id"])
            settings = {**person.settings, name: value}
            await self.commands.record.save_person(replace(person, settings=settings))
        if name == LEARNING:
            self.commands.answering.orchestrator.learn_anew()
        await ack()

    async def on_policy(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """A menu for approvers; Slack shows it to them only, which is not relied on."""
        user_id = body["user"]["id"]
        key = str(action["action_id"]).partition(":")[2]
        value = str((action.get("selected_option") or {}).get("value"))
        await self.administration.gate.require_approver(user_id)
        if value in CHOICES.get(key.partition(".")[0], ()):
            await self.administration.policy.set(key, value, user_id)
        self.background.spawn(self.publish(user_id))
        await ack()

    async def publish(self, user_id: str) -> None:
        """Show a person their Home as it is now, or why there is nothing to see."""
        refusal = await self.administration.gate.refusal(user_id, "", "im")
        try:
            view = notice_home(refusal) if refusal else home_view(await self._facts(user_id))
        except VirtuousError as error:
            view = notice_home(f"Your Home cannot be shown just now. {error}")
        await self.commands.voice.publish_home(user_id, view)

    async def publish_learning(self, user_id: str) -> None:
        """Show a person the learning page in place of their Home."""
        learning = self.commands.learning
        refusal = await self.administration.gate.refusal(user_id, "", "im")
        if learning is None or refusal:
            await self.publish(user_id)
            return
        try:
            view = learning_view(await learning.page(user_id))
        except VirtuousError as error:
            view = notice_home(f"The learning page cannot be shown just now. {error}")
        await self.commands.voice.publish_home(user_id, view)

    async def _facts(self, user_id: str) -> HomeFacts:
        commands = self.commands
        person = await self._person(user_id)
        reader = await commands.places.reader(user_id)
        since = time.time() - FIGURES_DAYS * 86_400
        facts: dict[str, Any] = {}
        try:
            facts["runs"] = await commands.record.runs(
                RunQuery(user_id=user_id, audiences=reader.audiences(), limit=RECENT_RUNS)
            )
            facts["metrics"] = await commands.record.metrics(RunQuery(user_id=user_id, since=since))
            facts["workflows"] = await commands.workflows.names(reader)
            if commands.goals:
                facts["plans"] = await commands.goals.home(user_id)
            if commands.learning:
                facts["learning"] = await commands.learning.teaser()
        except VirtuousError as error:
            facts["notes"] = [f"Not everything could be read: {error}"]
        if await self.administration.gate.is_approver(user_id):
            settings = self.administration.policy.settings()
            facts["admin"] = admin_blocks(settings, await commands.places.own_channels())
        return HomeFacts(name=person.name, settings=person.settings, **facts)

    async def _person(self, user_id: str) -> Person:
        person = await self.commands.record.person(user_id)
        return person or await self.commands.places.person(user_id)

    async def _suggest(self, channel_id: str) -> None:
        prompts = [{"title": title, "message": message} for title, message in PROMPTS]
        try:
            await self.commands.voice.client.assistant_threads_setSuggestedPrompts(
                channel_id=channel_id, title="What can I do for you?", prompts=prompts
            )
        except TRANSPORT_ERRORS as error:
            log.info("no_suggested_prompts", error=str(error))
