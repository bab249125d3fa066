"""Which blocks stand where, and their limits (docs.slack.dev, block-kit reference)."""

from collections.abc import Callable
from typing import Any

from slack_interface.local_workspace.chart_rules import check_chart, check_data_table, check_table
from slack_interface.local_workspace.checking import Checker, Surface
from slack_interface.local_workspace.config import Json
from slack_interface.local_workspace.element_rules import (
    IN_ACTIONS,
    IN_CONTEXT_ACTIONS,
    IN_INPUT,
    IN_SECTION,
    check_element,
)

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
CHARTS = 2
TABLES = 1
BLOCK_ID = 255
TASK_STATES = ("pending", "in_progress", "complete", "error")


def check_blocks(blocks: Any, surface: Surface, pointer: str = "/blocks") -> list[str]:
    """What Slack would say against these blocks; nothing when they are fine."""
    check = Checker(surface)
    if not isinstance(blocks, list):
        check.fault("must be an array", pointer)
        return check.faults
    most = MESSAGE_BLOCKS if surface == "message" else VIEW_BLOCKS
    if len(blocks) > most:
        check.fault(f"no more than {most} items allowed", pointer)
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        here = f"{pointer}/{index}"
        check_block(check, block, here)
        block_id = str(block.get("block_id") or "") if isinstance(block, dict) else ""
        if block_id and block_id in seen:
            check.fault(f"block_id `{block_id}` already exists", f"{here}/block_id")
        seen.add(block_id)
    _check_counts(check, blocks, pointer)
    return check.faults


def check_block(check: Checker, block: Any, pointer: str) -> None:
    """One block of any type."""
    if not check.is_object(block, pointer):
        return
    kind = block.get("type")
    rule = _RULES.get(kind) if isinstance(kind, str) else None
    if rule is None or check.surface not in _SURFACES.get(str(kind), _EVERYWHERE):
        check.fault(f"unsupported type: {kind}", f"{pointer}/type")
        return
    check.string(block, "block_id", pointer, BLOCK_ID)
    rule(check, block, pointer)


def _check_counts(check: Checker, blocks: list[Any], pointer: str) -> None:
    kinds = [block.get("type") for block in blocks if isinstance(block, dict)]
    if kinds.count("data_visualization") > CHARTS:
        check.fault(f"no more than {CHARTS} data_visualization blocks allowed", pointer)
    if kinds.count("table") > TABLES:
        check.fault("only_one_table_allowed", pointer)


def _section(check: Checker, block: Json, pointer: str) -> None:
    if block.get("text") is None and block.get("fields") is None:
        check.fault("must define either `text` or `fields`", pointer)
    check.text(block, "text", pointer, 3000)
    if "fields" in block:
        for index, text in enumerate(check.items(block, "fields", pointer, 10)):
            check.text({"field": text}, "field", f"{pointer}/fields/{index}", 2000)
    if "accessory" in block:
        check_element(check, block["accessory"], f"{pointer}/accessory", IN_SECTION)


def _header(check: Checker, block: Json, pointer: str) -> None:
    check.text(block, "text", pointer, 150, plain=True, required=True)


def _markdown(check: Checker, block: Json, pointer: str) -> None:
    check.string(block, "text", pointer, 12_000, required=True)


def _actions(check: Checker, block: Json, pointer: str) -> None:
    _elements(check, block, pointer, 25, IN_ACTIONS)


def _context_actions(check: Checker, block: Json, pointer: str) -> None:
    _elements(check, block, pointer, 5, IN_CONTEXT_ACTIONS)


def _elements(
    check: Checker, block: Json, pointer: str, most: int, allowed: frozenset[str]
) -> None:
    ids: set[str] = set()
    for index, element in enumerate(check.items(block, "elements", pointer, most)):
        here = f"{pointer}/elements/{index}"
        check_element(check, element, here, allowed)
        action_id = str(element.get("action_id") or "") if isinstance(element, dict) else ""
        if action_id and action_id in ids:
            check.fault(f"`action_id` `{action_id}` already exists in this block", here)
        ids.add(action_id)


def _context(check: Checker, block: Json, pointer: str) -> None:
    for index, element in enumerate(check.items(block, "elements", pointer, 10)):
        here = f"{pointer}/elements/{index}"
        if isinstance(element, dict) and element.get("type") == "image":
            check_element(check, element, here, frozenset(("image",)))
        elif check.is_object(element, here):
            check.text({"element": element}, "element", pointer, 3000)


def _input(check: Checker, block: Json, pointer: str) -> None:
    check.text(block, "label", pointer, 2000, plain=True, required=True)
    check.text(block, "hint", pointer, 2000, plain=True)
    if "element" not in block:
        check.fault("missing required field: element", pointer)
        return
    check_element(check, block["element"], f"{pointer}/element", IN_INPUT)


