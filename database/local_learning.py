"""What learning decided at Supabase, kept in the local record (see local_copy.py), and what was
decided here while Supabase was away, on its way there."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from database.audit import HOUSE
from database.errors import UnreadableRow
from database.learning_rows import DECIDED, packed
from database.rows import from_json, say_unreadable
from database.sqlite_backend import SqliteBackend

_AT_ONCE = 200
_ALL = 10_000

_log = structlog.get_logger(__name__)


class Functions(Protocol):
    """Supabase's SQL functions (supabase_client.SupabaseClient)."""

    async def call(self, function: str, *, read: bool = False, **arguments: Any) -> Any:
        """What a function answers."""


class LocalLearning:
    """Learning's part of the copy of one workspace.

    `take_documents` and `take_policy` are the copy's; `one_at_a_time` is the lock that it holds
    while it is being changed.
    """

    def __init__(
        self,
        local: SqliteBackend,
        functions: Functions,
        one_at_a_time: asyncio.Lock,
        take_documents: Callable[[Sequence[Mapping[str, Any]]], None],
        take_policy: Callable[[Sequence[Mapping[str, Any]]], None],
    ) -> None:
        self._learned = local.learned
        self._functions = functions
        self._workspace = local.workspace
        self._take_documents = take_documents
        self._take_policy = take_policy
        self._seen = 0
        self.differs = False
        self.one_at_a_time = one_at_a_time

    async def take_changed(self) -> None:
        """Take over what was decided since the last time, or all of it the first time."""
        furthest = self._seen
        for table in DECIDED:
            after = self._seen
            while found := await self._ask(
                "learned_since", of_table=table, p_after=after, p_limit=_AT_ONCE
            ):
                self._learned.take(table, found)
                after = found[-1]["change"]
                furthest = max(furthest, after)
        self._seen, self.differs = furthest, False

    def look_at_all(self) -> None:
        """Take over everything the next time: what is here may differ without having changed."""
        self._seen, self.differs = 0, True

    def take_decided(self, sent: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """What this process has just decided there."""
        for table in DECIDED:
            found = [{**row, "change": answer["change"]} for row in sent[table]]
            self._learned.take(table, found)
        if answer["documents"]:
            self._take_documents(answer["documents"])
        if answer["policy"] is not None:
            self._take_policy(answer["policy"])

    async def take_refused(self, answer: Mapping[str, Any]) -> None:
        """Whoever was refused is to see why."""
        if answer["refused"] == "moved":
            await self.take_changed()
        else:
            names = [[answer["kind"], answer["name"]]]
            self._take_documents(await self._ask("documents_named", names=names))

    # Decisions that wait

    async def send_waiting(self) -> bool:
        """Bring there what was decided here while it was away; whether there was anything.

        Raises RecordAway.
        """
        arrived = False
        for seq, text in self._learned.waiting():
            try:
                decision = from_json(text, "decision", dict)
            except UnreadableRow as error:
                say_unreadable("waiting_decisions", str(seq), problem=str(error))
                continue
            answer = await self._decide(decision)
            if "refused" in answer:
                _log.warning("late_decision_refused", why=answer["refused"])
                await self._decide(_refused_late(decision, answer))
            self._learned.not_waiting(seq)
            arrived = True
        if arrived:
            self.look_at_all()
        return arrived

    async def _decide(self, decision: Mapping[str, Any]) -> Any:
        return await self._functions.call("decide", p_workspace=self._workspace, decision=decision)

    # A home that had a record of its own before

    async def adopt(self) -> None:
        """Bring there what was decided here before Supabase was configured.

        What learners remember counts the runs of this file, and so is left behind.
        """
        await self._adopt_audit()
        found = await self._ask("learned_since", of_table="learner_states", p_after=0,
                                p_limit=_ALL)  # fmt: skip
        self._learned.keep_learners({row["learner"] for row in found})
        for table in ("proposals", "trials", "findings"):
            found = self._learned.raw(table)
            for first in range(0, len(found), _AT_ONCE):
                await self._call("adopt_learned", of_table=table,
                                 rows=found[first : first + _AT_ONCE])  # fmt: skip

    async def _adopt_audit(self) -> None:
        """Go on with the log there where it is the beginning of ours, or note where ours ends."""
        ours = self._learned.audit_behind("")
        if not ours or await self._ask("audit_knows", p_digest=ours[-1]["digest"]):
            return
        head = (await self._ask("audit_rows", after=0, page=0))["head"]
        entries = self._learned.audit_behind(head["digest"] if head else "")
        if not entries:
            await self._decide(_noted([_joined(ours)], f"joined {ours[-1]['digest']}"))
            return
        people = self._learned.raw("audit_people")
        for first in range(0, len(entries), _AT_ONCE):
            part = entries[first : first + _AT_ONCE]
            if not await self._call("adopt_audit", entries=part, people=people):
                return

    async def _ask(self, function: str, **arguments: Any) -> Any:
        return await self._functions.call(
            function, read=True, p_workspace=self._workspace, **arguments
        )

    async def _call(self, function: str, **arguments: Any) -> Any:
        return await self._functions.call(function, p_workspace=self._workspace, **arguments)


def _refused_late(decision: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """That it was decided, and that somebody else had decided otherwise."""
    entries = [
        {**entry, "action": f"refused when it arrived ({answer['refused']}): {entry['action']}"}
        for entry in decision["audit"]
    ]
    return _noted(entries, decision["late"])


def _joined(ours: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """That decisions were made where this log was not: theirs has stayed in the home."""
    last = ours[-1]
    details = {"entries": len(ours), "late": f"joined {last['digest']}"}
    return {
        "at": round(time.time(), 3), "actor": HOUSE, "action": "log of a home kept apart",
        "subject": last["digest"], "details": packed(details), "people": [],
    }  # fmt: skip


def _noted(entries: Sequence[Mapping[str, Any]], late: str) -> dict[str, Any]:
    """A decision that only notes something, once."""
    nothing: dict[str, Any] = {table: [] for table in DECIDED}
    return {**nothing, "changes": [], "policy": [], "audit": entries, "late": late}
