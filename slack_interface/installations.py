"""Who let us in: the workspaces that we may speak in, and with which token."""

from dataclasses import dataclass

from slack_interface.incoming import Json


@dataclass(frozen=True, slots=True)
class Account:
    """The way into one workspace."""

    team_id: str
    token: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something that Slack sent belongs, as far as it says: `team_ids` best guess first."""

    team_ids: tuple[str, ...] = ()
    enterprise_id: str = ""


def origin_of(payload: Json) -> Origin:
    """Where a payload of any kind belongs.

    In a channel that is shared with others the sender's team is not ours: what Slack says of the
    installation (`authorizations`, `app_installed_team_id`) comes before what it says of people.
    """
    authorized = _first(payload.get("authorizations"))
    view, team = _part(payload, "view"), payload.get("team")
    guesses = (
        view.get("app_installed_team_id"),
        authorized.get("team_id"),
        payload.get("context_team_id"),
        team if isinstance(team, str) else _part(payload, "team").get("id"),
        payload.get("team_id"),
        _part(payload, "message").get("team"),
        view.get("team_id"),
        _part(payload, "user").get("team_id"),
    )
    enterprises = (
        authorized.get("enterprise_id"),
        _part(payload, "enterprise").get("id"),
        payload.get("context_enterprise_id"),
        payload.get("enterprise_id"),
        _part(payload, "team").get("enterprise_id"),
    )
    teams = dict.fromkeys(str(guess) for guess in guesses if guess)
    # With the token of an organisation, Slack sometimes says the organisation where a team is due.
    return Origin(
        tuple(team for team in teams if not team.startswith("E")),
        next((str(found) for found in enterprises if found), ""),
    )


def _part(payload: Json, name: str) -> Json:
    part = payload.get(name)
    return part if isinstance(part, dict) else {}


def _first(parts: object) -> Json:
    if isinstance(parts, list) and parts and isinstance(parts[0], dict):
        return dict(parts[0])
    return {}


class Installations:
    """The index of accounts, in memory."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}

    def add(self, account: Account) -> None:
        """From here on what comes from this workspace is for us."""
        self._accounts[account.team_id] = account

    def accounts(self) -> list[Account]:
        """Every workspace that is known to have us."""
        return list(self._accounts.values())

    def account(self, origin: Origin) -> Account | None:
        """The workspace that something belongs to; None where we were never let in."""
        for team_id in origin.team_ids:
            if found := self._accounts.get(team_id):
                return found
        return None
