"""What a person types, as Slack keeps it: escaped, mentions as ids, a rich_text block."""

import re

from slack_interface.local_workspace.config import Json
from slack_interface.local_workspace.state import Workspace

_MARKUP = re.compile(r"<(?:[@#!][^<>\s]+|https?://[^<>\s]+|mailto:[^<>\s]+)>")
_MENTION = re.compile(r"<@([A-Z0-9]+)>")


def encode(workspace: Workspace, text: str, *, labelled: bool = False) -> str:
    """Escape &, < and > outside Slack markup, and turn @name and #channel into mentions.

    `labelled` mentions of people carry their name, as commands with should_escape get them.
    """
    pieces, end = [], 0
    for match in _MARKUP.finditer(text):
        pieces += [_encode_plain(workspace, text[end : match.start()], labelled), match.group()]
        end = match.end()
    pieces.append(_encode_plain(workspace, text[end:], labelled))
    return "".join(pieces)


def _encode_plain(workspace: Workspace, text: str, labelled: bool) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if "@" in text:
        for user_id, user in workspace.users.items():
            link = f"<@{user_id}|{user['name']}>" if labelled else f"<@{user_id}>"
            for name in (user["real_name"], user["name"]):
                text = _replace(text, f"@{name}", link)
    if "#" in text:
        for channel in workspace.channels.values():
            if channel.kind != "im":
                link = f"<#{channel.id}|{channel.name}>"
                text = _replace(text, f"#{channel.name}", link)
    return text


def _replace(text: str, name: str, link: str) -> str:
    if name.lower() not in text.lower():
        return text
    pattern = rf"(?<![\w<]){re.escape(name)}(?!\w)"
    return re.sub(pattern, lambda _: link, text, flags=re.IGNORECASE)


def rich_text(text: str) -> Json:
    """The rich_text block Slack adds to a person's message."""
    elements: list[Json] = []
    end = 0
    for match in _MENTION.finditer(text):
        if match.start() > end:
            elements.append({"type": "text", "text": _plain(text[end : match.start()])})
        elements.append({"type": "user", "user_id": match.group(1)})
        end = match.end()
    if end < len(text):
        elements.append({"type": "text", "text": _plain(text[end:])})
    section = {"type": "rich_text_section", "elements": elements}
    return {"type": "rich_text", "block_id": "text", "elements": [section]}


def _plain(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
