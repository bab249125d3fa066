"""A snapshot file, so that a second start remembers."""

import asyncio
import base64
import os
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import structlog

from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.config import BOT_USER_ID, TEAM_ID, Json, Secrets
from slack_interface.local_workspace.errors import WorkspaceError
from slack_interface.local_workspace.state import EPHEMERALS_KEPT, StoredFile, Workspace
from slack_interface.local_workspace.teams import Teams

logger = structlog.get_logger(__name__)

VERSION = 2
DEBOUNCE_S = 1.0


class SnapshotError(WorkspaceError):
    """The state file cannot be read; move it away to start afresh."""


def load(path: Path) -> Json | None:
    """The snapshot in a file, or None when there is none.

    Raises SnapshotError when the file is not a snapshot of this version.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise SnapshotError(f"{path} cannot be read: {problem}") from None
    try:
        snapshot = orjson.loads(raw)
        version = snapshot["version"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise SnapshotError(
            f"{path} is not a workspace snapshot; move it away to start afresh."
        ) from None
    if version == 1:
        # Version 1 had one team, always with the app.
        return {"secrets": snapshot["secrets"], "teams": {TEAM_ID: {**snapshot, "app": "here"}}}
    if version != VERSION:
        raise SnapshotError(f"{path} has version {version}, not {VERSION}; move it away.")
    return dict(snapshot)


def stored_secrets(snapshot: Json | None) -> Secrets | None:
    """The tokens of the last start, so that a configured app stays connected."""
    return Secrets(**snapshot["secrets"]) if snapshot else None


def restore(teams: Teams, snapshot: Json) -> None:
    """Put a snapshot's content into fresh teams; of teams that are not there any more, nothing."""
    if "installations" in snapshot:
        teams.platform.installations.restore(snapshot["installations"], teams.enterprises)
    for team_id, kept in snapshot["teams"].items():
        if team_id in teams.runtimes:
            _restore_team(teams.runtimes[team_id].workspace, kept)


def _restore_team(workspace: Workspace, snapshot: Json) -> None:
    workspace.users.pop(BOT_USER_ID, None)
    if snapshot["app"] is not None:
        workspace.add_app(snapshot.get("installed_on") or workspace.team.id)
    if snapshot["app"] == "removed":
        workspace.remove_app()
    for kept in snapshot["channels"]:
        channel = Channel(**{**kept, "members": set(kept["members"]), "messages": {}})
        channel.messages = {message["ts"]: message for message in kept["messages"]}
        workspace.channels[channel.id] = channel
    workspace.homes.update(snapshot["homes"])
    workspace.prompts.update(snapshot["prompts"])
    workspace.unread.update(snapshot["unread"])
    workspace.pins.update(snapshot["pins"])
    for user_id, messages in snapshot["ephemerals"].items():
        workspace.ephemerals[user_id] = deque(messages, maxlen=EPHEMERALS_KEPT)
    for channel_id, ts, session in snapshot["sessions"]:
        workspace.sessions[channel_id, ts] = session
    for info, content in snapshot["files"]:
        data = base64.b64decode(content) if content is not None else None
        workspace.files[info["id"]] = StoredFile(info, data)


def snapshot_of(teams: Teams) -> bytes:
    """All teams as JSON. Open modals, triggers and statuses are not kept; an open stream is kept
    as the message it had become.
    """
    platform = teams.platform
    return orjson.dumps(
        {
            "version": VERSION,
            "secrets": asdict(platform.secrets),
            "installations": platform.installations.kept(),
            "teams": {team_id: _team(r.workspace) for team_id, r in teams.runtimes.items()},
        }
    )


def _team(workspace: Workspace) -> Json:
    channels = []
    for channel in workspace.channels.values():
        messages = [workspace.api_message(channel, m) for m in channel.messages.values()]
        kept: dict[str, Any] = {name: getattr(channel, name) for name in Channel.__slots__}
        channels.append(kept | {"members": sorted(channel.members), "messages": messages})
    files = [
        (f.info, base64.b64encode(f.content).decode() if f.content is not None else None)
        for f in workspace.files.values()
    ]
    had_app = BOT_USER_ID in workspace.users
    return {
        "app": ("here" if workspace.has_app else "removed") if had_app else None,
        "installed_on": workspace.installed_on,
        "channels": channels,
        "homes": workspace.homes,
        "prompts": workspace.prompts,
        "unread": workspace.unread,
        "pins": workspace.pins,
        "ephemerals": {user: list(kept) for user, kept in workspace.ephemerals.items()},
        "sessions": [(c, ts, session) for (c, ts), session in workspace.sessions.items()],
        "files": files,
    }


class Snapshots:
    """Writes the snapshot some time after the last change, and at the end."""

    def __init__(self, path: Path, teams: Teams) -> None:
        self._path = path
        self._teams = teams
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def changed(self) -> None:
        """Something changed: a snapshot is due."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(DEBOUNCE_S, self._start_writing)

    def _start_writing(self) -> None:
        self._timer = None
        if self._writing is not None and not self._writing.done():
            self.changed()
            return
        self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        data = snapshot_of(self._teams)
        try:
            await asyncio.to_thread(write_atomically, self._path, data)
        except OSError as problem:
            logger.error("snapshot_failed", path=str(self._path), reason=str(problem))

    async def close(self) -> None:
        """Write what is still due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is not None:
            await self._writing
        await self._write()


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file as a whole; readable by its owner only, as it holds tokens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
