"""Commands, buttons, selects, shortcuts and the Home tab: from a person's act to the app."""

from dataclasses import replace
from typing import Any

from slack_interface.local_workspace import actions, mentions, payloads, people, posting
from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.config import BOT_USER_ID, Command, Json
from slack_interface.local_workspace.delivery import Parcel, Reply, UndeliveredError
from slack_interface.local_workspace.errors import ControlError, SlackError
from slack_interface.local_workspace.runtime import Runtime

NO_ANSWER = {
    "no_connection": "No app is connected to this workspace yet, so nobody heard that.",
    "timeout": "The app took longer than three seconds to answer.",
    "dropped": "The app took longer than three seconds to answer.",
    "http_error": "The app answered with an error.",
    "connection_failed": "The app cannot be reached.",
}


async def to_app(runtime: Runtime, parcel: Parcel, user_id: str) -> Reply:
    """Send an interaction while the person waits; a failure is shown to them as a notice.

    Raises ControlError `app_not_installed`, `app_did_not_answer`.
    """
    if runtime.installation is None:
        raise ControlError("app_not_installed", "The app is not installed here.", 409)
    try:
        return await runtime.delivery.send_interaction(replace(parcel, team=runtime.team.id))
    except UndeliveredError as problem:
        text = NO_ANSWER[problem.outcome]
        runtime.live.tell(user_id, {"type": "notice", "text": text})
        raise ControlError("app_did_not_answer", text, 504) from None


def response_url(runtime: Runtime, channel: Channel, user_id: str, **where: Any) -> str:
    """A fresh response URL for an act in a channel."""
    key = runtime.triggers.issue_url(channel.id, user_id, **where)
    return f"{runtime.base_url}/response/{key}"


async def run_command(
    runtime: Runtime, channel: Channel, user_id: str, name: str, text: str, thread_ts: str | None
) -> Json:
    """A person enters a slash command; what the app says at once is shown to them.

    Raises ControlError `cannot_use_in_thread`, `unknown_command`, `app_did_not_answer`.
    """
    command = "/" + name.strip().lstrip("/")
    if thread_ts:
        raise ControlError(
            "cannot_use_in_thread", f"{command} cannot be used in a thread; mention the app there."
        )
    declared = _declared(runtime, command)
    if declared is not None and declared.should_escape:
        text = mentions.encode(runtime.workspace, text, labelled=True)
    installation = runtime.installation
    payload = payloads.command(
        runtime.secrets.verification_token,
        runtime.team,
        channel,
        runtime.workspace.users[user_id],
        is_enterprise_install=installation is not None and installation.is_enterprise_install,
        command=command,
        text=text,
        response_url=response_url(runtime, channel, user_id),
        trigger_id=runtime.triggers.issue_trigger(user_id),
    )
    parcel = Parcel("slash_commands", command, payload, accepts_response=True)
    reply = await to_app(runtime, parcel, user_id)
    _show_command_reply(runtime, channel, user_id, reply.payload)
    return {"ok": True, "response": reply.payload}


def _declared(runtime: Runtime, command: str) -> Command | None:
    known = runtime.config.app.commands
    if known is None:
        return None
    found = next((declared for declared in known if declared.command == command), None)
    if found is None:
        raise ControlError("unknown_command", f"{command} is not a command of any app here.", 404)
    if "commands" not in runtime.scopes:
        raise ControlError("unknown_command", "The app lacks the `commands` scope.", 404)
    return found


def _show_command_reply(
    runtime: Runtime, channel: Channel, user_id: str, reply: Json | None
) -> None:
    if not reply or not (reply.get("text") or reply.get("blocks")):
        return
    try:
        if reply.get("response_type") == "in_channel":
            posting.post(runtime, channel, reply)
            return
        body = posting.content(reply)
    except SlackError as problem:
        text = f"The app's answer was refused: {problem.code}."
        runtime.live.tell(user_id, {"type": "notice", "text": text})
        return
    posting.post_ephemeral(runtime, channel, user_id, {}, body)


