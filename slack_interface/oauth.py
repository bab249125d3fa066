"""Installing the app from a web page (Slack's OAuth 2): two addresses on our HTTP server."""

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.oauth import OAuthStateUtils
from slack_sdk.web.async_client import AsyncWebClient
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from database.errors import StoreError
from database.installations import Installation
from slack_interface.incoming import Json
from slack_interface.install_pages import failure_page, install_page, success_page
from slack_interface.installations import Ledger
from slack_interface.manifest import bot_scopes, manifest
from slack_interface.transport import TRANSPORT_ERRORS, code_of, in_words

log = structlog.get_logger()

INSTALL, REDIRECT = "/slack/install", "/slack/oauth_redirect"
STATE_S = 600
"""How long somebody may take to decide; Slack's code is good for ten minutes too."""
_COOKIE = "virtuous6-install"
_LONGEST = 2_000
"""Characters of a code or state; Slack's are far shorter."""

_SLACK_API = "https://slack.com/api/"

DENIED = "You did not allow it, so nothing was done."
OTHER_BROWSER = (
    "This answer of Slack's belongs to another browser window, or this browser keeps no cookies. "
    "Begin again, and stay in the same browser."
)
TOO_LATE = "That took longer than ten minutes, or this page was opened a second time."
USED = "Slack's code was used already, or took longer than ten minutes."
NO_CODE = "Slack did not say how to go on."
NO_BOT = "Slack gave no token for a bot."
AWAY = "Slack cannot be reached from here just now. Try again in a minute."
NOT_KEPT = (
    "It could not be kept. Tell whoever runs this to look at the log; then begin again, which does "
    "no harm."
)
MISCONFIGURED = (
    "Slack does not accept how this app is set up ({code}): tell whoever runs it, please."
)
_STALE = frozenset({"invalid_code", "code_already_used", "invalid_grant"})


@dataclass(frozen=True, slots=True)
class OAuthApp:
    """What Slack knows of the app. Without a `public_url` the request says where we are."""

    client_id: str
    client_secret: str
    api_url: str = _SLACK_API
    public_url: str = ""


class _FailedError(Exception):
    """Ends an installation with words for the person and a status."""

    def __init__(self, words: str, status: int) -> None:
        super().__init__(words)
        self.words = words
        self.status = status


