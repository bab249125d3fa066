"""agents.sessions.*, and the older assistant.threads.* that Bolt's set_status still calls."""

from slack_interface.local_workspace import posting, rules
from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.config import Json
from slack_interface.local_workspace.errors import SlackError
from slack_interface.local_workspace.sessions import can_stop, set_session, show_session
from slack_interface.local_workspace.web_api.registry import Call, method

NO_STOP = "missing_agent_session_stopped_event_subscription"


@method("agents.sessions.setStatus", scope="chat:write", tier=3)
def set_session_status(call: Call) -> Json:
    """Create a thread's session or move it on; `processing` shows the Stop button."""
    channel = call.member_channel("channel_id")
    root_ts = call.required("thread_ts")
    session = set_session(
        call.runtime, channel, root_ts, call.required("status"), call.text("title")
    )
    answer: Json = {
        "status": session["status"],
        "agent_status": session["status"],
        "title": session["title"] or "",
    }
    if session["status"] == "processing" and not can_stop(call.runtime):
        answer |= {"warning": NO_STOP, "response_metadata": {"warnings": [NO_STOP]}}
    return answer


@method("agents.sessions.rename", scope="chat:write", tier=3)
def rename_session(call: Call) -> Json:
    """Change a session's title."""
    channel, root_ts = call.member_channel("channel_id"), call.required("thread_ts")
    title = call.required("title")
    if len(title) > rules.TITLE_CHARS:
        raise SlackError("invalid_arguments", messages=["[ERROR] title is too long"])
    session = call.workspace.sessions.get((channel.id, root_ts))
    if session is None:
        raise SlackError("session_not_found")
    session["title"] = title
    show_session(call.runtime, channel, root_ts)
    return {"title": title}


@method("assistant.threads.setStatus", tier=4)
def set_thread_status(call: Call) -> Json:
    """Show what the app is doing below a thread; empty clears it, two minutes end it."""
    channel, root_ts = _thread(call)
    status = str(call.args.get("status") or "")
    loading = call.json("loading_messages") or []
    if not isinstance(loading, list) or len(loading) > rules.LOADING_MESSAGES:
        raise SlackError("invalid_arguments", messages=["[ERROR] no more than 10 items allowed"])
    expires = call.runtime.clock.now() + call.runtime.config.limits.status_s
    key = (channel.id, root_ts)
    if status:
        shown = {"status": status, "loading_messages": loading, "expires": expires}
        call.workspace.statuses[key] = shown
    else:
        call.workspace.statuses.pop(key, None)
    posting.show_status(call.runtime, channel, root_ts, status, loading)
    return {}


@method("assistant.threads.setTitle", tier=3)
def set_thread_title(call: Call) -> Json:
    """Name a thread."""
    channel, root_ts = _thread(call)
    title = call.required("title")
    session = call.workspace.sessions.setdefault(
        (channel.id, root_ts), {"status": "active", "title": None}
    )
    session["title"] = title[: rules.TITLE_CHARS]
    show_session(call.runtime, channel, root_ts)
    return {}


@method("assistant.threads.setSuggestedPrompts", tier=3)
def set_suggested_prompts(call: Call) -> Json:
    """Offer up to four prompts at the top of the conversation."""
    _need_assistant_scope(call)
    channel = call.member_channel("channel_id")
    if channel.kind != "im":
        raise SlackError("channel_type_not_supported")
    prompts = rules.check_prompts(call.json("prompts"))
    kept = {"title": call.text("title"), "prompts": prompts}
    call.workspace.prompts[channel.id] = kept
    call.workspace.on_change()
    call.workspace.publish({"type": "prompts", "channel": channel.id, **kept}, channel.members)
    return {}


def _thread(call: Call) -> tuple[Channel, str]:
    _need_assistant_scope(call)
    channel, root_ts = call.member_channel("channel_id"), call.required("thread_ts")
    if root_ts not in channel.messages:
        raise SlackError("thread_not_found")
    return channel, root_ts


def _need_assistant_scope(call: Call) -> None:
    """Slack takes either scope since agents post in channels too."""
    if "chat:write" not in call.scopes:
        call.need_scope("assistant:write")
