"""files.*: the two-step upload, sharing, information, deletion."""

import mimetypes
import secrets
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from slack_interface.local_workspace import payloads, posting
from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.config import BOT_USER_ID, Json
from slack_interface.local_workspace.errors import SlackError
from slack_interface.local_workspace.runtime import Runtime
from slack_interface.local_workspace.state import StoredFile
from slack_interface.local_workspace.web_api.registry import Call, method

MOST_BYTES = 20_000_000
TEXT_KINDS = {"txt": "text", "md": "markdown", "py": "python", "csv": "csv", "json": "json"}


def new_file(runtime: Runtime, name: str, size: int, user: str, title: str | None = None) -> Json:
    """Make a file without bytes yet; returns its file object."""
    file_id = runtime.workspace.next_id("F")
    extension = name.rpartition(".")[2].lower() if "." in name else "txt"
    mimetype = mimetypes.guess_type(name)[0] or "application/octet-stream"
    link = f"{runtime.base_url}/files-pri/{file_id}/{quote(name)}"
    info: Json = {
        "id": file_id,
        "created": int(float(runtime.workspace.next_ts())),
        "timestamp": int(float(runtime.workspace.next_ts())),
        "name": name,
        "title": title or name,
        "mimetype": mimetype,
        "filetype": TEXT_KINDS.get(extension, extension),
        "pretty_type": extension.upper(),
        "user": user,
        "user_team": runtime.team.id,
        "editable": False,
        "size": size,
        "mode": "hosted",
        "is_external": False,
        "external_type": "",
        "is_public": False,
        "public_url_shared": False,
        "display_as_bot": False,
        "username": "",
        "url_private": link,
        "url_private_download": f"{link}?download=1",
        "permalink": link,
        "channels": [],
        "groups": [],
        "ims": [],
        "has_rich_preview": False,
        "file_access": "visible",
    }
    runtime.workspace.files[file_id] = StoredFile(info)
    return info


def share_file(channel: Channel, info: Json) -> None:
    """Note on a file where it was shared."""
    key = {"channel": "channels", "private": "groups", "im": "ims"}[channel.kind]
    if channel.id not in info[key]:
        info[key].append(channel.id)


@method("files.getUploadURLExternal", scope="files:write", tier=4)
def get_upload_url(call: Call) -> Json:
    """Where to post a file's bytes."""
    name = call.required("filename")
    try:
        size = int(call.required("length"))
    except ValueError:
        raise SlackError(
            "invalid_arguments", messages=["[ERROR] length must be a number"]
        ) from None
    if not 0 < size <= MOST_BYTES:
        raise SlackError("file_upload_size_restricted")
    info = new_file(call.runtime, name, size, BOT_USER_ID)
    key = secrets.token_urlsafe(24)
    call.runtime.uploads[key] = info["id"]
    return {"upload_url": f"{call.runtime.base_url}/upload/v1/{key}", "file_id": info["id"]}


@method("files.completeUploadExternal", scope="files:write", tier=4)
def complete_upload(call: Call) -> Json:
    """Finish uploads, and share them when a channel is named."""
    found = [_uploaded(call, wanted) for wanted in _wanted(call)]
    targets = [c for c in (call.text("channels") or "").split(",") if c]
    if call.text("channel_id"):
        targets.append(call.required("channel_id"))
    for target in targets:
        _share(call, replace(call, args={"channel": target}).member_channel(), found)
    return {"files": list(found)}


@method("files.info", scope="files:read", tier=4)
def info(call: Call) -> Json:
    """One file; `content` for text."""
    stored = _stored(call, call.required("file"))
    answer: Json = {"file": stored.info, "comments": [], "response_metadata": {"next_cursor": ""}}
    if stored.content is not None and stored.info["mimetype"].startswith("text/"):
        answer["content"] = stored.content.decode(errors="replace")
    return answer


@method("files.delete", scope="files:write", tier=3)
def delete(call: Call) -> Json:
    """Delete one of the app's files."""
    stored = _stored(call, call.required("file"))
    if stored.info["user"] != BOT_USER_ID:
        raise SlackError("cant_delete_file")
    del call.workspace.files[stored.info["id"]]
    call.workspace.on_change()
    return {}


def _wanted(call: Call) -> list[Json]:
    files: Any = call.json("files", "invalid_arguments")
    if not isinstance(files, list) or not files:
        raise SlackError("invalid_arguments", messages=["[ERROR] missing required field: files"])
    return [file for file in files if isinstance(file, dict)]


def _uploaded(call: Call, wanted: Json) -> Json:
    stored = _stored(call, str(wanted.get("id")))
    if stored.content is None:
        raise SlackError("file_not_found")
    if wanted.get("title"):
        stored.info["title"] = wanted["title"]
    return stored.info


def _stored(call: Call, file_id: str) -> StoredFile:
    stored = call.workspace.files.get(file_id)
    if stored is None:
        raise SlackError("file_not_found")
    return stored


def _share(call: Call, channel: Channel, found: list[Json]) -> None:
    runtime = call.runtime
    for file in found:
        share_file(channel, file)
    root_ts = posting.root_of(channel, call.text("thread_ts"))
    body = {"text": call.text("initial_comment") or "", "files": found, "upload": False}
    message = posting.bot_message(runtime, {}, body, root_ts)
    message["subtype"] = "file_share"
    call.workspace.add_message(channel, message)
    for file in found:
        event = payloads.file_shared_event(file["id"], BOT_USER_ID, channel, message["ts"])
        runtime.emit("file_shared", event)
    if runtime.config.echo_own_messages:
        runtime.emit_message(channel, payloads.message_event(channel, message))
