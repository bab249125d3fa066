"""Pushes what happens to the open pages."""

import asyncio
from collections.abc import Callable, Iterable

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from slack_interface.local_workspace.config import Json
from slack_interface.local_workspace.state import ThreadKey, Workspace

COALESCE_S = 0.04
"""A growing stream is drawn at most so often."""


class LivePages:
    """One queue for each open page; listens to the workspace only while there is one."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._pages: dict[str, list[asyncio.Queue[str]]] = {}
        self._growing: set[ThreadKey] = set()

    def publish(self, event: Json, users: Iterable[str]) -> None:
        """Queue an event for the open pages of `users`."""
        text: str | None = None
        for user_id in users:
            for page in self._pages.get(user_id, ()):
                text = text or orjson.dumps(event).decode()
                page.put_nowait(text)

    def tell(self, user_id: str, event: Json) -> None:
        """Queue an event for one person's pages."""
        self.publish(event, (user_id,))

    def tell_all(self, event: Json) -> None:
        """Queue an event for every page."""
        self.publish(event, list(self._pages))

    def grew(self, key: ThreadKey) -> None:
        """A stream got more content; its pages are redrawn soon, several growths at once."""
        if not self._pages:
            return
        if not self._growing:
            asyncio.get_running_loop().call_later(COALESCE_S, self._draw_growing)
        self._growing.add(key)

    def _draw_growing(self) -> None:
        keys, self._growing = self._growing, set()
        for channel_id, ts in keys:
            channel = self._workspace.channels.get(channel_id)
            message = channel.messages.get(ts) if channel else None
            if channel is not None and message is not None:
                self._workspace.show("message_changed", channel, message)

    async def serve(self, websocket: WebSocket, user_id: str, greet: Callable[[], Json]) -> None:
        """One page from open to close; `greet` gives its first event."""
        await websocket.accept()
        page: asyncio.Queue[str] = asyncio.Queue()
        self._open(user_id, page)
        page.put_nowait(orjson.dumps(greet()).decode())
        writer = asyncio.create_task(_write(websocket, page))
        try:
            while True:
                await websocket.receive_text()
        except (WebSocketDisconnect, RuntimeError):
            return
        finally:
            writer.cancel()
            self._close(user_id, page)

    def _open(self, user_id: str, page: asyncio.Queue[str]) -> None:
        if not self._pages:
            self._workspace.listeners.append(self.publish)
        self._pages.setdefault(user_id, []).append(page)

    def _close(self, user_id: str, page: asyncio.Queue[str]) -> None:
        self._pages[user_id].remove(page)
        if not self._pages[user_id]:
            del self._pages[user_id]
        if not self._pages:
            self._workspace.listeners.remove(self.publish)


async def _write(websocket: WebSocket, page: asyncio.Queue[str]) -> None:
    try:
        while True:
            await websocket.send_text(await page.get())
    except (WebSocketDisconnect, RuntimeError):
        return
