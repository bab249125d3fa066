"""Submitting and closing modals."""

from typing import Any

from slack_interface.local_workspace import actions, modals
from slack_interface.local_workspace.config import Json
from slack_interface.local_workspace.delivery import Parcel
from slack_interface.local_workspace.errors import ControlError, SlackError
from slack_interface.local_workspace.interactions import to_app
from slack_interface.local_workspace.runtime import Runtime

REQUIRED = "Please complete this required field."


def open_view(runtime: Runtime, user_id: str, view_id: str) -> Json:
    """An open modal of a person.

    Raises ControlError `view_not_found`.
    """
    if view_id not in runtime.workspace.modals.get(user_id, ()):
        raise ControlError("view_not_found", f"{user_id} has no open view {view_id}.", 404)
    return runtime.workspace.views[view_id]


async def submit(runtime: Runtime, user_id: str, view_id: str, values: Json) -> Json:
    """A person submits a modal; inputs left out keep what they had.

    Returns {"ok", "response_action": None|"errors"|"update"|"push"|"clear", "errors"}. Required
    and too short or long inputs are refused here, as Slack's own client does. Raises
    ControlError `view_not_found`, `app_did_not_answer`.
    """
    view = open_view(runtime, user_id, view_id)
    state = _state(view, values)
    errors = _client_errors(view, state)
    if errors:
        return _errors(runtime, user_id, view_id, errors)
    view["state"] = {"values": state}
    payload = runtime.interaction(
        "view_submission",
        user_id,
        trigger_id=runtime.triggers.issue_trigger(user_id, view_id),
        view=view,
        response_urls=[],
    )
    parcel = Parcel("interactive", "view_submission", payload, accepts_response=True)
    reply = (await to_app(runtime, parcel, user_id)).payload or {}
    return _follow(runtime, user_id, view, reply)


async def close(runtime: Runtime, user_id: str, view_id: str, *, cleared: bool = False) -> Json:
    """A person closes a modal; the app hears of it when it asked to (notify_on_close)."""
    view = open_view(runtime, user_id, view_id)
    whole = cleared or view["clear_on_close"]
    while runtime.workspace.modals[user_id][-1] != view_id:
        modals.close_modal(runtime.workspace, user_id)
    for closed in modals.close_modal(runtime.workspace, user_id, whole=whole):
        if closed["notify_on_close"]:
            await _tell_closed(runtime, user_id, closed, whole)
    return {"ok": True}


async def _tell_closed(runtime: Runtime, user_id: str, view: Json, cleared: bool) -> None:
    payload = runtime.interaction("view_closed", user_id, view=view, is_cleared=cleared)
    await to_app(runtime, Parcel("interactive", "view_closed", payload), user_id)


def _state(view: Json, values: Json) -> Json:
    state: Json = {}
    for block, element in actions.elements(view["blocks"]):
        if element["type"] in ("button", "image", "overflow"):
            continue
        block_id, action_id = block["block_id"], element["action_id"]
        given = _given(values, block_id, action_id)
        before = view["state"]["values"].get(block_id, {}).get(action_id)
        if given is not None:
            told = actions.state_value(element, given)
        else:
            told = before or actions.initial_value(element)
        state.setdefault(block_id, {})[action_id] = told
    return state


def _given(values: Json, block_id: str, action_id: str) -> Any:
    inputs = values.get(block_id)
    return inputs.get(action_id) if isinstance(inputs, dict) else None


def _client_errors(view: Json, state: Json) -> Json:
    errors: Json = {}
    for block in view["blocks"]:
        if block["type"] != "input":
            continue
        told = state[block["block_id"]][block["element"]["action_id"]]
        if actions.is_empty(told):
            if not block.get("optional"):
                errors[block["block_id"]] = REQUIRED
            continue
        problem = _length_problem(block["element"], told.get("value"))
        if problem:
            errors[block["block_id"]] = problem
    return errors


def _length_problem(element: Json, value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    least, most = element.get("min_length"), element.get("max_length", 3000)
    if least is not None and len(value) < least:
        return f"Please use at least {least} characters."
    if len(value) > most:
        return f"Please use at most {most} characters."
    return None


def _errors(runtime: Runtime, user_id: str, view_id: str, errors: Json) -> Json:
    runtime.live.tell(user_id, {"type": "view_errors", "view_id": view_id, "errors": errors})
    return {"ok": True, "response_action": "errors", "errors": errors}


def _follow(runtime: Runtime, user_id: str, view: Json, reply: Json) -> Json:
    action, workspace = reply.get("response_action"), runtime.workspace
    if action == "errors":
        return _errors(runtime, user_id, view["id"], reply.get("errors") or {})
    try:
        if action == "update":
            current = modals.find_view(workspace, view["id"], None)
            modals.update_modal(workspace, current, reply.get("view"))
        elif action == "push":
            modals.push_modal(workspace, user_id, reply.get("view"))
        elif action == "clear":
            modals.close_modal(workspace, user_id, whole=True)
        elif workspace.modals.get(user_id, [None])[-1] == view["id"]:
            modals.close_modal(workspace, user_id)
    except SlackError as problem:
        text = f"The app's answer was refused: {problem.code} {' '.join(problem.messages)}"
        runtime.live.tell(user_id, {"type": "notice", "text": text})
        raise ControlError(problem.code, text, 502) from None
    return {"ok": True, "response_action": action, "errors": {}}
