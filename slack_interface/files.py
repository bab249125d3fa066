"""Files that people share in a thread, read with the bot's token and only from Slack."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
from cachetools import LRUCache
from slack_sdk.web.async_client import AsyncWebClient

from agents.ports import FileRef
from database.errors import InputError, UnknownName
from slack_interface.incoming import Incoming, SharedFile
from slack_interface.transport import is_the_servers

MAX_FILE_BYTES = 20_000_000
READ_TIMEOUT_S = 30


@dataclass(slots=True)
class ThreadFiles:
    """The files of one thread (agents.ports.FilesPort)."""

    client: AsyncWebClient
    shared: tuple[SharedFile, ...]

    def files(self) -> Sequence[FileRef]:
        """The files shared in the thread, oldest first."""
        return [file.ref for file in self.shared]

    async def read(self, file_id: str) -> bytes:
        """The whole file, at most 20 MB.

        Raises:
            UnknownName: no such file in the thread.
            InputError: too large, or Slack does not hand it out.
        """
        file = next((file for file in self.shared if file.ref.file_id == file_id), None)
        if file is None:
            raise UnknownName(f"No file {file_id} was shared in this thread: share it here first.")
        if file.ref.size > MAX_FILE_BYTES:
            raise InputError(f"{file.ref.name} is larger than 20 MB: share a smaller part of it.")
        if not is_the_servers(file.url, self.client.base_url):
            raise InputError(f"{file.ref.name} is not kept in Slack: upload it here instead.")
        return await self._download(file)

    async def _download(self, file: SharedFile) -> bytes:
        headers = {"Authorization": f"Bearer {self.client.token}"}
        timeout = aiohttp.ClientTimeout(total=READ_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(file.url, headers=headers, allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    raise InputError(f"Slack did not hand out {file.ref.name}: share it again.")
                content = await answer.content.read(MAX_FILE_BYTES + 1)
                while len(content) <= MAX_FILE_BYTES and not answer.content.at_eof():
                    content += await answer.content.read(MAX_FILE_BYTES + 1)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise InputError(f"{file.ref.name} could not be read: try again.") from error
        if len(content) > MAX_FILE_BYTES:
            raise InputError(f"{file.ref.name} is larger than 20 MB: share a smaller part of it.")
        return content


@dataclass(slots=True)
class SharedFiles:
    """Which files were shared in which thread since the start of the process."""

    client: AsyncWebClient
    _threads: LRUCache[tuple[str, str], tuple[SharedFile, ...]] = field(
        default_factory=lambda: LRUCache(2_000)
    )

    def of(self, item: Incoming) -> ThreadFiles:
        """The files of the thread that `item` belongs to, its own included."""
        key = (item.channel_id, item.thread_ts)
        shared: tuple[SharedFile, ...] = self._threads.get(key, ())
        new = tuple(file for file in item.files if file not in shared)
        if new:
            shared += new
            self._threads[key] = shared
        return ThreadFiles(self.client, shared)
