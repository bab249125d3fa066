"""Commands, buttons, modals, shortcuts and response URLs with a real Bolt app."""

from functools import partial
from typing import Any

import pytest
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from slack_interface.local_workspace import AppConfig, LocalWorkspace
from slack_interface.local_workspace.config import Command
from tests.slack_interface.local_workspace.conftest import Bolt, Script, until

Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


JSON_TYPE = {"Content-Type": "application/json"}
BUTTON = {
    "type": "actions",
    "block_id": "buttons",
    "elements": [
        {"type": "button", "action_id": "go", "text": plain("Go"), "value": "v1"},
        {
            "type": "static_select",
            "action_id": "pick",
            "options": [{"text": plain(t), "value": t} for t in ("a", "b")],
        },
    ],
}
NAME_INPUT = {
    "type": "input",
    "block_id": "name",
    "label": plain("Name"),
    "element": {"type": "plain_text_input", "action_id": "text", "max_length": 5},
}
KIND_INPUT = {
    "type": "input",
    "block_id": "kind",
    "label": plain("Kind"),
    "optional": True,
    "element": {
        "type": "static_select",
        "action_id": "pick",
        "options": [{"text": plain(t), "value": t} for t in ("a", "b")],
    },
}


def modal(**more: Any) -> Json:
    view = {
        "type": "modal",
        "callback_id": "form",
        "title": plain("Form"),
        "submit": plain("Save"),
        "private_metadata": "secret",
        "blocks": [NAME_INPUT, KIND_INPUT],
    }
    return view | more


async def test_a_command_reaches_the_app_and_its_answer_the_person(
    bolt: Bolt, script: Script
) -> None:
    bodies: list[Json] = []

    @bolt.app.command("/metrics")
    async def metrics(ack: AsyncAck, body: Json, respond: AsyncRespond) -> None:
        bodies.append(body)
        await ack("working on it")
        await respond("done", response_type="in_channel")

    answer = await script.post(
        "command", channel="#general", user="ada", command="/metrics", text="me 7"
    )
    assert answer["response"] == {"text": "working on it"}
    [kept] = (await script.get("/_control/ephemeral/ada"))["messages"]
    assert kept["text"] == "working on it"
    [message] = await until(lambda: script.messages("C0GENERAL"))
    assert message["text"] == "done"
    [body] = bodies
    assert (body["command"], body["text"], body["user_id"]) == ("/metrics", "me 7", "U0ADA")
    assert (body["channel_name"], body["is_enterprise_install"]) == ("general", "false")


async def test_commands_are_refused_in_threads_and_when_undeclared(script: Script) -> None:
    root = await script.say("#general", "ada", "hi")
    command = {"channel": "#general", "user": "ada", "command": "/metrics", "text": ""}
    error = await script.refused("command", **command, thread_ts=root["ts"])
    assert error == "cannot_use_in_thread"
    assert await script.refused("command", **command) == "app_did_not_answer"
    app = AppConfig(commands=(Command("/better"),))
    async with LocalWorkspace(pacing=False, app=app) as workspace:
        other = Script(workspace)
        assert await other.refused("command", **command) == "unknown_command"
        commands = (await other.get("/_page/state?user=ada"))["commands"]
        assert [c["command"] for c in commands] == ["/better"]
        await other.http.aclose()


@pytest.mark.parametrize(
    ("escapes", "told"),
    [(True, "about <@U0ADA|ada> in <#C0GENERAL|general>"), (False, "about @ada in #general")],
)
async def test_a_command_gets_ids_when_it_asked_for_them(escapes: bool, told: str) -> None:
    app = AppConfig(commands=(Command("/metrics", should_escape=escapes),))
    async with LocalWorkspace(pacing=False, app=app) as workspace:
        bolt, script = Bolt(workspace), Script(workspace)
        texts: list[str] = []

        @bolt.app.command("/metrics")
        async def metrics(ack: AsyncAck, body: Json) -> None:
            await ack()
            texts.append(body["text"])

        await bolt.connect()
        await until(workspace.runtime.delivery.is_connected)
        command = {"channel": "#general", "user": "grace", "command": "/metrics"}
        await script.post("command", **command, text="about @ada in #general")
        assert texts == [told]
        await bolt.close()
        await script.http.aclose()


