"""All teams of one local workspace, and the app coming to them and leaving them."""

import secrets

from slack_interface.local_workspace import payloads
from slack_interface.local_workspace.config import (
    BOT_USER_ID,
    Enterprise,
    Json,
    Team,
    WorkspaceConfig,
)
from slack_interface.local_workspace.delivery import Parcel
from slack_interface.local_workspace.errors import ControlError, SlackError, WorkspaceError
from slack_interface.local_workspace.installations import Grant, Installation, Token
from slack_interface.local_workspace.platform import Platform
from slack_interface.local_workspace.runtime import Runtime
from slack_interface.local_workspace.seed import ADA


class Teams:
    """The runtimes by team id, in the order of the configuration.

    Raises WorkspaceError when two teams have one id, or there is none.
    """

    def __init__(self, config: WorkspaceConfig) -> None:
        _check(config)
        self.platform = Platform(config)
        self.runtimes: dict[str, Runtime] = {}
        for team in config.teams:
            path = f"/team/{team.id}" if self.runtimes else ""
            self.runtimes[team.id] = Runtime(self.platform, team, path)
        self.first = next(iter(self.runtimes.values()))
        self._first_tokens = self._configured_tokens(config)
        self._install_configured()

    @property
    def enterprises(self) -> dict[str, Enterprise]:
        """The organisations that teams belong to, by id."""
        found = (runtime.team.enterprise for runtime in self.runtimes.values())
        return {enterprise.id: enterprise for enterprise in found if enterprise is not None}

    def named(self, team_id: str) -> Runtime:
        """A team by its id.

        Raises ControlError `team_not_found`.
        """
        if team_id not in self.runtimes:
            known = ", ".join(self.runtimes)
            message = f"No team {team_id!r} here; there are {known}."
            raise ControlError("team_not_found", message, 404)
        return self.runtimes[team_id]

    def of(self, installation: Installation) -> list[Runtime]:
        """Where an installation may act."""
        return [r for r in self.runtimes.values() if r.team.id in installation.team_ids]

    def in_enterprise(self, enterprise_id: str) -> list[Runtime]:
        """The teams of an organisation."""
        return [r for r in self.runtimes.values() if enterprise_id in r.team.ids]

    def for_call(self, token: Token, args: Json, *, needs_team: bool) -> Runtime:
        """The team that a call with this token acts in.

        A team's token stands for the team, whatever `team_id` says. An org-wide one names it, or
        something in it; some methods insist (docs.slack.dev, developing for Enterprise orgs).
        Raises SlackError `team_not_found`, `team_access_not_granted`, `missing_argument`.
        """
        installation = token.installation
        if installation.team_id is not None:
            return self.runtimes[installation.team_id]
        own = self.in_enterprise(installation.enterprise.id if installation.enterprise else "")
        wanted = args.get("team_id") or args.get("client_context_team_id")
        if wanted and wanted not in self.enterprises:
            return _granted(installation, own, str(wanted))
        if needs_team:
            raise SlackError(
                "missing_argument", messages=["[ERROR] missing required field: team_id"]
            )
        able = self.of(installation)
        knowing = [runtime for runtime in able if runtime.knows(args)]
        if not _names_a_place(args):
            return (able or own)[0]
        if not knowing:
            return _only(able)
        if len(knowing) > 1:
            # At Slack no two teams share an id; here they may, so the call has to say which.
            problem = "[ERROR] several workspaces have this id: pass team_id"
            raise SlackError("missing_argument", messages=[problem])
        return knowing[0]

    def install(self, grant: Grant) -> Token:
        """Install the app as a person allowed; the bot comes to teams that it was not in."""
        installation = self.platform.installations.add(self._wanted(grant))
        is_new = not installation.is_alive
        token = self._give(installation)
        self._settle_in(installation)
        if installation.is_enterprise_install and is_new:
            self._tell_access("team_access_granted", installation, sorted(installation.team_ids))
        return token

    def _wanted(self, grant: Grant) -> Installation:
        if grant.team_id is not None:
            chosen = {grant.team_id}
        else:
            own = self.in_enterprise(grant.enterprise.id if grant.enterprise else "")
            chosen = {runtime.team.id for runtime in own}
        return Installation(grant.team_id, grant.enterprise, grant.user, grant.scopes, chosen)

    def _give(self, installation: Installation) -> Token:
        installations = self.platform.installations
        if self.platform.config.app.token_rotation:
            return installations.give_rotating(installation)
        return installations.give(installation)

    def _settle_in(self, installation: Installation) -> None:
        for runtime in self.of(installation):
            if not runtime.workspace.has_app:
                runtime.workspace.add_app(_home_of(installation))
                runtime.live.tell_all({"type": "reset"})

    def revoke(self, token: Token) -> None:
        """One token dies; the last one takes the bot user along, but the app stays installed."""
        installation = token.installation
        self._tell(installation, _tokens_revoked())
        self.platform.installations.end(token, "token_revoked")
        self._move_out(installation)

    def uninstall(self, installation: Installation) -> None:
        """The app is removed: its tokens die, and it hears of both (in no certain order)."""
        self._tell(installation, _tokens_revoked())
        self._tell(installation, {"type": "app_uninstalled"})
        self.platform.installations.remove(installation)
        self._move_out(installation)

    def set_access(self, installation: Installation, team_id: str, *, granted: bool) -> None:
        """An org admin adds a workspace to an org-wide installation, or takes it away."""
        if granted == (team_id in installation.team_ids):
            return
        if granted:
            installation.team_ids.add(team_id)
            self._settle_in(installation)
            self._tell_access("team_access_granted", installation, [team_id])
            return
        installation.team_ids.discard(team_id)
        self._tell_access("team_access_revoked", installation, [team_id])
        self._leave(self.runtimes[team_id])

    def _move_out(self, installation: Installation) -> None:
        if installation.is_alive:
            return
        for runtime in self.of(installation):
            self._leave(runtime)

    def _leave(self, runtime: Runtime) -> None:
        if runtime.installation is None:
            runtime.cancel_scheduled()
            runtime.workspace.remove_app()
            runtime.live.tell_all({"type": "reset"})

    def _tell(self, installation: Installation, event: Json) -> None:
        if event["type"] not in self.platform.config.app.events:
            return
        enterprise_id = installation.enterprise.id if installation.enterprise else None
        payload = payloads.event_callback(
            self.platform.secrets.verification_token,
            event,
            installation.team_id,
            enterprise_id,
            is_enterprise_install=installation.is_enterprise_install,
        )
        parcel = Parcel("events_api", event["type"], payload, team=installation.team_id)
        self.platform.delivery.send_event(parcel)

    def _tell_access(self, kind: str, installation: Installation, team_ids: list[str]) -> None:
        self._tell(installation, {"type": kind, "team_ids": team_ids})

    async def reset(self) -> None:
        """Forget everything of every team; what was installed at first is installed again."""
        await self.platform.reset()
        for runtime in self.runtimes.values():
            runtime.reset()
        self._install_configured()
        self.platform.tell_pages({"type": "reset"})

    async def close(self) -> None:
        """Stop deliveries and what was to happen later."""
        for runtime in self.runtimes.values():
            runtime.cancel_scheduled()
        await self.platform.close()

    def _configured_tokens(self, config: WorkspaceConfig) -> dict[str, str]:
        found = {team.id: team.bot_token or _new_token() for team in config.teams}
        if config.teams[0].bot_token is None:
            found[config.teams[0].id] = config.secrets.bot_token
        for enterprise in self.enterprises.values():
            found[enterprise.id] = enterprise.bot_token or _new_token()
        return found

    def _install_configured(self) -> None:
        for enterprise in self.enterprises.values():
            if enterprise.installed:
                own = {runtime.team.id for runtime in self.in_enterprise(enterprise.id)}
                self._seed(None, enterprise, own)
        for runtime in self.runtimes.values():
            if runtime.team.installed and runtime.installation is None:
                self._seed(runtime.team, runtime.team.enterprise, {runtime.team.id})

    def _seed(self, team: Team | None, enterprise: Enterprise | None, team_ids: set[str]) -> None:
        scopes = self.platform.config.app.scopes
        team_id = team.id if team else None
        wanted = Installation(team_id, enterprise, ADA, scopes, team_ids)
        installation = self.platform.installations.add(wanted)
        value = self._first_tokens[_home_of(installation)]
        self.platform.installations.give(installation, value)
        for runtime in self.of(installation):
            runtime.workspace.seed_app(_home_of(installation))


def _check(config: WorkspaceConfig) -> None:
    ids = [team.id for team in config.teams]
    if not ids or len(set(ids)) < len(ids):
        raise WorkspaceError(f"Give one team or more, each with an id of its own, not {ids}.")


def _names_a_place(args: Json) -> bool:
    return any(args.get(n) for n in ("channel", "channel_id", "trigger_id", "view_id", "file"))


def _granted(installation: Installation, own: list[Runtime], team_id: str) -> Runtime:
    for runtime in own:
        if runtime.team.id == team_id:
            if team_id not in installation.team_ids:
                raise SlackError("team_access_not_granted")
            return runtime
    raise SlackError("team_not_found")


def _only(able: list[Runtime]) -> Runtime:
    if not able:
        raise SlackError("team_access_not_granted")
    return able[0]


def _home_of(installation: Installation) -> str:
    if installation.team_id is not None:
        return installation.team_id
    return installation.enterprise.id if installation.enterprise else ""


def _tokens_revoked() -> Json:
    return {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [BOT_USER_ID]}}


def _new_token() -> str:
    return f"xoxb-local-{secrets.token_hex(16)}"
