"""views.open, push, update, publish."""

from slack_interface.local_workspace import modals
from slack_interface.local_workspace.config import Json
from slack_interface.local_workspace.errors import SlackError
from slack_interface.local_workspace.rules import check_view
from slack_interface.local_workspace.web_api.registry import Call, method


@method("views.open", tier=4)
def open_view(call: Call) -> Json:
    """Open a modal for the person whose act gave the trigger."""
    view = call.json("view")
    check_view(view, "modal")
    trigger = call.runtime.triggers.use_trigger(call.required("trigger_id"))
    return {"view": modals.open_modal(call.workspace, trigger.user, view)}


@method("views.push", tier=4)
def push_view(call: Call) -> Json:
    """Put a view on top of the modal the trigger came from."""
    view = call.json("view")
    check_view(view, "modal")
    trigger = call.runtime.triggers.use_trigger(call.required("trigger_id"))
    return {"view": modals.push_from(call.workspace, trigger, view)}


@method("views.update", tier=4)
def update_view(call: Call) -> Json:
    """Replace an open view, unless it changed since the caller saw it."""
    current = modals.find_view(call.workspace, call.text("view_id"), call.text("external_id"))
    view_hash = call.text("hash")
    if view_hash and view_hash != current["hash"]:
        raise SlackError("hash_conflict")
    return {"view": modals.update_modal(call.workspace, current, call.json("view"))}


@method("views.publish", tier=4)
def publish_view(call: Call) -> Json:
    """Set a person's Home tab."""
    user = call.person("user_id")
    view = call.json("view")
    return {"view": modals.publish_home(call.workspace, user, view, call.text("hash"))}
