"""A house with nothing faked in it: people, Slack's stand-in, Bolt, agents, a model, a database."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from bootstrap import Assistant, assistant
from database.records import Feedback, Run, RunQuery
from orchestrator.settings import Settings
from slack_interface.http_server import Listen
from slack_interface.slack_bot import Mode
from tests.model_server.server import Fixture, ScriptedModel
from tests.people import ADA, Json, People, find


def direct(user: str) -> str:
    """The person's direct message with the assistant."""
    return f"D{user[1:]}"


def asked(text: str, **more: Any) -> dict[str, Any]:
    """Matches a model call whose last words of a person hold `text`."""
    return {"userMessage": text, **more}


@dataclass(slots=True)
class Story(People):
    """People and the whole assistant; `model` answers what it was told to."""

    model: ScriptedModel
    settings: Settings
    transport: Mode
    _house: Assistant | None = None
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def house(self) -> Assistant:
        """The running assistant."""
        assert self._house is not None, "the assistant is not started"
        return self._house

    async def start(self, **parts: Any) -> None:
        """The assistant as `serve` starts it, with Slack told where it listens in HTTP mode."""
        if self.transport == "http":
            parts |= {"mode": "http", "listen": Listen(port=0)}
        self._house = await self._running.enter_async_context(assistant(self.settings, **parts))
        self.bot = self._house.slack
        if self.transport == "http":
            await self.workspace.set_request_url(f"http://127.0.0.1:{self.bot.port}/slack/events")
        await self.connected()

    def environment(self) -> dict[str, str]:
        """The settings as environment variables, for a process of its own."""
        given = self.settings.model_dump(exclude_none=True, exclude_defaults=True)
        return {
            name.upper(): value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for name, value in given.items()
        }

    async def stop(self) -> None:
        """The assistant as Ctrl-C stops it."""
        await self._running.aclose()
        self._house = self.bot = None

    async def told(self, *fixtures: Fixture) -> None:
        """What the model does from here on; the first that matches wins."""
        await self.model.script(fixtures)

    async def prompts(self) -> list[Sequence[Mapping[str, Any]]]:
        """The messages of every answer asked of the model since `told`, oldest first.

        Not those of routing, which asks for JSON when a choice is close.
        """
        calls = await self.model.calls()
        return [call["messages"] for call in calls if "response_format" not in call]

    async def ask(self, text: str, user: str = ADA) -> Json:
        """Ask in a direct message; the answer as the person sees it."""
        ts = await self.say(text, user)
        [reply] = await self.replies(ts, direct(user))
        return reply

    async def mention(self, text: str, user: str = ADA, channel: str = "general") -> Json:
        """Mention the assistant in a channel; the answer as everybody there sees it."""
        ts = await self.say(f"@Virtuous6 {text}", user, channel)
        [reply] = await self.replies(ts, f"C0{channel.upper()}")
        return reply

    async def runs(self) -> list[Run]:
        """Everything recorded, oldest first, with steps."""
        await self.house.bus.drain()
        return (await self.house.store.runs(RunQuery(), with_steps=True))[::-1]

    async def run_of(self, reply: Json, user: str = ADA) -> Run:
        """What was recorded of an answer in a direct message."""
        found = await self.house.store.run_of_message(direct(user), reply["ts"])
        assert found is not None
        return found

    async def feedback_on(self, run: Run) -> list[Feedback]:
        return await self.house.store.feedback_on(run.run_id)

    async def rate(self, reply: Json, which: str, user: str = ADA, channel: str = "") -> None:
        """Press a thumb, `positive` or `negative`, below an answer."""
        [element] = find(reply["blocks"], "feedback_buttons")
        action = {
            "type": "feedback_buttons",
            "action_id": element["action_id"],
            "value": element[f"{which}_button"]["value"],
        }
        await self.press(reply, action, channel or direct(user), user)

    async def submit(self, view: Json, user: str = ADA, **fields: Any) -> None:
        """Submit a modal: text for an input, a list of values for checkboxes."""
        values = {name: _typed(value) for name, value in fields.items()}
        await self.post("submit", view_id=view["id"], user=user, values=values)


def _typed(value: str | list[str]) -> Json:
    if isinstance(value, str):
        return {"text": {"type": "plain_text_input", "value": value}}
    return {"chosen": {"type": "checkboxes", "selected_options": [{"value": v} for v in value]}}


def seen(view: object) -> str:
    """All that a message, modal or Home shows, as one text."""
    return json.dumps(view, ensure_ascii=False)
