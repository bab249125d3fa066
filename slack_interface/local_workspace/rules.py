"""Slack's rules about messages, views and streamed chunks, answered in Slack's error codes."""

import secrets
from typing import Any

from slack_interface.local_workspace.block_rules import check_blocks
from slack_interface.local_workspace.checking import Checker, Surface
from slack_interface.local_workspace.config import Json
from slack_interface.local_workspace.errors import SlackError
from slack_interface.local_workspace.streams import TASK_STATES

TEXT_CHARS = 40_000
"""chat.postMessage cuts longer text off."""
UPDATE_CHARS = 4_000
MARKDOWN_CHARS = 12_000
MESSAGE_MARKDOWN_CHARS = 13_200
"""All markdown blocks of one message together; measured by others, not documented."""
TITLE_CHARS = 200
METADATA_BYTES = 8_000
ATTACHMENTS = 100
PROMPTS = 4
LOADING_MESSAGES = 10


def check_message_blocks(blocks: Any) -> list[Json]:
    """The blocks of a message, each with a block_id and each element with an action_id.

    Raises SlackError `invalid_blocks`, `invalid_blocks_format`, `msg_blocks_too_long`.
    """
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    faults = check_blocks(blocks, "message")
    if faults:
        raise SlackError("invalid_blocks", messages=faults)
    markdown = sum(len(b["text"]) for b in blocks if b["type"] == "markdown")
    if markdown > MESSAGE_MARKDOWN_CHARS:
        raise SlackError("msg_blocks_too_long")
    return name_blocks(blocks)


def name_blocks(blocks: list[Json]) -> list[Json]:
    """The same blocks with the ids Slack adds where the app gave none."""
    return [_named(block) for block in blocks]


def _named(block: Json) -> Json:
    named = {**block, "block_id": block.get("block_id") or secrets.token_urlsafe(4)}
    if block["type"] in ("actions", "context_actions"):
        named["elements"] = [_named_element(e) for e in block["elements"]]
    elif block["type"] == "input":
        named["element"] = _named_element(block["element"])
    elif block["type"] == "section" and "accessory" in block:
        named["accessory"] = _named_element(block["accessory"])
    elif block["type"] == "card" and "actions" in block:
        named["actions"] = [_named_element(e) for e in block["actions"]]
    elif block["type"] == "carousel":
        named["elements"] = name_blocks(block["elements"])
    elif block["type"] == "container":
        named["child_blocks"] = name_blocks(block["child_blocks"])
    return named


def _named_element(element: Json) -> Json:
    if element["type"] == "image" or element.get("action_id"):
        return element
    return {**element, "action_id": secrets.token_urlsafe(4)}


def check_view(view: Any, surface: Surface) -> Json:
    """A view payload as the app sent it, checked and named.

    Raises SlackError `invalid_arguments` with what is wrong.
    """
    check = Checker(surface)
    if not isinstance(view, dict):
        check.fault("must be an object", "/view")
        raise SlackError("invalid_arguments", messages=check.faults)
    if view.get("type") != surface:
        check.fault(f"must be {surface}", "/view/type")
    if surface == "modal":
        check.text(view, "title", "/view", 24, plain=True, required=True)
        check.text(view, "submit", "/view", 24, plain=True)
        check.text(view, "close", "/view", 24, plain=True)
    check.string(view, "private_metadata", "/view", 3000)
    check.string(view, "callback_id", "/view", 255)
    check.string(view, "external_id", "/view", 255)
    check.faults += check_blocks(view.get("blocks"), surface, "/view/blocks")
    blocks = view.get("blocks")
    has_input = isinstance(blocks, list) and any(
        isinstance(block, dict) and block.get("type") == "input" for block in blocks
    )
    if surface == "modal" and has_input and view.get("submit") is None:
        check.fault("`submit` is required when an `input` block is within blocks", "/view/submit")
    if check.faults:
        raise SlackError("invalid_arguments", messages=check.faults)
    return {**view, "blocks": name_blocks(view["blocks"])}


def check_chunks(chunks: Any) -> list[Json]:
    """Chunks of a stream.

    Raises SlackError `invalid_chunks`, `invalid_blocks`, `msg_too_long`.
    """
    if not isinstance(chunks, list):
        raise SlackError("invalid_chunks", messages=["[ERROR] chunks must be an array"])
    return [_chunk(chunk, f"/chunks/{index}") for index, chunk in enumerate(chunks)]


def _chunk(chunk: Any, pointer: str) -> Json:
    check = Checker("message")
    if not check.is_object(chunk, pointer):
        raise SlackError("invalid_chunks", messages=check.faults)
    kind = chunk.get("type")
    if kind == "markdown_text":
        if isinstance(chunk.get("text"), str) and len(chunk["text"]) > MARKDOWN_CHARS:
            raise SlackError("msg_too_long")
        check.string(chunk, "text", pointer, MARKDOWN_CHARS, required=True)
    elif kind == "plan_update":
        check.string(chunk, "title", pointer, 256, required=True)
    elif kind == "task_update":
        check.string(chunk, "id", pointer, 255, required=True)
        check.string(chunk, "title", pointer, 256, required=True)
        check.one_of(chunk.get("status"), TASK_STATES, f"{pointer}/status")
    elif kind == "blocks":
        return {**chunk, "blocks": check_message_blocks(chunk.get("blocks"))}
    else:
        check.fault(f"unsupported type: {kind}", f"{pointer}/type")
    if check.faults:
        raise SlackError("invalid_chunks", messages=check.faults)
    return dict(chunk)


def check_metadata(metadata: Any) -> Json:
    """Message metadata: an event_type and an event_payload object.

    Raises SlackError `invalid_metadata_format`, `metadata_too_large`.
    """
    fits = (
        isinstance(metadata, dict)
        and isinstance(metadata.get("event_type"), str)
        and metadata["event_type"]
        and isinstance(metadata.get("event_payload"), dict)
    )
    if not fits:
        raise SlackError("invalid_metadata_format")
    if len(str(metadata["event_payload"])) > METADATA_BYTES:
        raise SlackError("metadata_too_large")
    return {"event_type": metadata["event_type"], "event_payload": metadata["event_payload"]}


def check_prompts(prompts: Any) -> list[Json]:
    """Suggested prompts: up to four, each with a title and a message.

    Raises SlackError `invalid_arguments`.
    """
    if not isinstance(prompts, list) or not prompts:
        raise SlackError("invalid_arguments", messages=["[ERROR] missing required field: prompts"])
    if len(prompts) > PROMPTS:
        problem = f"[ERROR] no more than {PROMPTS} items allowed [json-pointer:/prompts]"
        raise SlackError("invalid_arguments", messages=[problem])
    for index, prompt in enumerate(prompts):
        if not isinstance(prompt, dict) or not prompt.get("title") or not prompt.get("message"):
            problem = f"[ERROR] needs a title and a message [json-pointer:/prompts/{index}]"
            raise SlackError("invalid_arguments", messages=[problem])
    return [{"title": p["title"], "message": p["message"]} for p in prompts]