async def act_on_message(
    runtime: Runtime, channel: Channel, user_id: str, ts: str, action: Json, state: Json
) -> Json:
    """A person uses an element of a message (or of an ephemeral one).

    Raises ControlError `message_not_found`, `action_not_found`, `app_did_not_answer`.
    """
    workspace = runtime.workspace
    ephemeral = workspace.ephemeral(user_id, ts)
    message = ephemeral or people.any_message(channel, ts)
    block, element = actions.find(_blocks(message), action)
    told = actions.payload(block, element, action, workspace.next_ts())
    values = _remember(runtime, (channel.id, ts, user_id), told, state)
    where = {"message_ts": ts, "is_ephemeral": ephemeral is not None}
    container: Json = {"type": "message", "channel_id": channel.id, **where}
    if message.get("thread_ts"):
        container["thread_ts"] = message["thread_ts"]
    url = response_url(runtime, channel, user_id, thread_ts=message.get("thread_ts"), **where)
    payload = runtime.interaction(
        "block_actions",
        user_id,
        container=container,
        trigger_id=runtime.triggers.issue_trigger(user_id),
        channel=payloads.channel_stub(channel),
        state={"values": values},
        response_url=url,
        actions=[told],
    )
    if ephemeral is None:
        payload["message"] = workspace.api_message(channel, message)
    await to_app(runtime, Parcel("interactive", "block_actions", payload), user_id)
    return {"ok": True}


def _blocks(message: Json) -> list[Json]:
    found: list[Json] = list(message.get("blocks", ()))
    for attachment in message.get("attachments", ()):
        found += attachment.get("blocks", ())
    return found


def _remember(runtime: Runtime, key: tuple[str, str, str], told: Json, state: Json) -> Json:
    values: Json = runtime.workspace.selections.setdefault(key, {})
    _merge_state(values, state)
    if told["type"] in actions.CHOSEN or told["type"] == "plain_text_input":
        kept = {k: v for k, v in told.items() if k not in ("action_id", "block_id", "action_ts")}
        values.setdefault(told["block_id"], {})[told["action_id"]] = kept
    return values


async def act_in_view(
    runtime: Runtime, user_id: str, view: Json, action: Json, state: Json
) -> Json:
    """A person uses an element of a modal or of their Home tab."""
    workspace = runtime.workspace
    block, element = actions.find(view["blocks"], action)
    told = actions.payload(block, element, action, workspace.next_ts())
    values = view["state"]["values"]
    _merge_state(values, state)
    if told["type"] in actions.CHOSEN or told["type"] == "plain_text_input":
        kept = actions.state_value(element, action)
        values.setdefault(told["block_id"], {})[told["action_id"]] = kept
    inside = view["id"] if view["type"] == "modal" else None
    payload = runtime.interaction(
        "block_actions",
        user_id,
        container={"type": "view", "view_id": view["id"]},
        trigger_id=runtime.triggers.issue_trigger(user_id, inside),
        view=view,
        actions=[told],
    )
    await to_app(runtime, Parcel("interactive", "block_actions", payload), user_id)
    return {"ok": True}


def _merge_state(values: Json, state: Json) -> None:
    """Take over what the page says of inputs: {"values": {block_id: {action_id: ...}}}."""
    given = state.get("values") or {}
    if not isinstance(given, dict) or not all(isinstance(v, dict) for v in given.values()):
        raise ControlError("invalid_field", "state is {values: {block_id: {action_id: state}}}.")
    for block_id, inputs in given.items():
        values.setdefault(block_id, {}).update(inputs)


async def use_shortcut(
    runtime: Runtime, user_id: str, callback_id: str, channel: Channel | None, ts: str | None
) -> Json:
    """A person picks a shortcut: of a message when a channel and ts are given, else a global one.

    Raises ControlError `unknown_shortcut`, `message_not_found`, `app_did_not_answer`.
    """
    kind = "message" if channel is not None and ts else "global"
    declared = runtime.config.app.shortcuts
    known = [s["callback_id"] for s in declared if s.get("type") == kind]
    if declared and callback_id not in known:
        raise ControlError("unknown_shortcut", f"No {kind} shortcut {callback_id!r}.", 404)
    more: Json = {
        "callback_id": callback_id,
        "trigger_id": runtime.triggers.issue_trigger(user_id),
        "action_ts": runtime.workspace.next_ts(),
    }
    name = "shortcut"
    if channel is not None and ts:
        name = "message_action"
        message = people.any_message(channel, ts)
        thread_ts = message.get("thread_ts")
        more |= {
            "message_ts": ts,
            "channel": payloads.channel_stub(channel),
            "message": runtime.workspace.api_message(channel, message),
            "response_url": response_url(runtime, channel, user_id, thread_ts=thread_ts),
        }
    payload = runtime.interaction(name, user_id, **more)
    await to_app(runtime, Parcel("interactive", name, payload), user_id)
    return {"ok": True}


