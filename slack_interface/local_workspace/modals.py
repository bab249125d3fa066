"""Modal views of people (a stack of up to three) and their Home tabs."""

import secrets
from typing import Any

from slack_interface.local_workspace import rules
from slack_interface.local_workspace.config import APP_ID, BOT_ID, Json
from slack_interface.local_workspace.errors import SlackError
from slack_interface.local_workspace.state import Workspace
from slack_interface.local_workspace.triggers import Trigger

STACK = 3
VIEW_BYTES = 250_000


def open_modal(workspace: Workspace, user: str, view: Any) -> Json:
    """A new first view for a person; what was open before is gone.

    Raises SlackError `invalid_arguments`, `duplicate_external_id`.
    """
    built = _build(workspace, rules.check_view(view, "modal"))
    for old in workspace.modals.pop(user, []):
        workspace.views.pop(old, None)
    built["root_view_id"] = built["id"]
    built["previous_view_id"] = None
    return _place(workspace, user, built, "view_opened")


def push_modal(workspace: Workspace, user: str, view: Any) -> Json:
    """A view on top of a person's modal.

    Raises SlackError `not_found`, `push_limit_reached`, `invalid_arguments`.
    """
    stack = workspace.modals.get(user)
    if not stack:
        raise SlackError("not_found")
    if len(stack) >= STACK:
        raise SlackError("push_limit_reached")
    built = _build(workspace, rules.check_view(view, "modal"))
    built["root_view_id"] = stack[0]
    built["previous_view_id"] = stack[-1]
    return _place(workspace, user, built, "view_pushed")


def push_from(workspace: Workspace, trigger: Trigger, view: Any) -> Json:
    """views.push: only from an act inside a modal.

    Raises SlackError `not_found` and what `push_modal` raises.
    """
    if trigger.view_id is None or trigger.view_id not in workspace.views:
        raise SlackError("not_found")
    return push_modal(workspace, trigger.user, view)


def update_modal(workspace: Workspace, current: Json, view: Any) -> Json:
    """Replace an open view; it keeps its id and place, and what was typed stays.

    Raises SlackError `invalid_arguments`, `duplicate_external_id`.
    """
    checked = rules.check_view(view, "modal")
    kept = {key: current[key] for key in ("id", "root_view_id", "previous_view_id", "state")}
    built = {**_build(workspace, checked, current), **kept}
    workspace.views[built["id"]] = built
    user = owner(workspace, built["id"])
    workspace.publish(
        {"type": "view_updated", "view": built, "root_view_id": built["root_view_id"]}, (user,)
    )
    return built


def publish_home(workspace: Workspace, user: str, view: Any, view_hash: str | None) -> Json:
    """A person's Home tab.

    Raises SlackError `hash_conflict`, `invalid_arguments`.
    """
    current = workspace.homes.get(user)
    if view_hash and current is not None and current["hash"] != view_hash:
        raise SlackError("hash_conflict")
    built = _build(workspace, rules.check_view(view, "home"))
    built["id"] = current["id"] if current else built["id"]
    built |= {"root_view_id": built["id"], "previous_view_id": None}
    workspace.homes[user] = built
    workspace.on_change()
    workspace.publish({"type": "home", "view": built}, (user,))
    return built


def close_modal(workspace: Workspace, user: str, *, whole: bool = False) -> list[Json]:
    """Take the top view away, or the whole stack; returns the closed views, top first."""
    stack = workspace.modals.get(user, [])
    closed = []
    while stack:
        closed.append(workspace.views.pop(stack.pop()))
        if not whole:
            break
    if not stack:
        workspace.modals.pop(user, None)
    for view in closed:
        event = {"type": "view_closed", "view": view, "root_view_id": view["root_view_id"]}
        workspace.publish(event, (user,))
    return closed


def find_view(workspace: Workspace, view_id: str | None, external_id: str | None) -> Json:
    """An open modal view by either id.

    Raises SlackError `not_found`.
    """
    if view_id:
        view = workspace.views.get(view_id)
    else:
        matches = (v for v in workspace.views.values() if v["external_id"] == external_id)
        view = next(matches, None) if external_id else None
    if view is None:
        raise SlackError("not_found")
    return view


def owner(workspace: Workspace, view_id: str) -> str:
    """Whose modal an open view belongs to."""
    return next(user for user, stack in workspace.modals.items() if view_id in stack)


def _place(workspace: Workspace, user: str, view: Json, event: str) -> Json:
    workspace.views[view["id"]] = view
    workspace.modals.setdefault(user, []).append(view["id"])
    workspace.publish({"type": event, "view": view, "root_view_id": view["root_view_id"]}, (user,))
    return view


def _build(workspace: Workspace, view: Json, current: Json | None = None) -> Json:
    external_id = view.get("external_id") or ""
    for other in workspace.views.values():
        if external_id and other["external_id"] == external_id and other is not current:
            raise SlackError("duplicate_external_id")
    if len(str(view)) > VIEW_BYTES:
        raise SlackError("view_too_large")
    return {
        "id": workspace.next_id("V"),
        "team_id": workspace.team.id,
        "type": view["type"],
        "blocks": view["blocks"],
        "private_metadata": view.get("private_metadata") or "",
        "callback_id": view.get("callback_id") or "",
        "state": {"values": {}},
        "hash": f"{workspace.next_ts()}.{secrets.token_hex(4)}",
        "title": view.get("title"),
        "clear_on_close": bool(view.get("clear_on_close")),
        "notify_on_close": bool(view.get("notify_on_close")),
        "close": view.get("close"),
        "submit": view.get("submit"),
        "external_id": external_id,
        "app_id": APP_ID,
        "app_installed_team_id": workspace.installed_on,
        "bot_id": BOT_ID,
    }
