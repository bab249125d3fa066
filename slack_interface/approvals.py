"""Cards of findings and proposals: posted once, rewritten when they move, over any restart.

A card is posted where improvements are shown, or else to each approver in their direct message.
What it shows is named by the record's revision; whoever finds a card that shows an older one
rewrites it. So an event, a look each minute and another process may all ask for the same.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import structlog

from database.errors import VirtuousError
from database.learning import Finding, Proposal, ProposalState
from database.records import Reader
from slack_interface.gate import Gate
from slack_interface.incoming import Card
from slack_interface.learning_cards import (
    STILL_WAITING_S,
    Suggestion,
    finding_card,
    proposal_card,
    result_text,
)
from slack_interface.outgoing import Kept, Post
from slack_interface.places import Places
from slack_interface.ports import ImprovementPort
from slack_interface.proactive import Proactive

log = structlog.get_logger()

FRESH_S = 2 * 86_400.0
"""What moved longer ago and has no card gets none, unless it waits for a decision."""
LOOKED_AT = 200
RESULTS: frozenset[ProposalState] = frozenset({"verified", "rolled_back"})

Subject = Literal["proposal", "finding"]


@dataclass(frozen=True, slots=True)
class Where:
    """A place where cards stand: its channel, who reads there, and what ends its cards' ids."""

    channel_id: str
    audiences: frozenset[str]
    suffix: str = ""


@dataclass(slots=True)
class Approvals:
    """Shows cards; what is decided, others decide."""

    improvement: ImprovementPort
    gate: Gate
    places: Places
    proactive: Proactive
    channel_id: str = ""
    clock: Callable[[], float] = time.time
    _queued: set[str] = field(default_factory=set)

    async def moved(self, record: Proposal | Finding) -> None:
        """Something moved: show it as it is now."""
        if isinstance(record, Proposal):
            now = await self.improvement.proposal(record.proposal_id)
            await self._show_proposals([now or record])
        else:
            found = await self.improvement.finding(record.finding_id)
            await self._show_findings([found or record])

    async def look(self) -> None:
        """Show what a crash, another process or a time without Slack left unshown."""
        await self._show_proposals(await self.improvement.proposals(limit=LOOKED_AT))
        since = self.clock() - FRESH_S
        await self._show_findings(await self.improvement.findings(since=since, limit=LOOKED_AT))

    async def wheres(self) -> Sequence[Where]:
        """The improvements channel, or else the direct messages of those who decide."""
        if self.channel_id:
            kind = await self.places.placed(self.channel_id)
            reader = self.places.reader_of_place(Reader(""), self.channel_id, kind)
            return [Where(self.channel_id, reader.audiences())]
        found = []
        for user_id in self.gate.named:
            if channel := await self.gate.voice.direct_channel(user_id):
                reader = await self.places.reader(user_id)
                found.append(Where(channel, reader.audiences(), f"@{user_id}"))
        return found

    async def card_at(self, channel_id: str, ts: str) -> tuple[Subject, str] | None:
        """What the card that is this message is about: of which kind, and its id."""
        for kept in await self.proactive.outgoing.kept():
            if kept.ts == ts and kept.channel_id == channel_id:
                kind, _, rest = kept.post_id.partition(":")
                if kind == "proposal":
                    return "proposal", rest.partition("@")[0]
                return ("finding", rest.partition("@")[0]) if kind == "finding" else None
        return None

    async def suggestion(self, proposal: Proposal) -> Suggestion:
        """A proposal with what its card shows besides."""
        before = [await self.improvement.before(change) for change in proposal.changes[:4]]
        trial = await self.improvement.trial_of(proposal.proposal_id)
        return Suggestion(proposal, trial, before, self.gate.approvers_in_words())

    # Showing

    async def _show_proposals(self, proposals: Sequence[Proposal]) -> None:
        cards = await self._cards()
        wheres = await self.wheres()
        for proposal in reversed(proposals):
            for where in wheres:
                card_id = f"proposal:{proposal.proposal_id}{where.suffix}"
                try:
                    await self._show_proposal(proposal, where, card_id, cards.get(card_id))
                except VirtuousError as error:
                    log.warning("card_not_shown", card=card_id, error=str(error))

    async def _show_proposal(
        self, proposal: Proposal, where: Where, card_id: str, kept: Kept | None
    ) -> None:
        version = f"{card_id}:{proposal.revision}{self._stage(proposal)}"
        if (kept and kept.shown == version) or (kept is None and not self._worth(proposal)):
            return
        suggestion = await self.suggestion(proposal)
        if kept and proposal.state in RESULTS:
            # First: a crash between the two leaves the card as it was, to be looked at again.
            check = await self.improvement.verification_of(proposal.proposal_id)
            text = result_text(proposal, check, proposal.audience in where.audiences)
            result = Post(f"result:{version}", where.channel_id, text, under=card_id)
            await self.proactive.outgoing.post(result)
        card = proposal_card(suggestion, where.audiences, self.clock())
        await self._put(card_id, version, where, card, known=kept is not None)

    async def _show_findings(self, findings: Sequence[Finding]) -> None:
        cards = await self._cards()
        wheres = await self.wheres()
        for finding in reversed(findings):
            for where in wheres:
                card_id = f"finding:{finding.finding_id}{where.suffix}"
                version = f"{card_id}:{finding.revision}"
                kept = cards.get(card_id)
                if kept is None and not _worth_a_card(finding):
                    continue
                if kept is None or kept.shown != version:
                    card = finding_card(finding, where.audiences)
                    known = kept is not None
                    await self._put(card_id, version, where, card, known=known, most=0.5)

    async def _put(
        self,
        card_id: str,
        version: str,
        where: Where,
        card: Card,
        *,
        known: bool,
        most: float = 1.0,
    ) -> None:
        """Queue it; the first of a card counts among the day's posts."""
        text, blocks = card
        post = Post(version, where.channel_id, text, blocks, rewrites=card_id)
        if known or card_id in self._queued:
            await self.proactive.outgoing.post(post)
        elif await self.proactive.post_improvement(post, most):
            self._queued.add(card_id)

    async def _cards(self) -> dict[str, Kept]:
        cards = {kept.post_id: kept for kept in await self.proactive.outgoing.kept()}
        self._queued -= cards.keys()
        return cards

    def _stage(self, proposal: Proposal) -> str:
        """A card that nobody decided says so after a while, once."""
        waits = self.clock() - proposal.moved_at if proposal.state == "awaiting" else 0.0
        return ":waiting" if waits >= STILL_WAITING_S else ""

    def _worth(self, proposal: Proposal) -> bool:
        """Whether something that has no card yet gets one."""
        fresh = self.clock() - proposal.moved_at < FRESH_S
        match proposal.state:
            case "awaiting":
                return True
            case "live" | "verified" | "rolled_back":
                return fresh
            case _:
                return False


def _worth_a_card(finding: Finding) -> bool:
    """Weak patterns and notes are in the summary; what people set aside is past."""
    return finding.state == "open" and finding.kind != "note" and finding.strength != "weak"