def _image(check: Checker, block: Json, pointer: str) -> None:
    check.text(block, "title", pointer, 2000, plain=True)
    check_element(check, {**block, "type": "image"}, pointer, frozenset(("image",)))


def _video(check: Checker, block: Json, pointer: str) -> None:
    check.text(block, "title", pointer, 200, plain=True, required=True)
    check.string(block, "video_url", pointer, 3000, required=True)
    check.string(block, "thumbnail_url", pointer, 3000, required=True)
    check.string(block, "alt_text", pointer, 2000, required=True)


def _rich_text(check: Checker, block: Json, pointer: str) -> None:
    kinds = ("rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote")
    for index, element in enumerate(check.items(block, "elements", pointer, 1000, least=0)):
        here = f"{pointer}/elements/{index}"
        if check.is_object(element, here) and element.get("type") not in kinds:
            check.fault(f"unsupported type: {element.get('type')}", f"{here}/type")


def _task_card(check: Checker, block: Json, pointer: str) -> None:
    check.string(block, "task_id", pointer, 255, required=True)
    check.string(block, "title", pointer, 256, required=True)
    check.one_of(block.get("status"), TASK_STATES, f"{pointer}/status")
    for key in ("details", "output"):
        if key in block and check.is_object(block[key], f"{pointer}/{key}"):
            _rich_text(check, block[key], f"{pointer}/{key}")


def _plan(check: Checker, block: Json, pointer: str) -> None:
    check.string(block, "title", pointer, 256, required=True)
    if "tasks" in block:
        for index, task in enumerate(check.items(block, "tasks", pointer, 50, least=0)):
            if check.is_object(task, f"{pointer}/tasks/{index}"):
                _task_card(check, task, f"{pointer}/tasks/{index}")


def _alert(check: Checker, block: Json, pointer: str) -> None:
    check.text(block, "text", pointer, 3000, required=True)
    levels = ("default", "info", "warning", "error", "success")
    check.one_of(block.get("level"), levels, f"{pointer}/level")


def _card(check: Checker, block: Json, pointer: str) -> None:
    check.text(block, "title", pointer, 150)
    check.text(block, "subtitle", pointer, 150)
    check.text(block, "body", pointer, 200)
    if "actions" in block:
        for index, element in enumerate(check.items(block, "actions", pointer, 5)):
            check_element(check, element, f"{pointer}/actions/{index}", frozenset(("button",)))


def _carousel(check: Checker, block: Json, pointer: str) -> None:
    for index, card in enumerate(check.items(block, "elements", pointer, 10)):
        if check.is_object(card, f"{pointer}/elements/{index}"):
            _card(check, card, f"{pointer}/elements/{index}")


def _container(check: Checker, block: Json, pointer: str) -> None:
    check.text(block, "title", pointer, 150, plain=True)
    check.text(block, "subtitle", pointer, 150)
    for index, child in enumerate(check.items(block, "child_blocks", pointer, 10)):
        check_block(check, child, f"{pointer}/child_blocks/{index}")


def _anything(check: Checker, block: Json, pointer: str) -> None:
    return


_EVERYWHERE: frozenset[Surface] = frozenset(("message", "modal", "home"))
_IN_MESSAGES: frozenset[Surface] = frozenset(("message",))
_SURFACES: dict[str, frozenset[Surface]] = {
    "markdown": _IN_MESSAGES,
    "context_actions": _IN_MESSAGES,
    "task_card": _IN_MESSAGES,
    "plan": _IN_MESSAGES,
    "table": _IN_MESSAGES,
    "data_table": _IN_MESSAGES,
    "data_visualization": _IN_MESSAGES,
    "card": _IN_MESSAGES,
    "carousel": _IN_MESSAGES,
    "file": _IN_MESSAGES,
    "call": _IN_MESSAGES,
}
_RULES: dict[str, Callable[[Checker, Json, str], None]] = {
    "section": _section,
    "divider": _anything,
    "image": _image,
    "actions": _actions,
    "context": _context,
    "context_actions": _context_actions,
    "input": _input,
    "file": _anything,
    "call": _anything,
    "header": _header,
    "markdown": _markdown,
    "video": _video,
    "rich_text": _rich_text,
    "table": check_table,
    "data_table": check_data_table,
    "data_visualization": check_chart,
    "task_card": _task_card,
    "plan": _plan,
    "alert": _alert,
    "card": _card,
    "carousel": _carousel,
    "container": _container,
    "auth_provider": _anything,
}
