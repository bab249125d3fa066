"""/_control/*: the scripting API. Users go by id or name, channels by id, #name or @assistant."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from slack_interface.local_workspace import interactions, people, sessions, submissions
from slack_interface.local_workspace.config import Json
from slack_interface.local_workspace.errors import ControlError
from slack_interface.local_workspace.installations import Grant, Installation
from slack_interface.local_workspace.requests import Endpoint, Fields, guarded, read_json, reply
from slack_interface.local_workspace.runtime import Runtime
from slack_interface.local_workspace.seed import ADA
from slack_interface.local_workspace.teams import Teams


class Control:
    """The endpoints; each reads its fields, acts for the named person, answers JSON."""

    def __init__(self, teams: Teams, runtime: Runtime) -> None:
        self._teams = teams
        self._runtime = runtime

    def routes(self) -> list[Route]:
        """All routes under /_control."""
        posts: dict[str, Endpoint] = {
            "message": self.message,
            "command": self.command,
            "interact": self.interact,
            "submit": self.submit,
            "close-view": self.close_view,
            "shortcut": self.shortcut,
            "open-home": self.open_home,
            "context": self.context,
            "reaction": self.reaction,
            "edit-message": self.edit_message,
            "delete-message": self.delete_message,
            "join": self.join,
            "stop": self.stop,
            "faults": self.faults,
            "request-url": self.request_url,
            "disconnect": self.disconnect,
            "install": self.install,
            "uninstall": self.uninstall,
            "revoke-tokens": self.revoke_tokens,
            "team-access": self.team_access,
            "clock": self.clock,
            "reset": self.reset,
        }
        gets: dict[str, Endpoint] = {
            "messages/{channel}": self.messages,
            "ephemeral/{user}": self.ephemeral,
            "views/{user}": self.views,
            "state": self.state,
            "faults": self.show_faults,
            "log": self.log,
            "teams": self.teams,
        }
        found = [Route(f"/_control/{p}", guarded(e), methods=["POST"]) for p, e in posts.items()]
        return found + [
            Route(f"/_control/{path}", guarded(endpoint), methods=["GET"])
            for path, endpoint in gets.items()
        ]

    async def message(self, request: Request) -> Response:
        """A person writes."""
        fields = Fields(await read_json(request))
        channel, user = people.place(self._runtime, fields.text("channel"), fields.text("user"))
        thread_ts = fields.optional("thread_ts")
        message = people.send(self._runtime, channel, user, fields.text("text"), thread_ts)
        return reply({"ok": True, "channel": channel.id, "message": message})

    async def command(self, request: Request) -> Response:
        """A person enters a slash command."""
        fields = Fields(await read_json(request))
        channel, user = people.place(self._runtime, fields.text("channel"), fields.text("user"))
        text = fields.optional("text") or ""
        return reply(
            await interactions.run_command(
                self._runtime,
                channel,
                user,
                fields.text("command"),
                text,
                fields.optional("thread_ts"),
            )
        )

    async def interact(self, request: Request) -> Response:
        """A person uses an element of a message, a modal or their Home tab."""
        fields = Fields(await read_json(request))
        user = self._runtime.workspace.user_named(fields.text("user"))
        action, state = fields.object("action"), fields.optional_object("state")
        view_id = fields.optional("view_id")
        if view_id is not None:
            view = self._any_view(user, view_id)
            return reply(await interactions.act_in_view(self._runtime, user, view, action, state))
        channel = self._runtime.workspace.channel_named(fields.text("channel"), user)
        ts = fields.text("message_ts")
        return reply(
            await interactions.act_on_message(self._runtime, channel, user, ts, action, state)
        )

    def _any_view(self, user: str, view_id: str) -> Json:
        home = self._runtime.workspace.homes.get(user)
        if home is not None and home["id"] == view_id:
            return home
        return submissions.open_view(self._runtime, user, view_id)

    async def submit(self, request: Request) -> Response:
        """A person submits a modal."""
        fields = Fields(await read_json(request))
        user = self._runtime.workspace.user_named(fields.text("user"))
        view_id, values = fields.text("view_id"), fields.optional_object("values")
        return reply(await submissions.submit(self._runtime, user, view_id, values))

    async def close_view(self, request: Request) -> Response:
        """A person closes a modal."""
        fields = Fields(await read_json(request))
        user = self._runtime.workspace.user_named(fields.text("user"))
        cleared = fields.flag("clear")
        view_id = fields.text("view_id")
        return reply(await submissions.close(self._runtime, user, view_id, cleared=cleared))

    async def shortcut(self, request: Request) -> Response:
        """A person picks a message shortcut (channel and message_ts) or a global one."""
        fields = Fields(await read_json(request))
        workspace = self._runtime.workspace
        user = workspace.user_named(fields.text("user"))
        name, ts = fields.optional("channel"), fields.optional("message_ts")
        channel = workspace.channel_named(name, user) if name else None
        return reply(
            await interactions.use_shortcut(
                self._runtime, user, fields.text("callback_id"), channel, ts
            )
        )

    async def open_home(self, request: Request) -> Response:
        """A person opens the app's Home or Messages tab."""
        fields = Fields(await read_json(request))
        user = self._runtime.workspace.user_named(fields.text("user"))
        interactions.open_home(self._runtime, user, fields.optional("tab") or "home")
        return reply({"ok": True, "view": self._runtime.workspace.homes.get(user)})

    async def context(self, request: Request) -> Response:
        """A person moves to another channel (or to none) while the app is visible."""
        fields = Fields(await read_json(request))
        user = self._runtime.workspace.user_named(fields.text("user"))
        name = fields.optional("channel")
        channel = self._runtime.workspace.channel_named(name, user) if name else None
        interactions.look_at(self._runtime, user, channel)
        return reply({"ok": True})

    async def reaction(self, request: Request) -> Response:
        """A person reacts; {"remove": true} takes it back."""
        fields = Fields(await read_json(request))
        channel, user = people.place(self._runtime, fields.text("channel"), fields.text("user"))
        message = people.react(
            self._runtime,
            channel,
            user,
            fields.text("ts"),
            fields.text("name"),
            remove=fields.flag("remove"),
        )
        return reply({"ok": True, "message": message})

    async def edit_message(self, request: Request) -> Response:
        """A person edits their message."""
        fields = Fields(await read_json(request))
        channel, user = people.place(self._runtime, fields.text("channel"), fields.text("user"))
        ts, text = fields.text("ts"), fields.text("text")
        message = people.edit(self._runtime, channel, user, ts, text)
        return reply({"ok": True, "message": message})

    async def delete_message(self, request: Request) -> Response:
        """A person deletes their message."""
        fields = Fields(await read_json(request))
        channel, user = people.place(self._runtime, fields.text("channel"), fields.text("user"))
        people.delete(self._runtime, channel, user, fields.text("ts"))
        return reply({"ok": True})

    async def join(self, request: Request) -> Response:
        """Somebody (the app too) joins a channel, perhaps invited."""
        fields = Fields(await read_json(request))
        workspace = self._runtime.workspace
        user = workspace.user_named(fields.text("user"))
        inviter = fields.optional("inviter")
        channel = workspace.channel_named(fields.text("channel"), user)
        if channel.kind == "im":
            raise ControlError("is_im", "Nobody can join a direct message.")
        invited_by = workspace.user_named(inviter) if inviter else None
        people.join(self._runtime, channel, user, invited_by)
        return reply({"ok": True})

    async def stop(self, request: Request) -> Response:
        """A person clicks Stop."""
        fields = Fields(await read_json(request))
        channel, user = people.place(self._runtime, fields.text("channel"), fields.text("user"))
        stopped = sessions.stop(self._runtime, channel, fields.text("thread_ts"), user)
        return reply({"ok": True, "streaming_message_ts": stopped})

    async def faults(self, request: Request) -> Response:
        """Switch faults on or off."""
        self._runtime.set_faults(await read_json(request))
        return reply({"ok": True, "faults": self._runtime.faults.as_json()})

    async def show_faults(self, request: Request) -> Response:
        """The faults that are on."""
        return reply(self._runtime.faults.as_json())

    async def request_url(self, request: Request) -> Response:
        """Use HTTP mode with {"url"}, or Socket Mode again with {"url": null}."""
        fields = Fields(await read_json(request))
        await self._runtime.platform.set_request_url(fields.optional("url"))
        return reply({"ok": True})

    async def disconnect(self, request: Request) -> Response:
        """Ask the app to reconnect: {"reason": warning, refresh_requested or link_disabled}."""
        fields = Fields(await read_json(request))
        reason = fields.optional("reason") or "refresh_requested"
        if reason not in ("warning", "refresh_requested", "link_disabled"):
            raise ControlError("invalid_reason", f"{reason!r} is not a reason Slack gives.")
        return reply({"ok": True, "connections": self._runtime.sockets.disconnect(reason)})

    async def install(self, request: Request) -> Response:
        """An admin installs the app from Slack's own pages: with all its scopes, without OAuth."""
        fields = Fields(await read_json(request))
        user = self._runtime.workspace.user_named(fields.optional("user") or ADA)
        team, scopes = self._runtime.team, self._runtime.config.app.scopes
        self._teams.install(Grant(team.id, team.enterprise, user, scopes, None, 0))
        return reply({"ok": True})

    async def uninstall(self, request: Request) -> Response:
        """An admin removes the app: its tokens die, and it hears tokens_revoked, app_uninstalled.

        An org-wide installation goes with {"org": true}; else it only leaves this workspace.
        """
        fields = Fields(await read_json(request))
        installation = self._installation()
        if installation.is_enterprise_install and not fields.flag("org"):
            self._teams.set_access(installation, self._runtime.team.id, granted=False)
        else:
            self._teams.uninstall(installation)
        return reply({"ok": True})

    async def revoke_tokens(self, request: Request) -> Response:
        """The app's token dies and it hears tokens_revoked; it is not uninstalled by that."""
        await read_json(request)
        self._teams.revoke(self._installation().token)
        return reply({"ok": True})

    async def team_access(self, request: Request) -> Response:
        """An org admin gives the org-wide app access here with {"granted": true}, or takes it."""
        fields = Fields(await read_json(request))
        team = self._runtime.team
        org = team.enterprise.id if team.enterprise else ""
        installation = self._runtime.platform.installations.of_enterprise(org)
        if installation is None:
            raise ControlError("app_not_installed", "The app is not installed org-wide.", 409)
        self._teams.set_access(installation, team.id, granted=fields.flag("granted"))
        return reply({"ok": True})

    def _installation(self) -> Installation:
        installation = self._runtime.installation
        if installation is None:
            raise ControlError("app_not_installed", "The app is not installed here.", 409)
        return installation

    async def clock(self, request: Request) -> Response:
        """Let {"advance_s"} seconds of workspace time pass at once."""
        advance = (await read_json(request)).get("advance_s")
        if isinstance(advance, bool) or not isinstance(advance, int | float) or advance < 0:
            raise ControlError("invalid_field", "advance_s is a number of seconds, 0 or more.")
        self._runtime.clock.advance(advance)
        return reply({"ok": True, "now": self._runtime.clock.now()})

    async def teams(self, request: Request) -> Response:
        """The workspaces that this process serves."""
        return reply({"ok": True, "teams": team_list(self._teams)})

    async def reset(self, request: Request) -> Response:
        """Forget everything, in every team."""
        await read_json(request)
        await self._teams.reset()
        return reply({"ok": True})

    async def messages(self, request: Request) -> Response:
        """Messages of a channel or thread, oldest first; ?user= names whose @assistant it is."""
        name, user = request.path_params["channel"], request.query_params.get("user")
        workspace = self._runtime.workspace
        user_id = workspace.user_named(user) if user else None
        channel = workspace.channel_named(name, user_id)
        thread_ts = request.query_params.get("thread_ts")
        return reply({"ok": True, "messages": people.history(self._runtime, channel, thread_ts)})

    async def ephemeral(self, request: Request) -> Response:
        """A person's ephemeral messages, oldest first."""
        user = self._runtime.workspace.user_named(request.path_params["user"])
        kept = self._runtime.workspace.ephemerals.get(user, ())
        return reply({"ok": True, "messages": list(kept)})

    async def views(self, request: Request) -> Response:
        """A person's Home and open modals, the visible one last."""
        workspace = self._runtime.workspace
        user = workspace.user_named(request.path_params["user"])
        modals = [workspace.views[view_id] for view_id in workspace.modals.get(user, ())]
        return reply({"ok": True, "home": workspace.homes.get(user), "modals": modals})

    async def state(self, request: Request) -> Response:
        """An overview of everything, for scripts."""
        return reply(overview(self._runtime))

    async def log(self, request: Request) -> Response:
        """Calls and deliveries of all teams; ?kind=api|delivery ?method=NAME ?team=ID ?limit=N."""
        query = request.query_params
        limit = query.get("limit", "")
        if limit and not limit.isdigit():
            raise ControlError("invalid_limit", "limit must be a whole number.")
        rows = self._runtime.log.rows(
            kind=query.get("kind"),
            method=query.get("method"),
            team=query.get("team"),
            limit=int(limit or 0),
        )
        return reply({"ok": True, "log": rows})


