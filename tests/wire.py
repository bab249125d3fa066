"""A wire between two processes on this machine that can be cut."""

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from types import TracebackType
from typing import Self


class Wire:
    """`async with Wire(port) as wire:` passes on to `port` what is sent to `wire.port`.

    While `is_losing`, what is asked arrives but the answer does not: the connection is reset at
    the answer's first byte. `lost` counts how often that happened.
    """

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._ends: set[StreamWriter] = set()
        self.is_losing = False
        self.lost = 0
        self.port = 0

    def cut(self) -> None:
        """Reset every connection."""
        for end in list(self._ends):
            end.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    async def _connected(self, asks: StreamReader, asker: StreamWriter) -> None:
        self._ends.add(asker)
        answerer: StreamWriter | None = None
        try:
            answers, answerer = await asyncio.open_connection("127.0.0.1", self._to_port)
            self._ends.add(answerer)
            await asyncio.gather(_pass_on(asks, answerer), self._answer(answers, asker))
        except OSError:
            asker.transport.abort()
        finally:
            for end in (asker, answerer):
                if end:
                    end.transport.abort()
                    self._ends.discard(end)

    async def _answer(self, answers: StreamReader, asker: StreamWriter) -> None:
        while piece := await answers.read(65536):
            if self.is_losing:
                self.lost += 1
                raise ConnectionResetError
            asker.write(piece)
            await asker.drain()
        with contextlib.suppress(OSError):
            asker.write_eof()


async def _pass_on(asks: StreamReader, answerer: StreamWriter) -> None:
    while piece := await asks.read(65536):
        answerer.write(piece)
        await answerer.drain()
    with contextlib.suppress(OSError):
        answerer.write_eof()
