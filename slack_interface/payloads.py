"""What Slack may send, as far as Bolt and our listeners rely on it; anything else ends at the door.

A listener may take for granted what is declared here: what has no default is there, and what is
there has its type. What is not declared is not read. Shapes: docs.slack.dev, reference/events and
reference/interaction-payloads. Ids are opaque to us, so only their length is checked.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints, ValidationError
from slack_bolt.async_app import AsyncBoltRequest

from database.errors import VirtuousError
from slack_interface.incoming import Json

_Id = Annotated[str, StringConstraints(min_length=1, max_length=255)]
_MaybeId = Annotated[str, StringConstraints(max_length=255)] | None
_Text = str | None


class UnreadableError(VirtuousError):
    """A payload without the shape that Slack documents; the message says where, for the log."""


class _Party(BaseModel):
    """A person, channel, workspace or organisation."""

    id: _Id
    name: _Text = None
    team_id: _MaybeId = None
    enterprise_id: _MaybeId = None


class _File(BaseModel):
    id: _Text = None
    name: _Text = None
    title: _Text = None
    mimetype: _Text = None
    size: Annotated[int, Field(ge=0)] | None = None
    url_private: _Text = None
    url_private_download: _Text = None


class _Said(BaseModel):
    """The message inside an edit or a deletion."""

    user: _MaybeId = None
    bot_id: _MaybeId = None
    team: _MaybeId = None
    text: _Text = None
    ts: _Id


class _Event(BaseModel):
    type: _Id


class _New(_Event):
    channel: _Id
    ts: _Id
    channel_type: _MaybeId = None
    subtype: _MaybeId = None
    thread_ts: _MaybeId = None
    team: _MaybeId = None
    user: _MaybeId = None
    bot_id: _MaybeId = None
    text: _Text = None
    files: list[_File] | None = None


class _Changed(_Event):
    channel: _Id
    message: _Said
    previous_message: _Said | None = None


class _Deleted(_Event):
    channel: _Id
    deleted_ts: _MaybeId = None
    previous_message: _Said | None = None


class _Item(BaseModel):
    type: _Text = None
    channel: _MaybeId = None
    ts: _MaybeId = None


class _Reaction(_Event):
    user: _Id
    reaction: _Id
    event_ts: _MaybeId = None
    item: _Item


class _Opened(_Event):
    user: _Id
    channel: _MaybeId = None
    tab: _Text = None


class _Stopped(_Event):
    channel: _Id
    thread_ts: _MaybeId = None
    user: _MaybeId = None


class _Joined(_Event):
    user: _Id
    channel: _Id


class _Tokens(BaseModel):
    oauth: list[str] | None = None
    bot: list[str] | None = None


class _Revoked(_Event):
    tokens: _Tokens | None = None


_EVENTS: Mapping[str, type[_Event]] = {
    "app_mention": _New,
    "message": _New,
    "message/message_changed": _Changed,
    "message/message_deleted": _Deleted,
    "reaction_added": _Reaction,
    "reaction_removed": _Reaction,
    "app_home_opened": _Opened,
    "agent_session_stopped": _Stopped,
    "member_joined_channel": _Joined,
    "app_uninstalled": _Event,
    "tokens_revoked": _Revoked,
}
"""By type, or type and subtype."""


class _Authorization(BaseModel):
    team_id: _MaybeId = None
    enterprise_id: _MaybeId = None
    user_id: _MaybeId = None
    is_enterprise_install: bool | None = None


class _Sent(BaseModel):
    """What every payload may say: which workspace it is for, in each of Slack's ways."""

    team_id: _MaybeId = None
    enterprise_id: _MaybeId = None
    context_team_id: _MaybeId = None
    context_enterprise_id: _MaybeId = None
    api_app_id: _MaybeId = None
    response_url: _Text = None
    is_enterprise_install: bool | None = None
    authorizations: list[_Authorization] | None = None
    team: _Party | _MaybeId = None
    enterprise: _Party | _MaybeId = None


class _EventSent(_Sent):
    event: dict[str, Any]
    is_ext_shared_channel: bool | None = None