class InstallPages:
    """The page with the button, and the address that Slack sends people back to.

    `installed` keeps what Slack gave and opens the desk. Nobody can be made to install into a
    workspace of somebody else's choice: the state that comes back is sealed by us, good once, for
    ten minutes, and in the browser that began.
    """

    def __init__(
        self,
        app: OAuthApp,
        ledger: Ledger,
        web: Callable[[], AsyncWebClient],
        installed: Callable[[Installation], Awaitable[None]],
    ) -> None:
        self._app = app
        self._ledger = ledger
        self._web = web
        self._installed = installed
        self._name = str(manifest()["display_information"]["name"])
        self._cookie = OAuthStateUtils(cookie_name=_COOKIE, expiration_seconds=STATE_S)

    def routes(self) -> list[Route]:
        """For the HTTP server."""
        return [Route(INSTALL, self._begin), Route(REDIRECT, self._end)]

    async def _begin(self, request: Request) -> Response:
        state, redirect_uri = self._ledger.seal(secrets.token_urlsafe(8)), self._back(request)
        asked = {
            "client_id": self._app.client_id,
            "scope": ",".join(bot_scopes()),
            "redirect_uri": redirect_uri,
            "state": state,
        }
        # Slack's page stands beside its API; the SDK's generator would not escape what is asked.
        url = f"{_root(self._app.api_url)}/oauth/v2/authorize?{urlencode(asked)}"
        response = _html(install_page(self._name, url))
        back = urlsplit(redirect_uri)
        response.set_cookie(
            _COOKIE, state, max_age=STATE_S, path=back.path, secure=back.scheme == "https",
            httponly=True, samesite="lax",
        )  # fmt: skip
        return response

    async def _end(self, request: Request) -> Response:
        try:
            await self._check_state(request)
            answer = await self._exchanged(request)
            installation = _installation(answer, self._ledger.clock())
            await self._keep(installation)
        except _FailedError as failed:
            log.warning("not_installed", reason=failed.words)
            again = self._base(request) + INSTALL
            response = _html(failure_page(failed.words, again), failed.status)
        else:
            log.info("installed", holder=installation.holder, org=installation.org)
            page = success_page(self._name, installation.name, self._slack(answer))
            response = _html(page)
        response.delete_cookie(_COOKIE, path=urlsplit(self._back(request)).path)
        return response

    async def _check_state(self, request: Request) -> None:
        """Whether this browser began, and not too long ago."""
        query = request.query_params
        state = query.get("state", "")[:_LONGEST]
        cookies: dict[str, str | Sequence[str]] = {"cookie": request.headers.get("cookie", "")}
        if not state or not self._cookie.is_valid_browser(state, cookies):
            raise _FailedError(DENIED if _denied(request) else OTHER_BROWSER, 400)
        if self._ledger.unseal(state, STATE_S) is None:
            raise _FailedError(TOO_LATE, 400)
        digest = hashlib.sha256(state.encode()).hexdigest()
        try:
            first = await self._ledger.once(f"install:{digest}", STATE_S)
        except StoreError as error:
            log.error("installation_not_kept", reason=str(error))
            raise _FailedError(NOT_KEPT, 500) from error
        if not first:
            raise _FailedError(TOO_LATE, 400)
        if refused := query.get("error", "")[:100]:
            log.warning("installation_refused", reason=refused)
            raise _FailedError(DENIED if _denied(request) else NO_CODE, 400)

    async def _exchanged(self, request: Request) -> Json:
        """Slack's answer to the code."""
        code = request.query_params.get("code", "")
        if not code or len(code) > _LONGEST:
            raise _FailedError(NO_CODE, 400)
        try:
            answer = await self._web().oauth_v2_access(
                client_id=self._app.client_id,
                client_secret=self._app.client_secret,
                code=code,
                redirect_uri=self._back(request),
            )
        except SlackApiError as error:
            if code_of(error) in _STALE:
                raise _FailedError(USED, 400) from error
            log.error("installation_refused", reason=in_words(error))
            raise _FailedError(MISCONFIGURED.format(code=in_words(error)), 502) from error
        except TRANSPORT_ERRORS as error:
            log.error("installation_failed", reason=in_words(error))
            raise _FailedError(AWAY, 502) from error
        if not isinstance(answer.data, dict) or answer.get("token_type") != "bot":
            raise _FailedError(NO_BOT, 502)
        return answer.data

    async def _keep(self, installation: Installation) -> None:
        try:
            await self._installed(installation)
        except StoreError as error:
            log.error("installation_not_kept", reason=str(error))
            raise _FailedError(NOT_KEPT, 500) from error

    def _base(self, request: Request) -> str:
        return (self._app.public_url or str(request.base_url)).rstrip("/")

    def _back(self, request: Request) -> str:
        """Where Slack sends people back to: the same when it asks as when the code is used."""
        return self._base(request) + REDIRECT

    def _slack(self, answer: Json) -> str:
        """Where the app is in the person's Slack; another host than Slack's has its own page."""
        team = (answer.get("team") or {}).get("id") or ""
        if self._app.api_url.rstrip("/") == _SLACK_API.rstrip("/"):
            fields = {"app": answer.get("app_id") or "", "team": team}
            named = {name: value for name, value in fields.items() if value}
            return f"https://slack.com/app_redirect?{urlencode(named)}"
        return _root(self._app.api_url)


def _denied(request: Request) -> bool:
    return request.query_params.get("error") == "access_denied"


def _installation(answer: Json, now: float) -> Installation:
    """What oauth.v2.access says. Raises _FailedError where it names nobody."""
    org = bool(answer.get("is_enterprise_install"))
    enterprise, team = answer.get("enterprise") or {}, answer.get("team") or {}
    holder = enterprise if org else team
    if not holder.get("id") or not answer.get("access_token"):
        raise _FailedError(NO_BOT, 502)
    expires = answer.get("expires_in")
    return Installation(
        holder=str(holder["id"]),
        name=str(holder.get("name") or holder["id"]),
        bot_token=str(answer["access_token"]),
        refresh_token=str(answer.get("refresh_token") or ""),
        expires_at=None if expires is None else now + float(expires),
        org=org,
        enterprise_id=str(enterprise.get("id") or ""),
        installer=str((answer.get("authed_user") or {}).get("id") or ""),
        scopes=tuple(str(answer.get("scope") or "").split(",")),
        installed_at=now,
    )


def _html(text: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(
        text,
        status,
        headers={
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _root(api_url: str) -> str:
    parts = urlsplit(api_url)
    return f"{parts.scheme}://{parts.netloc}"