def team_list(teams: Teams) -> list[Json]:
    """Each team with its page's address and how the app is installed there."""
    found = []
    for runtime in teams.runtimes.values():
        installation, enterprise = runtime.installation, runtime.team.enterprise
        row: Json = {
            "id": runtime.team.id,
            "name": runtime.team.name,
            "url": runtime.base_url,
            "installed": installation is not None,
            "is_enterprise_install": bool(installation and installation.is_enterprise_install),
            "enterprise": {"id": enterprise.id, "name": enterprise.name} if enterprise else None,
        }
        found.append(row)
    return found


def overview(runtime: Runtime) -> Json:
    """People, channels with their sizes, sessions, statuses, streams and the connection."""
    workspace = runtime.workspace
    now = runtime.clock.now()
    return {
        "ok": True,
        "team": {"id": workspace.team.id, "name": workspace.team.name},
        "users": list(workspace.users.values()),
        "channels": [
            {
                "id": channel.id,
                "name": channel.name,
                "kind": channel.kind,
                "user": channel.user,
                "members": sorted(channel.members),
                "messages": len(channel.messages),
            }
            for channel in workspace.channels.values()
        ],
        "sessions": {f"{c}:{ts}": session for (c, ts), session in workspace.sessions.items()},
        "status": {
            f"{c}:{ts}": {k: v for k, v in status.items() if k != "expires"}
            for (c, ts), status in workspace.statuses.items()
            if status["expires"] > now
        },
        "prompts": workspace.prompts,
        "streams": [f"{c}:{ts}" for c, ts in workspace.streams],
        "installation": {"installed": workspace.has_app, "scopes": sorted(runtime.scopes)},
        "app": {
            "connected": runtime.delivery.is_connected(),
            "connections": runtime.sockets.connections,
            "transport": runtime.delivery.transport.name,
        },
        "faults": runtime.faults.as_json(),
    }
