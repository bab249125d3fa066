"""What people say and press about learning: done as them, with the rights that they have.

Nothing here decides: the port does, and asks again who may. What cannot be done is an InputError
whose words the person sees.
"""

import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from database.errors import InputError, NotAllowed, UnknownName
from database.learning import Change, Finding, Proposal
from orchestrator.policy import Mode
from slack_interface.approvals import Approvals
from slack_interface.blocks import section
from slack_interface.incoming import Incoming
from slack_interface.learning_answers import Records, answer
from slack_interface.learning_edits import edited, with_line
from slack_interface.learning_evidence import why_card
from slack_interface.learning_forms import discussion
from slack_interface.learning_questions import Question, question
from slack_interface.learning_sources import evidence_of
from slack_interface.outgoing import Post
from slack_interface.ports import ImprovementPort, Record
from slack_interface.voice import Voice

MODES: frozenset[str] = frozenset({"automatic", "ask", "paused"})
SWITCHED = {
    "on": "I learn again: what waited goes on.",
    "paused": (
        "I pause: nothing new is proposed, tried or made live. What is live stays. Say "
        "`learning on` to go on."
    ),
    "off": (
        "Learning is off: within a minute I answer as I was shipped. What I learned is kept; "
        "`learning on` brings it back."
    ),
}
NOT_HERE = (
    "I know nothing with that id any more. Ask `what patterns did you find?` for what I know."
)

_WHY = re.compile(
    r"^(?:but\s+)?(?:why|why (?:this|that|so)|(?:show|what(?:'s| is)|give)?\s*(?:me\s+)?(?:the\s+)?"
    r"evidence|how do you know(?: that)?)\s*[?!.]*$",
    re.IGNORECASE,
)
_WHY_ID = re.compile(r"^why\s+`?([0-9a-f]{8}[0-9a-f-]{0,28})`?\s*\??$", re.IGNORECASE)
_CONCLUDE = re.compile(r"^conclu(?:de|sion)\s*:\s*(.+)$", re.IGNORECASE | re.DOTALL)
_VERDICT = re.compile(r"^(approve|reject)(?:\s*:\s*(.*))?[.!]?$", re.IGNORECASE | re.DOTALL)

Act = Literal["why", "conclude", "approve", "reject"]


@dataclass(frozen=True, slots=True)
class Said:
    """A word in the thread of a card that means something there."""

    act: Act
    words: str = ""


def said_below(text: str) -> Said | None:
    """What a message in the thread of a card asks for, if anything."""
    text = text.strip()
    if _WHY.match(text):
        return Said("why")
    if match := _CONCLUDE.match(text):
        return Said("conclude", match.group(1).strip())
    if match := _VERDICT.match(text):
        act: Act = "approve" if match.group(1).lower() == "approve" else "reject"
        return Said(act, (match.group(2) or "").strip())
    return None


def id_asked_about(text: str) -> str:
    """The id in `why ID`; '' where nobody asks that."""
    match = _WHY_ID.match(text.strip())
    return match.group(1).lower() if match else ""