async def test_an_app_that_does_not_acknowledge_is_noticed(bolt: Bolt, script: Script) -> None:
    await script.post("faults", clock_rate=100)

    @bolt.app.command("/slow")
    async def slow(ack: AsyncAck) -> None:
        pass

    command = {"channel": "#general", "user": "ada", "command": "/slow", "text": ""}
    assert await script.refused("command", **command) == "app_did_not_answer"
    assert [row["outcome"] for row in await script.deliveries()] == ["timeout"]


async def test_buttons_and_selects_of_a_message(bolt: Bolt, script: Script) -> None:
    bodies: list[Json] = []

    async def acted(ack: AsyncAck, body: Json) -> None:
        await ack()
        bodies.append(body)

    for action_id in ("go", "pick"):
        bolt.app.action(action_id)(acted)
    posted = await bolt.client.chat_postMessage(channel="C0GENERAL", text="x", blocks=[BUTTON])
    where = {"channel": "#general", "message_ts": posted["ts"], "user": "grace"}
    pick = {"type": "static_select", "action_id": "pick", "block_id": "buttons", "value": "b"}
    await script.post("interact", **where, action=pick)
    await script.post("interact", **where, action={"type": "button", "action_id": "go"})
    await until(lambda: len(bodies) == 2)
    picked, clicked = bodies
    assert picked["actions"][0]["selected_option"]["text"]["text"] == "b"
    [action] = clicked["actions"]
    assert (action["value"], action["block_id"], action["type"]) == ("v1", "buttons", "button")
    assert clicked["state"]["values"]["buttons"]["pick"]["selected_option"]["value"] == "b"
    assert clicked["container"] == {
        "type": "message",
        "message_ts": posted["ts"],
        "channel_id": "C0GENERAL",
        "is_ephemeral": False,
    }
    assert clicked["message"]["ts"] == posted["ts"]
    assert clicked["user"]["id"] == "U0GRACE"
    wrong = {"type": "button", "action_id": "gone"}
    assert await script.refused("interact", **where, action=wrong) == "action_not_found"
    pick["value"] = "z"
    assert await script.refused("interact", **where, action=pick) == "option_not_found"


async def test_requests_of_the_wrong_shape_say_so(bolt: Bolt, script: Script) -> None:
    posted = await bolt.client.chat_postMessage(channel="C0GENERAL", text="x", blocks=[BUTTON])
    where = {"channel": "#general", "message_ts": posted["ts"], "user": "ada"}
    action = {"type": "button", "action_id": "go"}
    assert await script.refused("interact", **where, action="go") == "missing_field"
    assert await script.refused("interact", **where, action=action, state=[]) == "missing_field"
    wrong_state = {"values": {"b": 1}}
    error = await script.refused("interact", **where, action=action, state=wrong_state)
    assert error == "invalid_field"
    submit = {"view_id": "V0", "user": "ada", "values": [1]}
    assert await script.refused("submit", **submit) == "missing_field"
    raw = await script.http.post("/_control/reset", content=b"{", headers=JSON_TYPE)
    assert (raw.status_code, raw.json()["error"]) == (400, "invalid_json")


async def test_feedback_buttons_send_the_chosen_value(bolt: Bolt, script: Script) -> None:
    bodies: list[Json] = []

    @bolt.app.action("feedback")
    async def rated(ack: AsyncAck, body: Json) -> None:
        await ack()
        bodies.append(body)

    element = {
        "type": "feedback_buttons",
        "action_id": "feedback",
        "positive_button": {"text": plain("Good"), "value": "good"},
        "negative_button": {"text": plain("Bad"), "value": "bad"},
    }
    blocks = [{"type": "context_actions", "elements": [element]}]
    posted = await bolt.client.chat_postMessage(channel="C0GENERAL", text="x", blocks=blocks)
    where = {"channel": "#general", "message_ts": posted["ts"], "user": "ada"}
    action = {"type": "feedback_buttons", "action_id": "feedback", "value": "bad"}
    await script.post("interact", **where, action=action)
    [body] = await until(lambda: bodies)
    assert (body["actions"][0]["value"], body["actions"][0]["text"]) == ("bad", plain("Bad"))
    action["value"] = "so-so"
    assert await script.refused("interact", **where, action=action) == "option_not_found"


