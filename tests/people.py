"""Acting as the people in a local workspace, and looking at what they see."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from slack_interface.local_workspace import LocalWorkspace
from slack_interface.slack_bot import SlackBot
from tests.patience import PATIENCE_S

TEAM = "T0VIRTUOUS"
BOT = "U0VIRTUOUS"
ADA, GRACE, ALAN = "U0ADA", "U0GRACE", "U0ALAN"

Json = dict[str, Any]


async def eventually(
    condition: Callable[[], Awaitable[Any]], what: str = "condition", timeout: float = PATIENCE_S
) -> Any:
    """The condition's value once it is true."""
    try:
        async with asyncio.timeout(timeout):
            while not (value := await condition()):  # noqa: ASYNC110 (it polls what people would see)
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"never happened: {what}") from None
    return value


@dataclass(slots=True)
class People:
    """The people in a workspace where `bot` answers, as the page would act for them."""

    workspace: LocalWorkspace
    http: httpx.AsyncClient
    bot: SlackBot | None = field(default=None, kw_only=True)

    async def post(self, path: str, **fields: Any) -> Json:
        answer = await self.http.post(f"/_control/{path}", json=fields)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def get(self, path: str) -> Json:
        answer = await self.http.get(f"/_control/{path}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def connected(self) -> None:
        """Return when the bot is connected."""

        async def is_connected() -> bool:
            return bool((await self.get("state"))["app"]["connected"])

        await eventually(is_connected, "the bot is connected")

    async def idle(self) -> None:
        """Return when everything that was sent has arrived, and the bot is done with it."""
        assert self.bot
        await self.arrived()
        await asyncio.wait_for(self.bot.idle(), PATIENCE_S)

    async def arrived(self) -> None:
        """Return when everything that was sent has arrived: what is said next comes behind it."""
        await eventually(self._arrived, "what was sent has arrived")

    async def _arrived(self) -> bool:
        deliveries = self.workspace.runtime.log.rows(kind="delivery")
        return all(row["outcome"] != "pending" for row in deliveries)

    async def say(
        self, text: str, user: str = ADA, channel: str = "@assistant", thread: str | None = None
    ) -> str:
        more = {"thread_ts": thread} if thread else {}
        sent = await self.post("message", channel=channel, user=user, text=text, **more)
        return str(sent["message"]["ts"])

    async def share(self, name: str, content: bytes, text: str, user: str = ADA) -> str:
        answer = await self.http.post(
            "/_page/upload",
            params={"channel": "@assistant", "user": user},
            data={"text": text},
            files={"file": (name, content, "text/plain")},
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["message"]["ts"])

    async def command(
        self, command: str, text: str = "", user: str = ADA, channel: str = "@assistant"
    ) -> Json:
        return await self.post("command", channel=channel, user=user, command=command, text=text)

    async def thread(self, ts: str, channel: str = "D0ADA") -> list[Json]:
        """Everything in the thread after its root."""
        found = (await self.get(f"messages/{channel}?thread_ts={ts}"))["messages"]
        return [message for message in found if message["ts"] != ts]

    async def replies(self, ts: str, channel: str = "D0ADA", count: int = 1) -> list[Json]:
        """Our finished messages in the thread, once there are `count` and all is quiet."""

        async def enough() -> list[Json] | None:
            found = [m for m in await self.thread(ts, channel) if m.get("user") == BOT]
            return found if len(found) >= count else None

        await eventually(enough, f"{count} replies in {ts}")
        await self.idle()
        found: list[Json] = await enough() or []
        return found

    async def whispers(self, user: str = ADA, count: int = 1) -> list[Json]:
        """What only this person sees, oldest first, once there are `count`."""

        async def enough() -> list[Json] | None:
            found: list[Json] = (await self.get(f"ephemeral/{user}"))["messages"]
            return found if len(found) >= count else None

        found: list[Json] = await eventually(enough, f"{count} whispers to {user}")
        return found

    async def modal(self, user: str = ADA) -> Json:
        async def opened() -> Json | None:
            found: list[Json] = (await self.get(f"views/{user}"))["modals"]
            return found[-1] if found else None

        view: Json = await eventually(opened, "a modal")
        return view

    async def home(self, user: str = ADA) -> Json:
        await self.post("open-home", user=user, tab="home")

        async def published() -> Json | None:
            home: Json | None = (await self.get(f"views/{user}"))["home"]
            return home

        await self.idle()
        view: Json = await eventually(published, "the Home tab")
        return view

    async def calls(self, method: str = "") -> list[str]:
        """Names of the Web API methods that were called, oldest first."""
        rows = (await self.get("log?kind=api"))["log"]
        names = [row["method"] for row in rows]
        return [name for name in names if name == method] if method else names

    async def press(
        self, message: Json, action: Json, channel: str = "D0ADA", user: str = ADA
    ) -> Json:
        return await self.post(
            "interact", channel=channel, message_ts=message["ts"], user=user, action=action
        )


def find(blocks: Sequence[Json], kind: str) -> list[Json]:
    """Elements and blocks of a type, however deep."""
    found: list[Json] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if value.get("type") == kind:
                found.append(value)
            for child in value.values():
                walk(child)
        elif isinstance(value, list):
            for child in value:
                walk(child)

    walk(list(blocks))
    return found
