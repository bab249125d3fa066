"""/_page/*: what the browser page asks for beside the scripting API."""

from urllib.parse import quote

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from slack_interface.local_workspace import interactions, people, sessions, submissions
from slack_interface.local_workspace.config import APP_ID, BOT_ID, BOT_USER_ID, Json
from slack_interface.local_workspace.control import overview, team_list
from slack_interface.local_workspace.errors import ControlError
from slack_interface.local_workspace.requests import Fields, guarded, read_json, reply
from slack_interface.local_workspace.runtime import Runtime
from slack_interface.local_workspace.seed import ADA
from slack_interface.local_workspace.state import Workspace
from slack_interface.local_workspace.teams import Teams

MOST_FILE_BYTES = 20_000_000
MOST_FILES = 10


class PageApi:
    """The endpoints of the page."""

    def __init__(self, teams: Teams, runtime: Runtime) -> None:
        self._teams = teams
        self._runtime = runtime

    def routes(self) -> list[Route]:
        """All routes under /_page, but for the WebSocket."""
        return [
            Route("/_page/state", guarded(self.state), methods=["GET"]),
            Route("/_page/history", guarded(self.history), methods=["GET"]),
            Route("/_page/file/{file_id}/{name}", guarded(self.file), methods=["GET"]),
            Route("/_page/upload", guarded(self.upload), methods=["POST"]),
            Route("/_page/read", guarded(self.read), methods=["POST"]),
            Route("/_page/close-view", guarded(self.close_view), methods=["POST"]),
            Route("/_page/options", guarded(self.options), methods=["POST"]),
        ]

    async def state(self, request: Request) -> Response:
        """Everything needed to draw the workspace for one person."""
        user = self._runtime.workspace.user_named(request.query_params.get("user", ""))
        state = page_state(self._runtime, user)
        return reply({**state, "teams": team_list(self._teams)})

    async def history(self, request: Request) -> Response:
        """Messages of a channel or thread for one person, oldest first."""
        query, workspace = request.query_params, self._runtime.workspace
        user = workspace.user_named(query.get("user", ""))
        channel = workspace.channel_named(query.get("channel", ""), user)
        if user not in workspace.viewers(channel):
            raise ControlError("not_in_channel", f"{user} may not read {channel.name}.", 403)
        messages = people.history(self._runtime, channel, query.get("thread_ts"), user)
        return reply({"messages": messages})

    async def file(self, request: Request) -> Response:
        """A file's bytes; anything but images and text is downloaded, not shown."""
        stored = self._runtime.workspace.files.get(request.path_params["file_id"])
        if stored is None or stored.content is None:
            raise ControlError("file_not_found", "No such file.", 404)
        return file_response(stored.info, stored.content)

    async def upload(self, request: Request) -> Response:
        """A person shares files (multipart: any number of files, and text).

        Without a channel they are only stored: a modal's file input hands them over when submitted.
        """
        query = request.query_params
        name, user_name = query.get("channel"), query.get("user", "")
        user = self._runtime.workspace.user_named(user_name)
        form = await request.form(max_files=MOST_FILES)
        uploads = []
        for _, value in form.multi_items():
            if isinstance(value, UploadFile):
                content = await value.read()
                if len(content) > MOST_FILE_BYTES:
                    raise ControlError("file_too_large", "At most 20 MB a file.", 413)
                uploads.append((_plain_name(value.filename or "file"), content))
        text = form.get("text")
        if not uploads:
            raise ControlError("no_file", "Choose a file first.")
        if name is None:
            return reply({"files": people.keep_files(self._runtime, user, uploads)})
        channel, user = people.place(self._runtime, name, user_name)
        message = people.share_files(
            self._runtime,
            channel,
            user,
            uploads,
            text if isinstance(text, str) else "",
            query.get("thread_ts"),
        )
        return reply({"message": self._runtime.workspace.page_message(channel, message)})

    async def read(self, request: Request) -> Response:
        """A person has read a channel."""
        fields = Fields(await read_json(request))
        workspace = self._runtime.workspace
        user = workspace.user_named(fields.text("user"))
        channel = workspace.channel_named(fields.text("channel"), user)
        workspace.unread.get(user, {}).pop(channel.id, None)
        workspace.on_change()
        return reply({"ok": True})

    async def close_view(self, request: Request) -> Response:
        """A person closes a modal."""
        fields = Fields(await read_json(request))
        user = self._runtime.workspace.user_named(fields.text("user"))
        return reply(await submissions.close(self._runtime, user, fields.text("view_id")))

    async def options(self, request: Request) -> Response:
        """What an external select offers for what was typed."""
        fields = Fields(await read_json(request))
        workspace = self._runtime.workspace
        user = workspace.user_named(fields.text("user"))
        view_id, ts = fields.optional("view_id"), fields.optional("message_ts")
        view, place = None, None
        if view_id is not None:
            view = submissions.open_view(self._runtime, user, view_id)
        elif ts is not None:
            place = (workspace.channel_named(fields.text("channel"), user), ts)
        return reply(await interactions.ask_options(self._runtime, user, view, place, fields.body))


