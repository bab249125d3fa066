"""A small Bolt app that does, on request, each thing an assistant does."""

import asyncio
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_sdk.web.async_client import AsyncWebClient

from tests.slack_interface.local_workspace.browser.gallery import mrkdwn, option, plain

Json = dict[str, Any]

FEEDBACK: Json = {
    "type": "context_actions",
    "elements": [
        {
            "type": "feedback_buttons",
            "action_id": "rate",
            "positive_button": {"text": plain("Good answer"), "value": "up"},
            "negative_button": {"text": plain("Bad answer"), "value": "down"},
        }
    ],
}

WHY_VIEW: Json = {
    "type": "modal",
    "callback_id": "why",
    "title": plain("What was wrong?"),
    "submit": plain("Send"),
    "close": plain("Cancel"),
    "blocks": [
        {
            "type": "input",
            "block_id": "reason",
            "label": plain("Reason"),
            "element": {"type": "plain_text_input", "action_id": "text", "multiline": True},
        },
        {
            "type": "input",
            "block_id": "kind",
            "optional": True,
            "label": plain("Kind"),
            "element": {
                "type": "static_select",
                "action_id": "pick",
                "options": [option("Wrong facts", "facts"), option("Too long", "long")],
            },
        },
        {
            "type": "input",
            "block_id": "times",
            "optional": True,
            "label": plain("How often"),
            "element": {
                "type": "number_input",
                "action_id": "number",
                "is_decimal_allowed": False,
            },
        },
        {
            "type": "actions",
            "block_id": "deeper",
            "elements": [{"type": "button", "text": plain("More detail"), "action_id": "deeper"}],
        },
    ],
}

DETAIL_VIEW: Json = {
    "type": "modal",
    "callback_id": "detail",
    "title": plain("More detail"),
    "submit": plain("Keep"),
    "blocks": [
        {"type": "section", "text": mrkdwn("A *second* view.")},
        {
            "type": "input",
            "block_id": "agent",
            "label": plain("Which agent"),
            "element": {
                "type": "external_select",
                "action_id": "find_agent",
                "min_query_length": 2,
                "placeholder": plain("Find an agent"),
            },
        },
        {
            "type": "input",
            "block_id": "people",
            "optional": True,
            "label": plain("Who else"),
            "element": {"type": "multi_users_select", "action_id": "pick"},
        },
        {
            "type": "input",
            "block_id": "proof",
            "optional": True,
            "label": plain("Proof"),
            "element": {"type": "file_input", "action_id": "files"},
        },
    ],
}

HOME_VIEW: Json = {
    "type": "home",
    "blocks": [
        {"type": "header", "text": plain("Your recent runs")},
        {
            "type": "actions",
            "block_id": "home_actions",
            "elements": [
                {"type": "button", "text": plain("Refresh"), "action_id": "home_refresh"},
            ],
        },
    ],
}


