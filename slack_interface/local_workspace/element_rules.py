"""Limits of Block Kit elements and composition objects (docs.slack.dev, block-kit reference)."""

from collections.abc import Callable
from typing import Any

from slack_interface.local_workspace.checking import Checker
from slack_interface.local_workspace.config import Json

ACTION_ID = 255
OPTIONS = 100
MULTI = "multi_"
SELECT_SOURCES = ("static", "external", "users", "conversations", "channels")
SELECTS = frozenset(
    f"{prefix}{source}_select" for prefix in ("", MULTI) for source in SELECT_SOURCES
)
PICKERS = frozenset(("datepicker", "timepicker", "datetimepicker"))
TEXT_INPUTS = frozenset(
    (
        "plain_text_input",
        "email_text_input",
        "url_text_input",
        "number_input",
        "rich_text_input",
        "file_input",
    )
)
CHOICES = frozenset(("radio_buttons", "checkboxes"))
BUTTONS = frozenset(("button", "overflow", "workflow_button"))

IN_ACTIONS = SELECTS | PICKERS | CHOICES | BUTTONS | {"plain_text_input", "rich_text_input"}
IN_INPUT = SELECTS | PICKERS | CHOICES | TEXT_INPUTS
IN_SECTION = SELECTS | PICKERS | CHOICES | BUTTONS | {"image"}
IN_CONTEXT_ACTIONS = frozenset(("feedback_buttons", "icon_button"))


def check_element(check: Checker, element: Any, pointer: str, allowed: frozenset[str]) -> None:
    """One interactive element or image, of a type that is allowed where it stands."""
    if not check.is_object(element, pointer):
        return
    kind = str(element.get("type"))
    if kind not in allowed:
        check.fault(f"unsupported type: {kind}", f"{pointer}/type")
        return
    check.string(element, "action_id", pointer, ACTION_ID)
    check.text(element, "placeholder", pointer, 150, plain=True)
    if "confirm" in element:
        _confirm(check, element["confirm"], f"{pointer}/confirm")
    if kind in SELECTS:
        _select(check, element, pointer)
    elif kind in _RULES:
        _RULES[kind](check, element, pointer)


def check_options(check: Checker, owner: Json, pointer: str, most: int, *, label: int = 75) -> None:
    """The `options` of a select, overflow, radio or checkbox element."""
    for index, option in enumerate(check.items(owner, "options", pointer, most)):
        here = f"{pointer}/options/{index}"
        if check.is_object(option, here):
            check.text(option, "text", here, label, required=True)
            check.text(option, "description", here, 75)
            check.string(option, "value", here, 150)


def _select(check: Checker, element: Json, pointer: str) -> None:
    if "static" not in element["type"]:
        return
    if "option_groups" in element:
        groups = check.items(element, "option_groups", pointer, OPTIONS)
        for index, group in enumerate(groups):
            here = f"{pointer}/option_groups/{index}"
            if check.is_object(group, here):
                check.text(group, "label", here, 75, plain=True, required=True)
                check_options(check, group, here, OPTIONS)
        return
    check_options(check, element, pointer, OPTIONS)


def _confirm(check: Checker, confirm: Any, pointer: str) -> None:
    if check.is_object(confirm, pointer):
        check.text(confirm, "title", pointer, 100, plain=True)
        check.text(confirm, "text", pointer, 300)
        check.text(confirm, "confirm", pointer, 30, plain=True)
        check.text(confirm, "deny", pointer, 30, plain=True)


def _button(check: Checker, element: Json, pointer: str) -> None:
    check.text(element, "text", pointer, 75, plain=True, required=True)
    check.string(element, "value", pointer, 2000)
    check.string(element, "url", pointer, 3000)
    check.string(element, "accessibility_label", pointer, 75)
    check.one_of(element.get("style"), ("primary", "danger"), f"{pointer}/style")


def _overflow(check: Checker, element: Json, pointer: str) -> None:
    check_options(check, element, pointer, 5)


def _choice(check: Checker, element: Json, pointer: str) -> None:
    check_options(check, element, pointer, 10)


def _image(check: Checker, element: Json, pointer: str) -> None:
    if "image_url" not in element and "slack_file" not in element:
        check.fault("must provide either `image_url` or `slack_file`", pointer)
    check.string(element, "image_url", pointer, 3000)
    check.string(element, "alt_text", pointer, 2000, required=True)


def _feedback(check: Checker, element: Json, pointer: str) -> None:
    for key in ("positive_button", "negative_button"):
        button, here = element.get(key), f"{pointer}/{key}"
        if button is None:
            check.fault(f"missing required field: {key}", pointer)
        elif check.is_object(button, here):
            check.text(button, "text", here, 75, plain=True, required=True)
            check.string(button, "value", here, 2000, required=True)
            check.string(button, "accessibility_label", here, 75)


def _icon_button(check: Checker, element: Json, pointer: str) -> None:
    check.one_of(element.get("icon"), ("trash",), f"{pointer}/icon")
    check.text(element, "text", pointer, 75, plain=True, required=True)
    check.string(element, "value", pointer, 2000)


def _text_input(check: Checker, element: Json, pointer: str) -> None:
    for key in ("min_length", "max_length"):
        value = element.get(key)
        if value is not None and not (isinstance(value, int) and 0 <= value <= 3000):
            check.fault("must be a number from 0 to 3000", f"{pointer}/{key}")


_RULES: dict[str, Callable[[Checker, Json, str], None]] = {
    "button": _button,
    "workflow_button": _button,
    "overflow": _overflow,
    "radio_buttons": _choice,
    "checkboxes": _choice,
    "image": _image,
    "feedback_buttons": _feedback,
    "icon_button": _icon_button,
    "plain_text_input": _text_input,
}
