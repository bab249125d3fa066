"""People reach what is kept about them: told, exported, forgotten; each their own only."""

import secrets
from dataclasses import dataclass

import structlog
from slack_sdk.errors import SlackRequestError
from slack_sdk.web.async_client import AsyncWebClient

from database.errors import VirtuousError
from database.forgetting import digest_of
from slack_interface.incoming import Incoming
from slack_interface.my_data_cards import NOTHING_KEPT, forgotten_text, known_card
from slack_interface.ports import OwnData
from slack_interface.transport import TRANSPORT_ERRORS, code_of, in_words, is_the_servers
from slack_interface.voice import Voice

log = structlog.get_logger()

HERE_IT_IS = "Here is everything that I keep about you."
NOT_UPLOADED = (
    "Slack did not take the files just now; nothing was deleted. Please press Export again in a "
    "minute. Whoever runs me can also make them, by `virtuous6 runs export --user`."
)
NOT_DONE = "{error}\nI do not do this by myself later: please press it again then."
NO_SCOPE = (
    "Slack does not let me give you files. Whoever runs me can mend that: add the scope "
    "`files:write` at api.slack.com/apps, OAuth & Permissions, and install the app again; or give "
    "you the files, made by `virtuous6 runs export --user`."
)


@dataclass(slots=True)
class MyData:
    """Does it for the person of the item, whatever the item says: there is no other argument."""

    client: AsyncWebClient
    own: OwnData
    voice: Voice

    async def obey(self, item: Incoming) -> None:
        """What a button or the form asked for; what hinders it is said where they will find it."""
        try:
            match item.kind:
                case "export_me":
                    await self.export(item)
                case "forget_me":
                    await self.forget(item)
                case _:
                    await self.show(item)
        except VirtuousError as error:
            log.warning("not_done", kind=item.kind, error=str(error))
            await self.voice.tell(item, NOT_DONE.format(error=error), openly=item.direct)

    async def show(self, item: Incoming) -> None:
        """What is kept, in numbers: in the direct message, or seen by that person alone."""
        text, blocks = known_card(await self.own.summary(item.user_id))
        await self.voice.tell(item, text, blocks, openly=item.direct)

    async def export(self, item: Incoming) -> None:
        """The files, into the direct message (which every such item is for) and nowhere else."""
        files = await self.own.export(item.user_id)
        if not files:
            await self.voice.tell(item, NOTHING_KEPT, openly=item.direct)
            return
        try:
            uploaded = [await self._uploaded(name, content) for name, content in files]
            await self.client.files_completeUploadExternal(
                files=uploaded,
                channel_id=item.channel_id,
                thread_ts=item.thread_ts or None,
                initial_comment=HERE_IT_IS,
            )
        except TRANSPORT_ERRORS as error:
            log.warning("export_not_uploaded", error=in_words(error))
            refused = code_of(error) == "missing_scope"
            await self.voice.tell(item, NO_SCOPE if refused else NOT_UPLOADED, openly=item.direct)

    async def _uploaded(self, name: str, content: bytes) -> dict[str, str | None]:
        """A file that Slack has and nobody sees yet. Raises TRANSPORT_ERRORS.

        Not the SDK's files_upload_v2: it takes the answer to the bytes, which is no JSON, for a
        failure, as our connections read every answer as JSON.
        """
        place = await self.client.files_getUploadURLExternal(filename=name, length=len(content))
        url = str(place.get("upload_url") or "")
        if not is_the_servers(url, self.client.base_url) or self.client.session is None:
            raise SlackRequestError("the address for the upload is not Slack's")
        async with self.client.session.post(url, data=content) as answer:
            answer.raise_for_status()
        return {"id": str(place.get("file_id")), "title": name}

    async def forget(self, item: Incoming) -> None:
        """Delete it all, and say what that was; the log names nobody, but can be asked about one.

        Raises StoreError where nothing was deleted.
        """
        report = await self.own.forget(item.user_id)
        salt = secrets.token_bytes(16)
        digest = digest_of(salt, item.user_id).hex()
        log.info("person_forgotten", salt=salt.hex(), digest=digest, rows=dict(report.rows))
        await self.voice.tell(item, forgotten_text(report), openly=item.direct)