class SmallApp:
    """Holds what the tests wait for: what was clicked and submitted, and whether to go on."""

    def __init__(self) -> None:
        self.clicks: list[Json] = []
        self.submitted: list[Json] = []
        self.stopped = asyncio.Event()
        self.go_on = asyncio.Event()

    def forget(self) -> None:
        """Before each test."""
        self.clicks.clear()
        self.submitted.clear()
        self.stopped.clear()
        self.go_on.clear()

    def install(self, app: AsyncApp) -> None:
        """Register the listeners."""
        app.event("message")(self.on_message)
        app.event("app_mention")(self.on_mention)
        app.event("app_home_opened")(self.on_home)
        app.event("agent_session_stopped")(self.on_stopped)
        app.event("file_shared")(self.on_nothing)
        app.event("reaction_added")(self.on_nothing)
        app.event("reaction_removed")(self.on_nothing)
        app.command("/echo")(self.on_echo)
        app.command("/why")(self.on_why)
        app.action("rate")(self.on_rate)
        app.action("deeper")(self.on_deeper)
        app.action("home_refresh")(self.on_refresh)
        app.action({"type": "block_actions", "action_id": "approve"})(self.on_click)
        for action_id in ("reject", "mode", "who", "more", "day", "radio", "boxes", "many", "side"):
            app.action(action_id)(self.on_click)
        app.shortcut("save_this")(self.on_shortcut)
        app.options("find_agent")(self.on_find_agent)
        app.view("why")(self.on_submit)
        app.view("detail")(self.on_detail)

    async def on_nothing(self) -> None:
        return

    async def on_stopped(self, event: Json) -> None:
        self.stopped.set()

    async def on_message(self, event: Json, client: AsyncWebClient) -> None:
        if event.get("bot_id") or event.get("subtype") not in (None, "file_share"):
            return
        if event.get("channel_type") != "im":
            return
        thread = event.get("thread_ts") or event["ts"]
        text = event.get("text", "")
        channel, user = event["channel"], event["user"]
        if event.get("files"):
            name = event["files"][0]["name"]
            await client.chat_postMessage(channel=channel, thread_ts=thread, text=f"Got {name}")
        elif text.startswith("whisper"):
            await client.chat_postEphemeral(
                channel=channel, user=user, thread_ts=thread, text="Between us"
            )
        else:
            await self._answer(client, channel, thread, user, wait=text.startswith("wait"))

    async def _answer(
        self, client: AsyncWebClient, channel: str, thread: str, user: str, *, wait: bool
    ) -> None:
        await client.agents_sessions_setStatus(
            channel_id=channel, thread_ts=thread, status="processing"
        )
        await client.assistant_threads_setStatus(
            channel_id=channel, thread_ts=thread, status="is thinking…"
        )
        if wait:
            await self.go_on.wait()
        stream = await client.chat_stream(
            buffer_size=1,
            channel=channel,
            thread_ts=thread,
            recipient_user_id=user,
            recipient_team_id="T0VIRTUOUS",
        )
        await stream.append(markdown_text="Hello **there**, ")
        if wait:
            # Slack itself ends the streams when a person clicks Stop.
            await self.stopped.wait()
            await client.chat_postMessage(channel=channel, thread_ts=thread, text="I stopped.")
        else:
            await stream.append(markdown_text=f"<@{user}>.")
            await stream.stop(blocks=[FEEDBACK])
        await client.agents_sessions_setStatus(
            channel_id=channel, thread_ts=thread, status="active"
        )

    async def on_mention(self, event: Json, client: AsyncWebClient) -> None:
        thread = event.get("thread_ts") or event["ts"]
        await client.chat_postMessage(
            channel=event["channel"], thread_ts=thread, text="You called?"
        )

    async def on_home(self, event: Json, client: AsyncWebClient) -> None:
        if event["tab"] == "home":
            await client.views_publish(user_id=event["user"], view=HOME_VIEW)

    async def on_refresh(self, ack: AsyncAck, body: Json, client: AsyncWebClient) -> None:
        await ack()
        blocks = [{"type": "section", "text": mrkdwn("*Fresh* as of now")}]
        view = {"type": "home", "blocks": blocks}
        await client.views_publish(user_id=body["user"]["id"], view=view)

    async def on_echo(self, ack: AsyncAck, command: Json) -> None:
        await ack(f"You said: {command['text']}")

    async def on_why(self, ack: AsyncAck, command: Json, client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=command["trigger_id"], view=WHY_VIEW)

    async def on_rate(self, ack: AsyncAck, body: Json, client: AsyncWebClient) -> None:
        await ack()
        self.clicks.append(body["actions"][0])
        if body["actions"][0]["value"] == "down":
            await client.views_open(trigger_id=body["trigger_id"], view=WHY_VIEW)

    async def on_deeper(self, ack: AsyncAck, body: Json, client: AsyncWebClient) -> None:
        await ack()
        await client.views_push(trigger_id=body["trigger_id"], view=DETAIL_VIEW)

    async def on_click(self, ack: AsyncAck, body: Json, respond: AsyncRespond) -> None:
        await ack()
        self.clicks.append(body["actions"][0])
        if body["actions"][0]["action_id"] == "approve":
            await respond(replace_original=True, text="Approved by hand", blocks=[])

    async def on_shortcut(self, ack: AsyncAck, shortcut: Json, client: AsyncWebClient) -> None:
        await ack()
        await client.chat_postEphemeral(
            channel=shortcut["channel"]["id"],
            user=shortcut["user"]["id"],
            text=f"Saved: {shortcut['message']['text']}",
        )

    async def on_submit(self, ack: AsyncAck, view: Json) -> None:
        values = view["state"]["values"]
        if len(values["reason"]["text"]["value"]) < 5:
            await ack(response_action="errors", errors={"reason": "Say a little more, please"})
            return
        await ack()
        self.submitted.append(values)

    async def on_find_agent(self, ack: AsyncAck, payload: Json) -> None:
        names = [name for name in ("analyst", "writer", "coder") if payload["value"] in name]
        await ack(options=[option(name.title(), name) for name in names])

    async def on_detail(self, ack: AsyncAck, view: Json) -> None:
        self.submitted.append(view["state"]["values"])
        thanks = {"type": "section", "text": mrkdwn("Kept, *thank you*.")}
        done = {"type": "modal", "callback_id": "thanks", "title": plain("Done")}
        await ack(response_action="update", view={**done, "blocks": [thanks]})