async def test_a_response_url_replaces_deletes_and_wears_out(
    workspace: LocalWorkspace, bolt: Bolt, script: Script
) -> None:
    urls: list[str] = []

    @bolt.app.action("go")
    async def clicked(ack: AsyncAck, body: Json) -> None:
        await ack()
        urls.append(body["response_url"])

    async def click(ts: str) -> AsyncWebhookClient:
        action = {"type": "button", "action_id": "go"}
        where = {"channel": "C0GENERAL", "message_ts": ts, "user": "ada", "action": action}
        before = len(urls)
        await script.post("interact", **where)
        await until(lambda: len(urls) > before)
        return AsyncWebhookClient(urls[-1])

    posted = await bolt.client.chat_postMessage(channel="C0GENERAL", text="x", blocks=[BUTTON])
    hook = await click(posted["ts"])
    assert (await hook.send(text="replaced", replace_original=True)).status_code == 200
    [message] = await script.messages("C0GENERAL")
    assert message["text"] == "replaced"
    assert (await hook.send(text="for you")).status_code == 200
    [kept] = (await script.get("/_control/ephemeral/ada"))["messages"]
    assert kept["text"] == "for you"
    refused = await hook.send(text="x", blocks=[{"type": "nothing"}])
    assert "invalid_blocks" in str(refused.body)
    assert (await hook.send(delete_original=True)).status_code == 200
    assert await script.messages("C0GENERAL") == []
    assert (await hook.send(text="fifth", response_type="in_channel")).status_code == 200
    sixth = await hook.send(text="sixth")
    assert (sixth.status_code, "used_url" in str(sixth.body)) == (404, True)
    posted = await bolt.client.chat_postMessage(channel="C0GENERAL", text="x", blocks=[BUTTON])
    hook = await click(posted["ts"])
    workspace.runtime.clock.advance(1_801)
    late = await hook.send(text="late")
    assert (late.status_code, "expired_url" in str(late.body)) == (404, True)


class Form:
    """A Bolt app that opens a modal on /form and answers its submission as told."""

    def __init__(self, bolt: Bolt) -> None:
        self.answer: Json = {}
        self.view: Json = modal()
        self.opened: list[Json] = []
        self.submitted: list[Json] = []
        self.closed: list[Json] = []
        bolt.app.command("/form")(self._open)
        bolt.app.view("form")(self._submitted)
        bolt.app.view_closed("form")(self._closed)

    async def _open(self, ack: AsyncAck, body: Json, client: AsyncWebClient) -> None:
        await ack()
        answer = await client.views_open(trigger_id=body["trigger_id"], view=self.view)
        self.opened.append(answer["view"])

    async def _submitted(self, ack: AsyncAck, body: Json) -> None:
        self.submitted.append(body)
        await ack(**self.answer)

    async def _closed(self, ack: AsyncAck, body: Json) -> None:
        self.closed.append(body)
        await ack()

    async def open(self, script: Script) -> str:
        """Ada opens the form; the view's id."""
        before = len(self.opened)
        await script.post("command", channel="#general", user="ada", command="/form", text="")
        await until(lambda: len(self.opened) > before)
        return str(self.opened[-1]["id"])