async def ask_options(
    runtime: Runtime,
    user_id: str,
    view: Json | None,
    place: tuple[Channel, str] | None,
    asked: Json,
) -> Json:
    """What the app offers for an external select while a person types (block_suggestion)."""
    more: Json = {
        "action_id": asked.get("action_id"),
        "block_id": asked.get("block_id"),
        "value": asked.get("value") or "",
    }
    if view is not None:
        more |= {"container": {"type": "view", "view_id": view["id"]}, "view": view}
    elif place is not None:
        channel, ts = place
        message = people.any_message(channel, ts)
        more |= {
            "container": {"type": "message", "message_ts": ts, "channel_id": channel.id},
            "channel": payloads.channel_stub(channel),
            "message": message,
        }
    payload = runtime.interaction("block_suggestion", user_id, **more)
    parcel = Parcel("interactive", "block_suggestion", payload, accepts_response=True)
    reply = (await to_app(runtime, parcel, user_id)).payload or {}
    return {"options": reply.get("options", []), "option_groups": reply.get("option_groups", [])}


def open_home(runtime: Runtime, user_id: str, tab: str) -> None:
    """A person looks at the app's Home or Messages tab.

    Raises ControlError `invalid_tab`.
    """
    if tab not in ("home", "messages"):
        raise ControlError("invalid_tab", f"tab is home or messages, not {tab!r}.")
    workspace = runtime.workspace
    channel = workspace.direct_message(user_id)
    view = workspace.homes.get(user_id)
    event = payloads.home_opened_event(user_id, channel, tab, view, workspace.next_ts())
    runtime.emit("app_home_opened", event)


def look_at(runtime: Runtime, user_id: str, channel: Channel | None) -> None:
    """A person moves to another channel while the app is visible (app_context_changed)."""
    workspace = runtime.workspace
    entities = [payloads.channel_entity(channel, runtime.team)] if channel is not None else []
    im = workspace.direct_message(user_id)
    event = payloads.context_event(user_id, im, entities, workspace.next_ts())
    runtime.emit("app_context_changed", event)


def answer_url(runtime: Runtime, key: str, body: Json) -> None:
    """An app posts to a response URL.

    Raises SlackError `used_url`, `expired_url`, and what posting raises.
    """
    url = runtime.triggers.use_url(key)
    channel = runtime.workspace.channels[url.channel]
    if body.get("delete_original"):
        _delete_original(runtime, channel, url.user, url.message_ts, url.is_ephemeral)
        return
    if body.get("replace_original") and url.message_ts:
        _replace_original(runtime, channel, url.user, url.message_ts, url.is_ephemeral, body)
        return
    in_thread = body.get("thread_ts") or (url.thread_ts if url.message_ts else None)
    args = {**body, "thread_ts": in_thread}
    if body.get("response_type") == "in_channel":
        posting.post(runtime, channel, args)
        return
    posting.post_ephemeral(runtime, channel, url.user, args, posting.content(body))


def _delete_original(
    runtime: Runtime, channel: Channel, user_id: str, ts: str | None, is_ephemeral: bool
) -> None:
    if ts is None:
        raise SlackError("message_not_found", status=404)
    if is_ephemeral:
        runtime.workspace.remove_ephemeral(user_id, ts)
    else:
        posting.remove(runtime, channel, ts)


def _replace_original(
    runtime: Runtime, channel: Channel, user_id: str, ts: str, is_ephemeral: bool, body: Json
) -> None:
    content = posting.content(body)
    if is_ephemeral:
        old = runtime.workspace.ephemeral(user_id, ts)
        runtime.workspace.remove_ephemeral(user_id, ts)
        args = {"thread_ts": old.get("thread_ts")} if old else {}
        posting.post_ephemeral(runtime, channel, user_id, args, content)
        return
    message = channel.messages.get(ts)
    if message is None or message.get("user") != BOT_USER_ID:
        raise SlackError("message_not_found", status=404)
    posting.edit(runtime, channel, message, content)
