"""Cards of findings and proposals: posted once, rewritten when they move, over any restart.

A card is posted where improvements are shown, or else to each approver in their direct message.
What it shows is named by the record's revision; whoever finds a card that shows an older one
rewrites it. So an event, a look each minute and another process may all ask for the same.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from cachetools import TTLCache

from database.errors import VirtuousError
from database.learning import Finding, Proposal, ProposalState, Trial
from database.records import Reader
from orchestrator.kind_names import named
from slack_interface.gate import Gate
from slack_interface.incoming import Card
from slack_interface.learning_cards import (
    STILL_WAITING_S,
    Suggestion,
    finding_card,
    proposal_card,
    result_text,
)
from slack_interface.learning_words import requests_of, texts
from slack_interface.outgoing import Kept, Post
from slack_interface.places import Places
from slack_interface.ports import ImprovementPort, Record
from slack_interface.proactive import Proactive

log = structlog.get_logger()

FRESH_S = 2 * 86_400.0
"""What moved longer ago and has no card gets none, unless it waits for a decision."""
STANDING: frozenset[ProposalState] = frozenset({"awaiting", "live"})
"""Their cards change without a move."""
LOOKED_AT = 200
MOST = 10_000
DIRECT_S = 300.0
FIRST_USES = 8
RESULTS: frozenset[ProposalState] = frozenset({"verified", "rolled_back"})

Moved = TypeVar("Moved", Proposal, Finding)
Cards = dict[str, dict[str, Kept]]
"""Every card that stands somewhere, by what it is about and then by its id."""


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
    record: Record
    channel_id: str = ""
    clock: Callable[[], float] = time.time
    _showing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _looked: bool = False
    _queued: set[str] = field(default_factory=set)
    _directs: TTLCache[str, str] = field(
        default_factory=lambda: TTLCache(1_000, DIRECT_S, timer=time.monotonic)
    )

    async def moved(self, record: Proposal | Finding) -> None:
        """Something moved: show it as it is now."""
        async with self._showing:
            if isinstance(record, Proposal):
                now = await self.improvement.proposal(record.proposal_id)
                await self._show_proposals([_later(record, now)])
            else:
                found = await self.improvement.finding(record.finding_id)
                await self._show_findings([_later(record, found)])

    async def look(self) -> None:
        """Show what a crash, another process or a time without Slack left unshown."""
        async with self._showing:
            since = self.clock() - FRESH_S
            await self._show_proposals(await self._to_show(since))
            findings = await self.improvement.findings(since=since, limit=LOOKED_AT)
            await self._show_findings(findings)

    async def _to_show(self, since: float) -> Sequence[Proposal]:
        """What waits or is live, what moved lately and, at first, whatever has a card."""
        still = await self.improvement.proposals(STANDING, MOST, "waits_longest")
        lately = await self.improvement.proposals(None, MOST, "moved_last", since)
        found = {proposal.proposal_id: proposal for proposal in (*still, *lately)}
        for card in await self._cards() if not self._looked else ():
            kind, _, proposal_id = card.partition(":")
            if kind != "proposal" or proposal_id in found:
                continue
            if known := await self.improvement.proposal(proposal_id):
                found[proposal_id] = known
        self._looked = True
        return sorted(found.values(), key=lambda p: p.moved_at, reverse=True)

    async def wheres(self) -> Sequence[Where]:
        """The improvements channel, or else the direct messages of those who decide."""
        if self.channel_id and await self.places.is_in(self.channel_id):
            where = await self._where(self.channel_id)
            # Who reads there is not known just now: the next look shows it.
            return [where] if self.places.told(self.channel_id) else []
        found = []
        for user_id in await self.gate.deciders():
            if channel := await self._direct(user_id):
                found.append(await self._where(channel, user_id))
        return found

    async def show_to(self, user_id: str, proposal: Proposal) -> None:
        """The card in somebody's direct message, because they asked for it."""
        if channel := await self._direct(user_id):
            where = await self._where(channel, user_id)
            card_id = f"proposal:{proposal.proposal_id}{where.suffix}"
            suggestion = await self.suggestion(proposal, where.audiences)
            card = proposal_card(suggestion, where.audiences, self.clock())
            version = f"{card_id}:{proposal.revision}{self._stage(proposal, suggestion.check)}"
            await self._put(card_id, version, where, card, known=True)

    async def _direct(self, user_id: str) -> str:
        if user_id not in self._directs:
            self._directs[user_id] = await self.gate.voice.direct_channel(user_id) or ""
        return self._directs[user_id]

    async def _where(self, channel_id: str, user_id: str = "") -> Where:
        """A place by its channel; `user_id` is whose direct message it is."""
        if user_id:
            reader = await self.places.reader(user_id)
            return Where(channel_id, reader.audiences(), f"@{user_id}")
        kind = await self.places.placed(channel_id)
        reader = self.places.reader_of_place(Reader(""), channel_id, kind)
        return Where(channel_id, reader.audiences())

    async def _targets(self, card: str, wheres: Sequence[Where], cards: Cards) -> list[Where]:
        """Where a card stands or should: also where improvements were shown before."""
        found = {where.suffix: where for where in wheres}
        for card_id, kept in cards.get(card, {}).items():
            suffix = card_id.removeprefix(card)
            if suffix not in found or found[suffix].channel_id != kept.channel_id:
                where = await self._where(kept.channel_id, suffix.removeprefix("@"))
                if suffix or self.places.told(kept.channel_id):
                    found[suffix] = where
        return list(found.values())

    async def card_at(self, channel_id: str, ts: str) -> str | None:
        """The id of the finding or proposal whose card this message is."""
        for kept in await self.proactive.outgoing.kept():
            if kept.ts == ts and kept.channel_id == channel_id:
                kind, _, rest = kept.post_id.partition(":")
                return rest.partition("@")[0] if kind in ("proposal", "finding") else None
        return None

    async def suggestion(self, proposal: Proposal, audiences: Collection[str]) -> Suggestion:
        """A proposal with what its card shows besides, where these may read it."""
        before = [await self.improvement.before(change) for change in proposal.changes[:4]]
        trial = await self.improvement.trial_of(proposal.proposal_id)
        example = await self._example(proposal, audiences) if proposal.task_type else ""
        check = await self._check(proposal)
        approvers = self.gate.approvers_in_words()
        [proposal] = await named([proposal], self.record, audiences)
        return Suggestion(proposal, trial, before, approvers, example, check)

    async def _check(self, proposal: Proposal) -> Trial | None:
        """How a proposal does that is live."""
        if proposal.state != "live":
            return None
        return await self.improvement.verification_of(proposal.proposal_id)

    async def _example(self, proposal: Proposal, audiences: Collection[str]) -> str:
        """A request of the kind that a proposal is for, as far as it may be shown."""
        for run_id in texts(proposal.evidence, "runs")[:3]:
            run = await self.record.run(run_id)
            if run and run.audience in audiences and proposal.audience in audiences:
                return run.request
        return ""

    # Showing

    async def _show_proposals(self, proposals: Sequence[Proposal]) -> None:
        cards, wheres = await self._cards(), await self.wheres()
        full: set[str] = set()
        for proposal in reversed(proposals):
            await asyncio.sleep(0)  # people's messages go on between two of them
            card = f"proposal:{proposal.proposal_id}"
            known = cards.get(card, {})
            if not (known or self._waits(card) or self._worth(proposal)):
                continue
            for where in await self._targets(card, wheres, cards):
                card_id = card + where.suffix
                kept = known.get(card_id)
                if where.channel_id in full and kept is None and card_id not in self._queued:
                    continue
                try:
                    if not await self._show_proposal(proposal, where, card_id, kept):
                        full.add(where.channel_id)
                except VirtuousError as error:
                    log.warning("card_not_shown", card=card_id, error=str(error))

    async def _show_proposal(
        self, proposal: Proposal, where: Where, card_id: str, kept: Kept | None
    ) -> bool:
        """False where nothing new may be posted today."""
        stage = self._stage(proposal, await self._check(proposal))
        version = f"{card_id}:{proposal.revision}{stage}"
        known = kept is not None or card_id in self._queued
        if (kept and _shows(kept, version)) or not (known or self._worth(proposal)):
            return True
        suggestion = await self.suggestion(proposal, where.audiences)
        if kept and proposal.state in RESULTS:
            # First: a crash between the two leaves the card as it was, to be looked at again.
            check = await self.improvement.verification_of(proposal.proposal_id)
            text = result_text(suggestion.proposal, check, proposal.audience in where.audiences)
            result = Post(f"result:{version}", where.channel_id, text, under=card_id)
            await self.proactive.outgoing.post(result)
        card = proposal_card(suggestion, where.audiences, self.clock())
        return await self._put(card_id, version, where, card, known=known)

    async def _show_findings(self, findings: Sequence[Finding]) -> None:
        cards, wheres = await self._cards(), await self.wheres()
        for finding in reversed(findings):
            card = f"finding:{finding.finding_id}"
            known = cards.get(card, {})
            if not (known or self._waits(card) or _worth_a_card(finding)):
                continue
            for where in await self._targets(card, wheres, cards):
                await self._show_finding(finding, where, card + where.suffix, known)

    async def _show_finding(
        self, finding: Finding, where: Where, card_id: str, known: Mapping[str, Kept]
    ) -> None:
        version = f"{card_id}:{finding.revision}"
        kept = known.get(card_id)
        stands = kept is not None or card_id in self._queued
        if (kept and _shows(kept, version)) or not (stands or _worth_a_card(finding)):
            return
        [shown] = await named([finding], self.record, where.audiences)
        card = finding_card(shown, where.audiences)
        await self._put(card_id, version, where, card, known=stands, most=0.5)

    async def _put(
        self,
        card_id: str,
        version: str,
        where: Where,
        card: Card,
        *,
        known: bool,
        most: float = 1.0,
    ) -> bool:
        """Queue it; the first of a card counts among the day's posts: False when these are used."""
        text, blocks = card
        post = Post(version, where.channel_id, text, blocks, rewrites=card_id)
        if known:
            await self.proactive.outgoing.post(post)
        elif await self.proactive.post_improvement(post, most):
            self._queued.add(card_id)
        else:
            return await self.proactive.outgoing.knows(version)
        return True

    async def _cards(self) -> Cards:
        found: Cards = {}
        for kept in await self.proactive.outgoing.kept():
            found.setdefault(kept.post_id.partition("@")[0], {})[kept.post_id] = kept
            self._queued.discard(kept.post_id)
        return found

    def _waits(self, card: str) -> bool:
        """Whether the first of a card is on its way."""
        return any(card_id.partition("@")[0] == card for card_id in self._queued)

    def _stage(self, proposal: Proposal, check: Trial | None) -> str:
        """A card that nobody decided says so after a while, once; what is live, how it does.

        That is said when as many requests again were seen.
        """
        if check is not None:
            seen = requests_of(check) or 0
            return f":used{seen.bit_length()}" if seen >= FIRST_USES else ""
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


def _later(one: Moved, other: Moved | None) -> Moved:
    """The newer of two readings of a record."""
    return other if other and other.revision >= one.revision else one


def _shows(kept: Kept, version: str) -> bool:
    """Whether a card shows this version, or a later one that another reading knew of."""
    if kept.shown == version:
        return True
    shown, now = (text.removeprefix(f"{kept.post_id}:") for text in (kept.shown, version))
    return _number(shown) > _number(now)


def _number(version: str) -> int:
    number = version.partition(":")[0]
    return int(number) if number.isdigit() else 0


def _worth_a_card(finding: Finding) -> bool:
    """Weak patterns and notes are in the summary; what people set aside is past."""
    return finding.state == "open" and finding.kind != "note" and finding.strength != "weak"