async def test_a_modal_is_filled_in_and_submitted(bolt: Bolt, script: Script) -> None:
    form = Form(bolt)
    view_id = await form.open(script)
    [open_view] = (await script.get("/_control/views/ada"))["modals"]
    assert open_view["id"] == view_id
    missing = await script.post("submit", view_id=view_id, user="ada", values={})
    assert (missing["response_action"], list(missing["errors"])) == ("errors", ["name"])
    too_long = {"name": {"text": {"type": "plain_text_input", "value": "123456"}}}
    refused = await script.post("submit", view_id=view_id, user="ada", values=too_long)
    assert list(refused["errors"]) == ["name"]
    assert form.submitted == []
    values = {"name": {"text": {"value": "Ada"}}, "kind": {"pick": {"value": "b"}}}
    done = await script.post("submit", view_id=view_id, user="ada", values=values)
    assert done == {"ok": True, "response_action": None, "errors": {}}
    [body] = form.submitted
    told = body["view"]["state"]["values"]
    assert told["name"]["text"] == {"type": "plain_text_input", "value": "Ada"}
    assert told["kind"]["pick"]["selected_option"]["value"] == "b"
    assert (body["view"]["private_metadata"], body["view"]["callback_id"]) == ("secret", "form")
    assert (await script.get("/_control/views/ada"))["modals"] == []
    again = await script.refused("submit", view_id=view_id, user="ada", values=values)
    assert again == "view_not_found"


@pytest.mark.parametrize("action", ["errors", "update", "push", "clear"])
async def test_what_an_app_may_answer_to_a_submission(
    bolt: Bolt, script: Script, action: str
) -> None:
    form = Form(bolt)
    form.answer = {"response_action": action}
    if action == "errors":
        form.answer["errors"] = {"name": "Taken"}
    elif action in ("update", "push"):
        form.answer["view"] = modal(callback_id="second", title=plain("Second"))
    view_id = await form.open(script)
    values = {"name": {"text": "Ada"}}
    answer = await script.post("submit", view_id=view_id, user="ada", values=values)
    assert answer["response_action"] == action
    assert answer["errors"] == ({"name": "Taken"} if action == "errors" else {})
    modals = (await script.get("/_control/views/ada"))["modals"]
    titles = [view["title"]["text"] for view in modals]
    expected = {"errors": ["Form"], "update": ["Second"], "push": ["Form", "Second"], "clear": []}
    assert titles == expected[action]


async def test_closing_tells_an_app_that_asked(bolt: Bolt, script: Script) -> None:
    form = Form(bolt)
    first = await form.open(script)
    await script.post("close-view", view_id=first, user="ada")
    form.view = modal(notify_on_close=True)
    second = await form.open(script)
    await script.post("close-view", view_id=second, user="ada")
    assert [body["view"]["id"] for body in form.closed] == [second]
    assert form.closed[0]["is_cleared"] is False


async def test_a_trigger_works_once_and_for_three_seconds(
    workspace: LocalWorkspace, bolt: Bolt, script: Script
) -> None:
    triggers: list[str] = []

    @bolt.app.command("/form")
    async def keep(ack: AsyncAck, body: Json) -> None:
        await ack()
        triggers.append(body["trigger_id"])

    for _ in range(2):
        await script.post("command", channel="#general", user="ada", command="/form", text="")
    await until(lambda: len(triggers) == 2)
    with pytest.raises(SlackApiError) as problem:
        await bolt.client.views_open(trigger_id="1.2.3", view=modal())
    assert problem.value.response["error"] == "invalid_trigger_id"
    with pytest.raises(SlackApiError) as problem:
        await bolt.client.views_open(trigger_id=triggers[0], view=modal(title=plain("x" * 25)))
    assert problem.value.response["error"] == "invalid_arguments"
    view = (await bolt.client.views_open(trigger_id=triggers[0], view=modal()))["view"]
    with pytest.raises(SlackApiError) as problem:
        await bolt.client.views_open(trigger_id=triggers[0], view=modal())
    assert problem.value.response["error"] == "exchanged_trigger_id"
    await bolt.client.views_update(view_id=view["id"], hash=view["hash"], view=modal())
    with pytest.raises(SlackApiError) as problem:
        await bolt.client.views_update(view_id=view["id"], hash=view["hash"], view=modal())
    assert problem.value.response["error"] == "hash_conflict"
    workspace.runtime.clock.advance(4)
    with pytest.raises(SlackApiError) as problem:
        await bolt.client.views_open(trigger_id=triggers[1], view=modal())
    assert problem.value.response["error"] == "expired_trigger_id"


def longer_than(items: list[Any], length: int) -> bool:
    return len(items) > length


