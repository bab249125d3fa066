"""What people say and press about learning: done as them, with the rights that they have.

Nothing here decides: the port does, and asks again who may. What cannot be done is an InputError
whose words the person sees.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from database.errors import InputError, NotAllowed, UnknownName
from database.learning import Change, Finding, Proposal
from database.records import PUBLIC
from orchestrator.kind_names import named
from orchestrator.policy import Mode
from slack_interface.approvals import Approvals
from slack_interface.blocks import section
from slack_interface.incoming import Incoming, Json
from slack_interface.learning_answers import Records, answer, metrics_lines
from slack_interface.learning_edits import edited, with_line
from slack_interface.learning_evidence import why_card
from slack_interface.learning_forms import discussion
from slack_interface.learning_home import LearningPage, learning_teaser
from slack_interface.learning_questions import Question, Said, question
from slack_interface.learning_sources import evidence_of
from slack_interface.learning_summary import DAY_S, Day, summary
from slack_interface.learning_words import ID_CHARS
from slack_interface.outgoing import Post
from slack_interface.ports import ImprovementPort, Record
from slack_interface.voice import Voice

LOOKED_AT = 1_000
"""So many proposals are read for an answer."""
LATE_HOURS = 4
"""A morning summary is still posted so late, when nothing ran before."""
MONTH_S = 30 * 86_400.0
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


class SummaryPolicy(Protocol):
    """What approvers decided about the morning summary."""

    def summary_hour(self) -> int | None:
        """The hour (UTC) at which it is posted; None where there is none."""


@dataclass(slots=True)
class Learning:
    """Acts and answers; each act shows its card as it is then."""

    improvement: ImprovementPort
    approvals: Approvals
    policy: SummaryPolicy
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
            case "back":
                await self._take_back(item)
            case _:
                raise UnknownName("I do not know that button any more: it is of an older version.")

    async def switch(self, item: Incoming, to: str) -> None:
        """Turn learning on, off, or let it pause."""
        await self.approvals.gate.require_approver(item.user_id)
        await self.improvement.switch(to, item.user_id)
        await self.voice.tell(item, SWITCHED[to], openly=item.direct)

    async def _decide(self, item: Incoming, approve: bool, reason: str) -> None:
        await self.approvals.gate.require_approver(item.user_id)
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
        await self.approvals.gate.require_approver(item.user_id)
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
        if finding.audience not in await self.audiences_of(item.user_id):
            raise NotAllowed("It rests on conversations that you may not read: nothing was noted.")
        judged = await self.improvement.judge_finding(finding.finding_id, item.user_id, verified)
        await self.approvals.moved(judged)

    async def set_mode(self, agent: str, mode: str, user_id: str) -> None:
        """How an agent's changes go live, decided by an approver."""
        await self.approvals.gate.require_approver(user_id)
        if mode in MODES:
            await self.improvement.set_mode(agent, cast(Mode, mode), user_id)

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
        await self.approvals.gate.require_approver(item.user_id)
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

    async def heard_below(self, item: Incoming, said: Said, identifier: str) -> None:
        """Do what a word asks for in the thread of the card about `identifier`."""
        if said.act == "why":
            await self._show_why(item, await self._found(identifier), openly=True)
        elif said.act == "conclude":
            await self.approvals.gate.require_approver(item.user_id)
            proposal = await self._proposal(identifier)
            changes = with_line(proposal, said.words)
            await self._revise(item, proposal, changes, said.words)
        else:
            await self._decide(replace(item, subject=identifier), said.act == "approve", said.words)

    async def why(self, item: Incoming, prefix: str) -> None:
        """The evidence for an id, or the beginning of one that is long enough to be no accident."""
        if len(prefix) < ID_CHARS:
            raise UnknownName(NOT_HERE)
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
        [record] = await named([record], self.record, audiences)
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
        audiences = await self._audiences(item, openly=True)
        records = await self._records(asked.since, asked.until, audiences)
        text, blocks = answer(asked, records, audiences)
        await self.voice.tell(item, text, blocks, openly=True)

    async def switch_or_show(self, item: Incoming, to: str) -> None:
        """Turn learning `on`, `paused` or `off`; else say how it stands."""
        if to in SWITCHED:
            await self.switch(item, to)
            return
        status = await self.improvement.status()
        because = f" ({status.because})" if status.because else ""
        text = (
            f"Learning is {status.switch}{because}. Say `learning on`, `learning paused` or "
            "`learning off`; my Home tab shows all of it."
        )
        await self.voice.tell(item, text, [section(text)])

    async def page(self, user_id: str) -> LearningPage:
        """What the learning page shows to somebody. Raises StoreError."""
        now, audiences = self.clock(), await self.audiences_of(user_id)
        return LearningPage(
            status=await self.improvement.status(),
            audiences=audiences,
            now=now,
            approver=await self.approvals.gate.is_approver(user_id),
            proposals=await self._proposals(audiences),
            trials=await self.improvement.trials(),
            figures=await self.improvement.figures(now - MONTH_S, now),
        )

    async def teaser(self) -> list[Json]:
        """What Home says of learning. Raises StoreError."""
        waiting = await self.improvement.proposals({"awaiting"})
        return learning_teaser(await self.improvement.status(), len(waiting))

    async def metrics(self, since: float) -> list[str]:
        """What `/metrics` says of learning. Raises StoreError."""
        figures = await self.improvement.figures(since, self.clock())
        agents = (await self.improvement.status()).agents
        return metrics_lines(figures, agents, frozenset({PUBLIC}))

    async def look_at_the_clock(self) -> None:
        """The morning's summary, once a day when it is time for it, over all processes."""
        now = self.clock()
        hour, at = self.policy.summary_hour(), datetime.fromtimestamp(now, UTC)
        if hour is None or not hour <= at.hour < hour + LATE_HOURS:
            return
        date = at.date().isoformat()
        if await self.approvals.gate.claims.claim(f"summary:{date}", 2 * DAY_S):
            await self.summarise(now, date)

    async def summarise(self, now: float, name: str) -> None:
        """The summary, where improvements are shown; nothing where nothing happened."""
        for where in await self.approvals.wheres():
            records = await self._records(now - DAY_S, now, where.audiences)
            if card := summary(Day(records, now - DAY_S, now), where.audiences):
                post = Post(f"summary:{name}{where.suffix}", where.channel_id, *card)
                await self.approvals.proactive.post_improvement(post)

    # Shared

    async def _records(self, since: float, until: float, audiences: Collection[str]) -> Records:
        """What a period's answers are made from; what is open comes from before it, too."""
        findings = await self.improvement.findings(since=min(since, until - MONTH_S))
        return Records(
            findings=await named(findings, self.record, audiences),
            proposals=await self._proposals(audiences),
            trials=await self.improvement.trials(),
            figures=await self.improvement.figures(since, until),
            status=await self.improvement.status(),
        )

    async def _proposals(self, audiences: Collection[str]) -> Sequence[Proposal]:
        proposals = await self.improvement.proposals(limit=LOOKED_AT)
        return await named(proposals, self.record, audiences)

    async def _audiences(self, item: Incoming, openly: bool) -> Collection[str]:
        """What everybody who sees the answer may read: the person, or all who read the place."""
        places = self.approvals.places
        reader = await places.reader(item.user_id)
        if openly and not item.direct:
            reader = places.reader_of_place(reader, item.channel_id, item.channel_type)
        return reader.audiences()

    async def audiences_of(self, user_id: str) -> Collection[str]:
        """What somebody may read."""
        return (await self.approvals.places.reader(user_id)).audiences()

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