def page_state(runtime: Runtime, user_id: str) -> Json:
    """The answer of GET /_page/state."""
    workspace = runtime.workspace
    seen = overview(runtime)
    app = runtime.config.app
    prompts = {"title": None, "prompts": list(app.prompts)}
    if workspace.has_app:
        prompts = workspace.prompts.get(workspace.direct_message(user_id).id) or prompts
    visible = {c.id for c in workspace.channels.values() if user_id in workspace.viewers(c)}
    return {
        "team": seen["team"],
        "me": _user(workspace, user_id),
        "users": [_user(workspace, known) for known in workspace.users],
        "channels": _channels(workspace, user_id, visible),
        "assistant": {
            "app_id": APP_ID,
            "bot_user_id": BOT_USER_ID,
            "bot_id": BOT_ID,
            "name": app.name,
            "description": app.description,
        },
        "commands": [
            {"command": c.command, "description": c.description, "usage_hint": c.usage_hint}
            for c in app.commands or ()
        ],
        "shortcuts": list(app.shortcuts),
        "prompts": prompts,
        "home": workspace.homes.get(user_id),
        "modals": [workspace.views[view_id] for view_id in workspace.modals.get(user_id, ())],
        "status": _of_channels(seen["status"], visible),
        "sessions": _of_channels(seen["sessions"], visible),
        "can_stop": sessions.can_stop(runtime),
        "app": {"connected": runtime.delivery.is_connected(), "installed": workspace.has_app},
    }


def _of_channels(by_thread: Json, visible: set[str]) -> Json:
    return {key: value for key, value in by_thread.items() if key.partition(":")[0] in visible}


def _user(workspace: Workspace, user_id: str) -> Json:
    user = workspace.users[user_id]
    initials = "".join(part[0] for part in user["real_name"].split()[:2]).upper()
    return {
        "id": user_id,
        "name": user["name"],
        "real_name": user["real_name"],
        "is_bot": user["is_bot"],
        "is_approver": user_id == ADA,
        "is_admin": user["is_admin"],
        "initials": initials,
        "color": f"#{user['color']}",
    }


def _channels(workspace: Workspace, user_id: str, visible: set[str]) -> list[Json]:
    unread = workspace.unread.get(user_id, {})
    return [
        {
            "id": channel.id,
            "name": channel.name if channel.kind != "im" else workspace.app.name,
            "kind": channel.kind,
            "topic": channel.topic,
            "unread": unread.get(channel.id, 0),
            "is_member": user_id in channel.members,
        }
        for channel in workspace.channels.values()
        if channel.id in visible
    ]


def file_response(info: Json, content: bytes) -> Response:
    """A file's bytes with its type; never something a browser would run."""
    mimetype = info["mimetype"]
    shown = mimetype.startswith("image/") and "svg" not in mimetype
    if mimetype.startswith("text/"):
        mimetype, shown = "text/plain; charset=utf-8", True
    disposition = "inline" if shown else "attachment"
    headers = {
        "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(info['name'])}",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(content, media_type=mimetype, headers=headers)


def _plain_name(name: str) -> str:
    kept = "".join(c for c in name if c.isprintable() and c not in '/\\"')
    return kept[-255:] or "file"
