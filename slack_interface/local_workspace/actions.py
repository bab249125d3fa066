"""Finding the element a person acted on, and what Slack says of the act."""

from collections.abc import Iterator
from typing import Any

from slack_interface.local_workspace.config import Json
from slack_interface.local_workspace.element_rules import TEXT_INPUTS
from slack_interface.local_workspace.errors import ControlError

CHOSEN = {
    "static_select": "selected_option",
    "external_select": "selected_option",
    "radio_buttons": "selected_option",
    "overflow": "selected_option",
    "multi_static_select": "selected_options",
    "multi_external_select": "selected_options",
    "checkboxes": "selected_options",
    "users_select": "selected_user",
    "multi_users_select": "selected_users",
    "conversations_select": "selected_conversation",
    "multi_conversations_select": "selected_conversations",
    "channels_select": "selected_channel",
    "multi_channels_select": "selected_channels",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
    "rich_text_input": "rich_text_value",
    "file_input": "files",
}
OPTION_KEYS = ("selected_option", "selected_options")


def elements(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Every interactive element with the block it stands in."""
    for block in blocks:
        kind = block["type"]
        if kind in ("actions", "context_actions"):
            yield from ((block, element) for element in block["elements"])
        elif kind == "input":
            yield block, block["element"]
        elif kind == "section" and "accessory" in block:
            yield block, block["accessory"]
        elif kind == "card":
            yield from ((block, element) for element in block.get("actions", ()))
        elif kind == "carousel":
            yield from elements(block["elements"])
        elif kind == "container":
            yield from elements(block["child_blocks"])


def find(blocks: list[Json], action: Json) -> tuple[Json, Json]:
    """The block and element of an action given by action_id (and block_id).

    Raises ControlError `action_not_found`.
    """
    wanted, block_id = action.get("action_id"), action.get("block_id")
    for block, element in elements(blocks):
        fits_block = block_id in (None, "", block["block_id"])
        if element.get("action_id") == wanted and fits_block:
            return block, element
    known = ", ".join(str(e.get("action_id")) for _, e in elements(blocks)) or "none"
    raise ControlError(
        "action_not_found", f"No element with action_id {wanted!r} there; there are {known}.", 404
    )


def payload(block: Json, element: Json, action: Json, ts: str) -> Json:
    """An entry of `actions` in a block_actions payload.

    Raises ControlError `option_not_found`.
    """
    told: Json = {
        "type": element["type"],
        "action_id": element["action_id"],
        "block_id": block["block_id"],
        "action_ts": ts,
    }
    kind = element["type"]
    if kind == "feedback_buttons":
        return told | _feedback(element, action)
    if kind in ("button", "icon_button", "workflow_button"):
        kept = {k: element[k] for k in ("text", "value", "style", "url", "icon") if k in element}
        return told | kept
    return told | state_value(element, action)


def state_value(element: Json, given: Any) -> Json:
    """What `view.state.values` says of an input; `given` in that form, or a plain value.

    Raises ControlError `option_not_found`.
    """
    kind = element["type"]
    key = CHOSEN.get(kind, "value")
    value = given.get(key, given.get("value")) if isinstance(given, dict) else given
    if key in OPTION_KEYS:
        value = _options(element, value)
    if kind in TEXT_INPUTS and key == "value" and value == "":
        value = None
    return {"type": kind, key: value}


def initial_value(element: Json) -> Json:
    """The state of an input nobody has touched."""
    kind = element["type"]
    key = CHOSEN.get(kind, "value")
    initial = {
        "selected_option": "initial_option",
        "selected_options": "initial_options",
        "value": "initial_value",
        "rich_text_value": "initial_value",
    }.get(key, key.replace("selected_", "initial_"))
    empty: Any = [] if key.endswith("s") and key != "files" else None
    return {"type": kind, key: element.get(initial, empty)}


def is_empty(state: Json) -> bool:
    """Whether an input has no value."""
    return all(value in (None, "", [], {}) for key, value in state.items() if key != "type")


def _feedback(element: Json, action: Json) -> Json:
    for key in ("positive_button", "negative_button"):
        button = element[key]
        if button["value"] == action.get("value"):
            return {"value": button["value"], "text": button["text"]}
    raise ControlError(
        "option_not_found",
        f"value is {element['positive_button']['value']!r} or "
        f"{element['negative_button']['value']!r}.",
    )


def _options(element: Json, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [_option(element, item) for item in value]
    return _option(element, value)


def _option(element: Json, value: Any) -> Any:
    known = list(element.get("options", ()))
    for group in element.get("option_groups", ()):
        known += group["options"]
    wanted = value.get("value") if isinstance(value, dict) else value
    for option in known:
        if option.get("value") == wanted:
            return option
    if "external" in element["type"] and isinstance(value, dict):
        return value
    raise ControlError("option_not_found", f"No option {wanted!r} in {element['action_id']}.", 404)
