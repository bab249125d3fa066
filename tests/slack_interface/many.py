"""A Slack of several workspaces, as far as installing, speaking and leaving need it, and a bot."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import aiohttp
import httpx
from aiohttp import web
from pydantic import SecretStr

from database.coordination import Coordination
from database.engine import Engine
from database.installations import Installation, InstallationRows
from database.store import Store
from orchestrator.own_data import OwnData
from orchestrator.policy import Policy
from slack_interface.desk import Backroom
from slack_interface.http_server import Listen
from slack_interface.local_workspace.http_push import signature
from slack_interface.pace import Pace
from slack_interface.slack_bot import SlackBot
from tests.clock import Clock
from tests.people import ADA, Json
from tests.slack_interface.world import (
    ScriptedOrchestrator,
    ScriptedWorkflows,
    Settings,
    likeness,
)

CLIENT, SECRET, SIGNING = "111.222", "client-secret-word", "signing-secret-word"
ACME, BETA, GRID = "T0ACME", "T0BETA", "E0GRID"
HALF_A_DAY = 43_200


@dataclass(slots=True)
class Slack:
    """Web API and OAuth of one app; `live` are the tokens it takes, with whose they are."""

    live: dict[str, str] = field(default_factory=dict)
    dead: dict[str, str] = field(default_factory=dict)
    codes: dict[str, Json] = field(default_factory=dict)
    refreshes: dict[str, str] = field(default_factory=dict)
    refusals: dict[str, tuple[int, Json]] = field(default_factory=dict)
    calls: list[tuple[str, str, Json]] = field(default_factory=list)
    granted: set[str] = field(default_factory=set)
    url: str = ""
    _count: int = 0
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/api/{method}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/api/"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner
        await self._runner.cleanup()

    def token(self, holder: str) -> str:
        """One more token that is good."""
        self._count += 1
        token = f"xoxb-{holder}-{self._count}"
        self.live[token] = holder
        return token

    def kill(self, holder: str, error: str = "account_inactive") -> None:
        """None of their tokens is good any more."""
        for token in [token for token, of in self.live.items() if of == holder]:
            del self.live[token]
            self.dead[token] = error
        self.refreshes = {name: of for name, of in self.refreshes.items() if of != holder}

    def code(
        self, holder: str, installer: str = ADA, *, rotating: bool = False, of: str = ""
    ) -> str:
        """What somebody who allows the app is sent back with; `of` is the organisation."""
        self._count += 1
        code = f"code-{self._count}"
        found = {"holder": holder, "installer": installer, "rotating": rotating, "of": of}
        self.codes[code] = found
        return code

    def made(self, method: str, team: str = "") -> list[Json]:
        """The arguments of every call of a method, or of those with a workspace's token."""
        return [
            arguments
            for name, token, arguments in self.calls
            if name == method and (not team or self._holder(token) == team)
        ]

    def said(self, holder: str) -> str:
        """All that was said with the tokens of a workspace or organisation."""
        return json.dumps(
            [a for m, token, a in self.calls if m != "auth.test" and self._holder(token) == holder]
        )

    def _holder(self, token: str) -> str:
        return token.split("-")[1] if token.count("-") > 1 else ""

    async def _answer(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if request.content_type == "application/json":
            arguments: Json = dict(await request.json())
        else:
            arguments = {**request.query, **{k: str(v) for k, v in (await request.post()).items()}}
        self.calls.append((method, token, arguments))
        if method in self.refusals:
            status, body = self.refusals[method]
            return web.json_response(body, status=status)
        if method == "oauth.v2.access":
            basic = aiohttp.BasicAuth.decode(request.headers["Authorization"])
            return web.json_response(self._access(arguments | {"client_secret": basic.password}))
        if token not in self.live:
            return web.json_response({"ok": False, "error": self.dead.get(token, "invalid_auth")})
        return web.json_response(self._does(method, self.live[token], arguments))

    def _access(self, arguments: Json) -> Json:
        if arguments.get("client_secret") != SECRET:
            return {"ok": False, "error": "bad_client_secret"}
        if arguments.get("grant_type") == "refresh_token":
            holder = self.refreshes.pop(arguments["refresh_token"], None)
            if holder is None:
                return {"ok": False, "error": "invalid_refresh_token"}
            return {"ok": True, "token_type": "bot", **self._pair(holder)}
        found = self.codes.pop(arguments.get("code", ""), None)
        if found is None:
            return {"ok": False, "error": "invalid_code"}
        holder = found["holder"]
        org = holder.startswith("E")
        named = {"id": holder, "name": f"<b>{holder}</b>"}
        return {
            "ok": True,
            "app_id": "A0",
            "token_type": "bot",
            "scope": "chat:write,commands",
            "bot_user_id": "U0BOT",
            "authed_user": {"id": found["installer"]},
            "team": None if org else named,
            "enterprise": named if org else {"id": found["of"]} if found["of"] else None,
            "is_enterprise_install": org,
            **(self._pair(holder) if found["rotating"] else {"access_token": self.token(holder)}),
        }

    def _pair(self, holder: str) -> Json:
        refresh = f"xoxe-{holder}-{self._count}"
        self.refreshes[refresh] = holder
        return {
            "access_token": self.token(holder),
            "refresh_token": refresh,
            "expires_in": HALF_A_DAY,
        }

    def _does(self, method: str, holder: str, arguments: Json) -> Json:
        match method:
            case "auth.test":
                names = {"team_id": holder, "team": holder, "user_id": "U0BOT", "bot_id": "B0BOT"}
                return {"ok": True, **names}
            case "auth.teams.list":
                return {"ok": True, "teams": [{"id": team, "name": team} for team in self.granted]}
            case "users.info":
                return {"ok": True, "user": {"id": arguments["user"], "name": "ada"}}
            case "conversations.info":
                return {"ok": True, "channel": {"id": arguments["channel"], "is_im": True}}
            case "chat.startStream":
                return {"ok": False, "error": "unknown_method"}
            case _:
                self._count += 1
                channel = arguments.get("channel") or "D0ADA"
                return {"ok": True, "ts": f"{1_800_000_000 + self._count}.000100",
                        "channel": {"id": channel}, "channels": [], "members": []}  # fmt: skip


@dataclass(slots=True)
class House:
    """The Slack side of a process with a scripted orchestrator for each workspace."""

    home: Path
    slack: Slack
    clock: Clock
    engine: Engine
    token: str = ""
    approvers: tuple[str, ...] = ()
    opened: list[str] = field(default_factory=list)
    orchestrators: dict[str, ScriptedOrchestrator] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    _bot: SlackBot | None = None

    @property
    def ledger(self) -> InstallationRows:
        return InstallationRows(self.engine)

    @property
    def bot(self) -> SlackBot:
        assert self._bot, "the bot is not started"
        return self._bot

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.bot.port}"

    async def start(self) -> None:
        self._bot = SlackBot(
            settings=Settings(
                SecretStr(self.token) if self.token else None,
                None,
                self.slack.url,
                SecretStr(SIGNING),
                CLIENT,
                SecretStr(SECRET),
            ),
            furnish=self._furnished,
            ledger=self.ledger,
            erase=self._erase,
        )
        await self._bot.start("http", Listen(port=0))
        await self._bot.idle()

    async def stop(self) -> None:
        if self._bot:
            await self._bot.stop()

    async def installed(self, holder: str, **more: Any) -> Installation:
        """As if somebody had installed the app before the start."""
        made = Installation(holder, holder, self.slack.token(holder), **more)
        await self.ledger.save(made)
        return made

    async def send(self, payload: Json) -> httpx.Response:
        """What Slack sends, signed."""
        body, stamp = json.dumps(payload).encode(), str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": signature(SIGNING, stamp, body),
        }
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.post(f"{self.base}/slack/events", content=body, headers=headers)

    async def say(self, text: str, team: str, ts: str = "1.000100", **more: Any) -> httpx.Response:
        """Ada says something to the assistant in a workspace; returns when it is answered."""
        event = {"type": "message", "channel": "D0ADA", "channel_type": "im", "user": ADA}
        answer = await self.send(
            {
                "type": "event_callback",
                "team_id": team,
                "api_app_id": "A0",
                "event_id": f"Ev{team}{ts}",
                "authorizations": [{"team_id": team, "user_id": "U0BOT", "is_bot": True}],
                "event": event | {"text": text, "ts": ts},
                **more,
            }
        )
        await self.bot.idle()
        return answer

    async def leave(self, team: str, kind: str = "app_uninstalled", **more: Any) -> httpx.Response:
        """Slack says that the app is not wanted any more; returns when that is settled."""
        event: Json = {"type": kind, **more.pop("event", {})}
        answer = await self.send(
            {"type": "event_callback", "team_id": team, "api_app_id": "A0", "event": event, **more}
        )
        await self.bot.idle()
        return answer

    async def page(self, address: str, cookie: str = "") -> httpx.Response:
        """A page as a browser without JavaScript gets it; redirects are not followed."""
        url = address if address.startswith("http") else f"{self.base}{address}"
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(url, headers={"Cookie": cookie} if cookie else {})

    async def install(self, code: str, **more: str) -> httpx.Response:
        """The whole way: our page, Slack's (somebody allows it), and back."""
        asked, cookie = await self.begin()
        back = f"{asked['redirect_uri']}?code={code}&state={asked['state']}"
        answer = await self.page(back, cookie)
        await self.bot.idle()
        return answer

    async def begin(self) -> tuple[dict[str, str], str]:
        """What our page asks Slack for, and the cookie it sets."""
        begun = await self.page("/slack/install")
        assert begun.status_code == 200
        [href] = [part.split('"')[0] for part in begun.text.split('href="')[1:]]
        query = parse_qs(urlsplit(href.replace("&amp;", "&")).query)
        cookie = begun.headers["set-cookie"].split(";")[0]
        return {name: value for name, [value] in query.items()}, cookie

    @asynccontextmanager
    async def _furnished(self, team_id: str) -> AsyncIterator[Backroom]:
        self.opened.append(team_id)
        store = Store.open(self.home, team_id)
        orchestrator = self.orchestrators[team_id] = ScriptedOrchestrator(store)
        policy = self.policies[team_id] = Policy(store.policy)
        rows = Coordination(self.engine, team_id)
        try:
            yield Backroom(
                orchestrator=orchestrator,
                workflows=ScriptedWorkflows(),
                store=store,
                rows=rows,
                policy=policy,
                own_data=OwnData(store, rows, InstallationRows(self.engine), 90),
                likeness=likeness,
                approvers=self.approvers,
                pace=Pace(interval_s=0.01, slow_s=5.0),
            )
        finally:
            await store.close()

    async def _erase(self, team_id: str) -> Mapping[str, int]:
        store = Store.open(self.home, team_id)
        rows = await store.erase()
        await store.close()
        return {**rows, "under_way": await Coordination(self.engine, team_id).erase()}


@asynccontextmanager
async def house(home: Path, slack: Slack, clock: Clock) -> AsyncIterator[House]:
    """One process that is not started yet."""
    async with AsyncExitStack() as stack:
        engine = Engine.open(home, clock=clock)
        stack.push_async_callback(engine.close)
        made = House(home, slack, clock, engine)
        stack.push_async_callback(made.stop)
        yield made


def texts(house: House, team: str) -> list[str]:
    return [request.text for request in house.orchestrators[team].requests]


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.suffix != ".key")


def somewhere(team: str) -> Json:
    """What Slack says beside an event in a workspace of an organisation that has the app."""
    authorized = {"enterprise_id": GRID, "team_id": team, "is_enterprise_install": True}
    return {"enterprise_id": GRID, "authorizations": [authorized]}