@dataclass(slots=True)
class Learning:
    """Acts and answers; each act shows its card as it is then."""

    improvement: ImprovementPort
    approvals: Approvals
    record: Record
    voice: Voice
    clock: Callable[[], float] = time.time

    # Clicks and forms

    async def obey(self, item: Incoming) -> None:
        """A button or a form: `command` says which, `subject` what it is about."""
        match item.command:
            case "approve" | "reject":
                await self._decide(item, item.command == "approve", item.text)
            case "discuss":
                await self._discuss(item)
            case "conclude":
                await self._conclude(item, item.subject)
            case "why":
                await self._show_why(item, await self._found(item.subject), openly=False)
            case "true" | "untrue":
                await self._judge(item, item.command == "true")
            case _:
                await self._limit(item)

    async def _limit(self, item: Incoming) -> None:
        """What bounds learning: what is live, whether it goes on, what goes live by itself."""
        match item.command:
            case "back":
                await self._take_back(item)
            case "on" | "paused" | "off":
                await self.switch(item, item.command)
            case "mode":
                await self._mode(item)
            case _:
                raise UnknownName("I do not know that button any more: it is of an older version.")

    async def switch(self, item: Incoming, to: str) -> None:
        """Turn learning on, off, or let it pause."""
        await self._require_approver(item)
        await self.improvement.switch(to, item.user_id)
        await self.voice.tell(item, SWITCHED[to], openly=item.direct)

    async def _decide(self, item: Incoming, approve: bool, reason: str) -> None:
        await self._require_approver(item)
        try:
            moved = await self.improvement.decide(item.subject, item.user_id, approve, reason)
        except InputError:
            now = await self.improvement.proposal(item.subject)
            if now:
                await self.approvals.moved(now)
            if now and item.resumed and now.decided_by == item.user_id:
                return  # done by the process that was killed before it could say so
            raise
        await self.approvals.moved(moved)

    async def _take_back(self, item: Incoming) -> None:
        await self._require_approver(item)
        try:
            moved = await self.improvement.roll_back(item.subject, item.user_id, item.text)
        except InputError:
            now = await self.improvement.proposal(item.subject)
            if now and item.resumed and now.state == "rolled_back":
                await self.approvals.moved(now)
                return
            raise
        await self.approvals.moved(moved)

    async def _judge(self, item: Incoming, verified: bool) -> None:
        finding = await self._finding(item.subject)
        judged = await self.improvement.judge_finding(finding.finding_id, item.user_id, verified)
        await self.approvals.moved(judged)

    async def _mode(self, item: Incoming) -> None:
        await self._require_approver(item)
        if item.text in MODES:
            await self.improvement.set_mode(item.subject, cast(Mode, item.text), item.user_id)

    # Discussing

    async def _discuss(self, item: Incoming) -> None:
        """Open the thread of the card; who decides, decides later."""
        proposal = await self._proposal(item.subject)
        if proposal.state != "awaiting":
            raise InputError(
                "It does not wait for a decision any more, so there is nothing to discuss here."
            )
        where = await self._card_in(item.channel_id, proposal)
        if where is None:
            raise InputError("Its card is not here any more: it waits in the learning page.")
        card_id, audiences = where
        text, blocks = discussion(proposal, item.user_id, proposal.audience in audiences)
        post = Post(
            f"discuss:{card_id}:{proposal.revision}", item.channel_id, text, blocks, under=card_id
        )
        if not await self.approvals.proactive.outgoing.post(post):
            await self.voice.tell(
                item, "The discussion is open already, in the thread of the card."
            )

    async def _conclude(self, item: Incoming, proposal_id: str) -> None:
        await self._require_approver(item)
        proposal = await self._proposal(proposal_id)
        changes = edited(proposal, item.inputs or {})
        await self._revise(item, proposal, changes, item.text)

    async def _revise(
        self, item: Incoming, proposal: Proposal, changes: Sequence[Change], why: str
    ) -> None:
        made = await self.improvement.revise(proposal.proposal_id, item.user_id, changes, why)
        if former := await self.improvement.proposal(proposal.proposal_id):
            await self.approvals.moved(former)
        await self.approvals.moved(made)
        text = (
            "Thank you: that is a suggestion of its own now, and takes the place of this one. I "
            "try it as any other and show you how it does."
        )
        await self.voice.tell(item, text)

    # In the thread of a card, and anywhere

    async def heard_below(self, item: Incoming, said: Said) -> bool:
        """Do what a word in a card's thread asks for; False where it is no card's thread."""
        about = await self.approvals.card_at(item.channel_id, item.thread_ts)
        if about is None:
            return False
        kind, identifier = about
        if said.act == "why":
            await self._show_why(item, await self._found(identifier), openly=True)
            return True
        if kind != "proposal":
            return False
        if said.act == "conclude":
            await self._require_approver(item)
            proposal = await self._proposal(identifier)
            changes = with_line(proposal, said.words)
            await self._revise(item, proposal, changes, said.words)
        else:
            await self._decide(replace(item, subject=identifier), said.act == "approve", said.words)
        return True

    async def why(self, item: Incoming, prefix: str) -> None:
        """The evidence for an id, or the beginning of one."""
        proposals = await self.improvement.proposals(limit=1_000)
        findings = await self.improvement.findings(limit=1_000)
        for proposal in proposals:
            if proposal.proposal_id.startswith(prefix):
                return await self._show_why(item, proposal, openly=True)
        for finding in findings:
            if finding.finding_id.startswith(prefix):
                return await self._show_why(item, finding, openly=True)
        raise UnknownName(NOT_HERE)

    async def _show_why(self, item: Incoming, record: Finding | Proposal, *, openly: bool) -> None:
        audiences = await self._audiences(item, openly)
        trial = None
        if isinstance(record, Proposal):
            trial = await self.improvement.trial_of(record.proposal_id)
        evidence = await evidence_of(record, trial, self.record, audiences)
        text, blocks = why_card(record, evidence, audiences)
        await self.voice.tell(item, text, blocks, openly=openly)

    # Questions

    async def question_in(self, item: Incoming, text: str) -> Question | None:
        """The question about learning in a message, in the person's own days."""
        person = await self.record.person(item.user_id)
        zone = _zone(str((person and person.settings.get("time_zone")) or ""))
        return question(text, datetime.fromtimestamp(self.clock(), UTC).astimezone(zone))

    async def tell(self, item: Incoming, asked: Question) -> None:
        """Answer it from the records, with what everybody who reads it may see."""
        since = min(asked.since, self.clock() - 30 * 86_400.0)
        records = Records(
            findings=await self.improvement.findings(since=since, limit=1_000),
            proposals=await self.improvement.proposals(limit=1_000),
            trials=await self.improvement.trials(),
            figures=await self.improvement.figures(asked.since, asked.until),
            status=await self.improvement.status(),
        )
        audiences = await self._audiences(item, openly=True)
        text, blocks = answer(asked, records, audiences)
        await self.voice.tell(item, text, blocks, openly=True)

    async def show_switch(self, item: Incoming) -> None:
        """How learning stands, in a line."""
        status = await self.improvement.status()
        because = f" ({status.because})" if status.because else ""
        text = (
            f"Learning is {status.switch}{because}. Say `learning on`, `learning paused` or "
            "`learning off`; my Home tab shows all of it."
        )
        await self.voice.tell(item, text, [section(text)])

    # Shared

    async def _audiences(self, item: Incoming, openly: bool) -> Collection[str]:
        """What everybody who sees the answer may read: the person, or all who read the place."""
        places = self.approvals.places
        reader = await places.reader(item.user_id)
        if openly and not item.direct:
            reader = places.reader_of_place(reader, item.channel_id, item.channel_type)
        return reader.audiences()

    async def _require_approver(self, item: Incoming) -> None:
        gate = self.approvals.gate
        if not await gate.is_approver(item.user_id):
            raise NotAllowed(f"Only {gate.approvers_in_words()} can decide that: please ask there.")

    async def _proposal(self, identifier: str) -> Proposal:
        proposal = await self.improvement.proposal(identifier)
        if proposal is None:
            raise UnknownName(NOT_HERE)
        return proposal

    async def _finding(self, identifier: str) -> Finding:
        finding = await self.improvement.finding(identifier)
        if finding is None:
            raise UnknownName(NOT_HERE)
        return finding

    async def _found(self, identifier: str) -> Finding | Proposal:
        return await self.improvement.proposal(identifier) or await self._finding(identifier)

    async def _card_in(
        self, channel_id: str, proposal: Proposal
    ) -> tuple[str, Collection[str]] | None:
        """The card of a proposal in a channel, and who reads there."""
        for where in await self.approvals.wheres():
            if where.channel_id == channel_id:
                return f"proposal:{proposal.proposal_id}{where.suffix}", where.audiences
        return None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