class _Command(_Sent):
    command: _Id
    user_id: _Id
    channel_id: _Id
    channel_name: _Text = None
    trigger_id: _MaybeId = None
    text: _Text = None


class _Chosen(BaseModel):
    value: _Text = None


class _Input(BaseModel):
    """One field of a modal, or a menu."""

    value: _Text = None
    selected_option: _Chosen | None = None
    selected_options: list[_Chosen] | None = None


class _Action(_Input):
    action_id: _Id
    action_ts: _MaybeId = None
    url: _Text = None


class _Container(BaseModel):
    channel_id: _MaybeId = None
    thread_ts: _MaybeId = None


class _Pressed(BaseModel):
    """The message that somebody pressed something at."""

    ts: _MaybeId = None
    thread_ts: _MaybeId = None


class _Interaction(_Sent):
    user: _Party


class _State(BaseModel):
    values: dict[str, dict[str, _Input]] | None = None


class _View(BaseModel):
    id: _Id
    type: _Id
    callback_id: str = ""
    team_id: _MaybeId = None
    app_installed_team_id: _MaybeId = None
    private_metadata: _Text = None
    state: _State | None = None


class _Clicked(_Interaction):
    view: _View | None = None
    actions: Annotated[list[_Action], Field(min_length=1)]
    trigger_id: _MaybeId = None
    channel: _Party | None = None
    container: _Container | None = None
    message: _Pressed | None = None


class _MessageShortcut(_Interaction):
    callback_id: str
    trigger_id: _MaybeId = None
    channel: _Party
    message: _Said


class _Shortcut(_Interaction):
    callback_id: str
    trigger_id: _MaybeId = None


class _Submitted(_Interaction):
    view: _View


class _Closed(_Interaction):
    view: _View


class _Suggestion(_Interaction):
    action_id: _Id


class _Verification(_Sent):
    challenge: _Id


_PAYLOADS: Mapping[str, type[_Sent]] = {
    "event_callback": _EventSent,
    "block_actions": _Clicked,
    "block_suggestion": _Suggestion,
    "message_action": _MessageShortcut,
    "shortcut": _Shortcut,
    "view_submission": _Submitted,
    "view_closed": _Closed,
    "url_verification": _Verification,
    "app_rate_limited": _Sent,
}
"""By type; a slash command has none."""


def checked(payload: object) -> Json:
    """What Slack sent, however it came, once it is known that it can be read.

    Raises:
        UnreadableError: it is of another kind, or lacks what that kind has.
    """
    if not isinstance(payload, dict):
        raise UnreadableError("no object")
    kind = payload.get("type")
    model = _PAYLOADS.get(kind) if isinstance(kind, str) else None
    if model is None and "command" not in payload:
        raise UnreadableError("type: of no kind that is known here")
    if not isinstance(payload.get("event", {}), dict):
        raise UnreadableError("event: no object")
    try:
        if "command" in payload:
            _Command.model_validate(payload)
        if model is not None:
            model.model_validate(payload)
        if model is _EventSent:
            _event_model(payload["event"]).model_validate(payload["event"])
    except ValidationError as error:
        raise UnreadableError(_complaint(error)) from None
    return payload


def bolt_request(payload: Json, headers: Mapping[str, str]) -> AsyncBoltRequest:
    """A checked payload as Bolt takes it.

    Raises:
        UnreadableError: Bolt looks for whom and where it is about in places that nobody else reads.
    """
    try:
        return AsyncBoltRequest(mode="socket_mode", body=payload, headers=dict(headers))
    except (TypeError, AttributeError, LookupError, ValueError):
        raise UnreadableError("whom or where it is about cannot be read") from None


def _event_model(event: Json) -> type[_Event]:
    kind, subtype = event.get("type"), event.get("subtype")
    return _EVENTS.get(f"{kind}/{subtype}") or _EVENTS.get(str(kind), _Event)


def _complaint(error: ValidationError) -> str:
    """The first thing that is wrong and where, without what was sent: that may be private."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])[:120]
    return f"{place}: {first['msg']}"
