"""Agent sessions: the status of a thread the app works in, and the person's Stop button."""

from slack_interface.local_workspace import payloads, rules
from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.config import Json
from slack_interface.local_workspace.errors import ControlError, SlackError
from slack_interface.local_workspace.runtime import Runtime

STATES = ("active", "processing", "suspended", "closed")


def set_session(
    runtime: Runtime, channel: Channel, root_ts: str, status: str, title: str | None = None
) -> Json:
    """Create a session or change its status; a title counts only at creation.

    Raises SlackError `invalid_arguments`, `thread_not_found`.
    """
    if status not in STATES:
        raise SlackError("invalid_arguments", messages=["[ERROR] must be a valid enum value"])
    if title is not None and len(title) > rules.TITLE_CHARS:
        raise SlackError("invalid_arguments", messages=["[ERROR] title is too long"])
    if root_ts not in channel.messages:
        raise SlackError("thread_not_found")
    sessions = runtime.workspace.sessions
    session = sessions.setdefault((channel.id, root_ts), {"status": status, "title": title})
    session["status"] = status
    show_session(runtime, channel, root_ts)
    return session


def show_session(runtime: Runtime, channel: Channel, root_ts: str) -> None:
    """Draw a session's state on the open pages."""
    runtime.workspace.on_change()
    session = runtime.workspace.sessions[channel.id, root_ts]
    event = {"type": "session", "channel": channel.id, "thread_ts": root_ts, **session}
    runtime.workspace.publish(event, runtime.workspace.viewers(channel))


def can_stop(runtime: Runtime) -> bool:
    """Slack shows the Stop button only to apps that subscribed to its event."""
    return "agent_session_stopped" in runtime.config.app.events


def stop(runtime: Runtime, channel: Channel, root_ts: str, user_id: str) -> list[str]:
    """A person clicks Stop: Slack ends the streams of the thread and tells the app.

    Returns the timestamps of the streams that were stopped. The session's status stays: moving
    it on is the app's work. Raises ControlError `not_processing`, `stop_unavailable`.
    """
    workspace = runtime.workspace
    session = workspace.sessions.get((channel.id, root_ts))
    if session is None or session["status"] != "processing":
        raise ControlError("not_processing", "The app is not working in this thread.", 409)
    if not can_stop(runtime):
        raise ControlError(
            "stop_unavailable", "The app did not subscribe to agent_session_stopped.", 409
        )
    stopped = []
    for (channel_id, ts), stream in list(workspace.streams.items()):
        message = channel.messages.get(ts)
        if channel_id == channel.id and message and message.get("thread_ts") == root_ts:
            workspace.streams.pop((channel_id, ts))
            workspace.stopped_streams.add((channel_id, ts))
            message["text"] = stream.text()
            message["blocks"] = rules.name_blocks(stream.rendered())
            workspace.changed_message(channel, message)
            stopped.append(ts)
    event = payloads.stopped_event(channel.id, root_ts, user_id, stopped, workspace.next_ts())
    runtime.emit("agent_session_stopped", event)
    return stopped
