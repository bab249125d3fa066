"""What approvers say to decide when, where and to whom the assistant speaks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from database.errors import InputError
from database.records import LEARNING
from slack_interface.blocks import escaped, section
from slack_interface.gate import Gate
from slack_interface.incoming import Incoming
from slack_interface.typed import TypedCommand
from slack_interface.voice import Voice

SPEAKING = {
    "mentions": "only when I am mentioned",
    "threads": "when I am mentioned, and in the threads that I am in",
    "everything": "to every message that is not for somebody else",
}
CHANNEL_USAGE = (
    "Say `channel: mentions`, `channel: threads` or `channel: everything`; and `channel: learning "
    "off` (or `on`) for whether I learn from what is said there."
)
LEARNING_TOLD = {
    "yes": "From now on I learn here again from what is asked and how my answers are taken.",
    "no": "From now on I learn nothing from what is said here. I still remember its threads.",
}
POLICY_USAGE = (
    "Say `policy show`, `policy show KEY` or `policy set KEY VALUE` (`default` takes it back)."
)

_ID_IN_KEY = re.compile(r"<[@#]([A-Z0-9]+)(?:\|[^<>]*)?>")


class Decided(Protocol):
    """A policy as it counts now (orchestrator.policy.Setting)."""

    @property
    def key(self) -> str:
        """Its name."""

    @property
    def value(self) -> str:
        """As text."""

    @property
    def default(self) -> str:
        """What it is where nobody decided."""

    @property
    def about(self) -> str:
        """What it means."""

    @property
    def set_by(self) -> str:
        """Who decided; empty for the default."""


class Decisions(Protocol):
    """The policy that approvers change (orchestrator.policy.Policy)."""

    async def set(self, key: str, value: str, set_by: str) -> Decided:
        """Decide. Raises InputError, and StoreError when it could not be kept."""

    def setting(self, key: str) -> Decided:
        """One policy. Raises UnknownName."""

    def settings(self) -> Sequence[Decided]:
        """All of them."""


@dataclass(slots=True)
class Administration:
    """Obeys approvers; everybody else is told whom to ask."""

    policy: Decisions
    gate: Gate
    voice: Voice

    async def obey(self, item: Incoming, command: TypedCommand) -> None:
        """`channel: ...` or `policy ...`."""
        await self.gate.require_approver(item.user_id)
        if command.name == "channel":
            await self._channel(item, command.rest)
        else:
            await self._policy(item, command.rest)

    async def _channel(self, item: Incoming, wanted: str) -> None:
        if item.direct:
            raise InputError(f"In a direct message I always answer. In a channel: {CHANNEL_USAGE}")
        wanted = wanted.lower().strip(" .!")
        if wanted in ("learning off", "learning on"):
            decided = wanted.partition(" ")[2]
            now = await self.policy.set(f"{LEARNING}.{item.channel_id}", decided, item.user_id)
            await self.voice.tell(item, LEARNING_TOLD[now.value], openly=True)
            return
        key = f"speak.{item.channel_id}"
        if wanted not in SPEAKING:
            as_now = SPEAKING[self.policy.setting(key).value]
            raise InputError(f"Here I answer {as_now}. {CHANNEL_USAGE}")
        await self.policy.set(key, wanted, item.user_id)
        text = f"From now on I answer here {SPEAKING[wanted]}."
        await self.voice.tell(item, text, openly=True)

    async def _policy(self, item: Incoming, rest: str) -> None:
        verb, _, rest = rest.partition(" ")
        words = _ID_IN_KEY.sub(r"\1", rest.replace("`", "")).split()
        if verb == "set" and len(words) >= 2:
            set_to = await self.policy.set(words[0], " ".join(words[1:]), item.user_id)
            text = f"`{set_to.key}` is {set_to.value} now (default {set_to.default})."
            await self.voice.tell(item, text)
        elif verb in ("", "show") and len(words) <= 1:
            shown = [self.policy.setting(words[0])] if words else self.policy.settings()
            text = "\n".join(_line(setting) for setting in shown)
            await self.voice.tell(item, text, [section(escaped(text)), section(POLICY_USAGE)])
        else:
            raise InputError(POLICY_USAGE)


def _line(setting: Decided) -> str:
    by = f", decided by {setting.set_by}" if setting.set_by else ""
    return f"• {setting.key}: {setting.value} ({setting.about}{by})"