async def test_views_are_pushed_from_inside_a_modal_up_to_three(bolt: Bolt, script: Script) -> None:
    form = Form(bolt)
    form.view = modal(blocks=[BUTTON])
    pushed: list[Any] = []

    @bolt.app.action("go")
    async def push(ack: AsyncAck, body: Json, client: AsyncWebClient) -> None:
        await ack()
        try:
            view = modal(blocks=[BUTTON])
            answer = await client.views_push(trigger_id=body["trigger_id"], view=view)
            pushed.append(answer["view"]["id"])
        except SlackApiError as problem:
            pushed.append(problem.response["error"])

    view_id = await form.open(script)
    for done in range(3):
        action = {"type": "button", "action_id": "go"}
        await script.post("interact", view_id=view_id, user="ada", action=action)
        await until(partial(longer_than, pushed, done))
        view_id = pushed[-1] if pushed[-1].startswith("V") else view_id
    assert pushed[2] == "push_limit_reached"
    stack = (await script.get("/_control/views/ada"))["modals"]
    assert [view["id"] for view in stack][1:] == pushed[:2]
    assert stack[2]["previous_view_id"] == stack[1]["id"]


async def test_the_home_tab_has_buttons_too(bolt: Bolt, script: Script) -> None:
    bodies: list[Json] = []

    @bolt.app.action("go")
    async def clicked(ack: AsyncAck, body: Json) -> None:
        await ack()
        bodies.append(body)

    home = {"type": "home", "blocks": [BUTTON]}
    view = (await bolt.client.views_publish(user_id="U0ADA", view=home))["view"]
    action = {"type": "button", "action_id": "go"}
    await script.post("interact", view_id=view["id"], user="ada", action=action)
    [body] = await until(lambda: bodies)
    assert body["view"]["type"] == "home"
    assert body["container"] == {"type": "view", "view_id": view["id"]}
    with pytest.raises(SlackApiError) as problem:
        await bolt.client.views_publish(user_id="U0ADA", view=home, hash="old")
    assert problem.value.response["error"] == "hash_conflict"


async def test_shortcuts_and_external_selects(bolt: Bolt, script: Script) -> None:
    bodies: list[Json] = []

    async def used(ack: AsyncAck, body: Json) -> None:
        await ack()
        bodies.append(body)

    bolt.app.shortcut("improve")(used)

    @bolt.app.options("search")
    async def offer(ack: AsyncAck, body: Json) -> None:
        text = body["value"]
        await ack(options=[{"text": plain(text.upper()), "value": text}])

    sent = await script.say("#general", "ada", "hi")
    where = {"user": "ada", "callback_id": "improve"}
    await script.post("shortcut", **where, channel="#general", message_ts=sent["ts"])
    await script.post("shortcut", **where)
    await until(lambda: len(bodies) == 2)
    assert [body["type"] for body in bodies] == ["message_action", "shortcut"]
    assert bodies[0]["message"]["text"] == "hi"
    assert bodies[0]["response_url"]
    asked = {"user": "ada", "action_id": "search", "block_id": "b", "value": "ab"}
    response = await script.http.post("/_page/options", json=asked)
    assert response.json()["options"] == [{"text": plain("AB"), "value": "ab"}]


async def test_ephemeral_messages_have_working_buttons(bolt: Bolt, script: Script) -> None:
    @bolt.app.action("go")
    async def clicked(ack: AsyncAck, respond: AsyncRespond) -> None:
        await ack()
        await respond(text="replaced", replace_original=True)

    posted = await bolt.client.chat_postEphemeral(
        channel="C0GENERAL", user="U0ADA", text="x", blocks=[BUTTON]
    )
    ts, action = posted["message_ts"], {"type": "button", "action_id": "go"}
    where = {"channel": "C0GENERAL", "message_ts": ts, "action": action}
    assert await script.refused("interact", **where, user="alan") == "message_not_found"
    await script.post("interact", **where, user="ada")

    async def is_replaced() -> bool:
        kept = (await script.get("/_control/ephemeral/ada"))["messages"]
        return [message["text"] for message in kept] == ["replaced"]

    await until(is_replaced)
