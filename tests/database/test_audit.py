"""The audit log holds every decision, names nobody in the file, and shows any change made to it."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from database.audit import digest_of
from database.learning import AuditEntry, Change, Decision, Finding, Proposal, Trial
from database.records import PolicyChange
from database.store import RECORD, Store
from tests.supabase_server.server import SupabaseServer

CHANGES = (Change("agent", "poet", None, {"n": 1}),)
PROPOSAL = Proposal("p1", "cost-optimizer", "cheaper", "a secret", CHANGES, {"quote": "a secret"})


async def test_every_decision_is_there_by_itself(store: Store) -> None:
    await store.decide(Decision((PROPOSAL,), (Trial("t1", "p1", "shadow", "poet", "x", "y"),)))
    found = Finding("f1", "workflow-analyst", "note", "a secret", "a secret")
    await store.decide(Decision(findings=(found,)))
    await store.decide(
        Decision(findings=(replace(found, state="verified", decided_by="U1ADA", revision=2),))
    )
    live = replace(PROPOSAL, state="live", decided_by="U1ADA", revision=2)
    await store.decide(Decision((live,), changes=CHANGES, author="U1ADA"))
    gone = Change("agent", "poet", CHANGES[0].version, None)
    await store.decide(Decision(changes=(gone,)))
    await store.policy.add("approvers", "U1ADA,U2BOB", "U1ADA")
    entries = await store.audit()
    assert [(e.seq, e.actor, e.action, e.subject) for e in entries] == [
        (1, "cost-optimizer", "proposal proposed", "p1"),
        (2, "assistant", "trial running", "t1"),
        (3, "U1ADA", "finding verified", "f1"),
        (4, "U1ADA", "proposal live", "p1"),
        (5, "U1ADA", "document activated", "agent/poet"),
        (6, "assistant", "document retired", "agent/poet"),
        (7, "U1ADA", "policy set", "approvers"),
    ]
    assert entries[4].details == {"base": None, "version": CHANGES[0].version}
    assert entries[6].details == {"value": "U1ADA,U2BOB"}
    assert all(entry.at > 1e9 for entry in entries)
    assert "secret" not in repr(entries)
    assert await store.audit(since=5, limit=1) == entries[5:6]


async def test_what_a_decision_says_itself_is_not_said_twice(store: Store) -> None:
    own = AuditEntry("U1ADA", "approved", "p1", {"evidence": "hash", "n": 1.5}, at=1e9 + 0.25)
    alone = AuditEntry("improvement", "paused", "agent/poet", {"for": "<@U2BOB>"}, at=2e9)
    await store.decide(Decision((PROPOSAL,), audit=(own, alone)))
    first, second = await store.audit()
    assert (first.actor, first.action, first.details, first.at) == (
        "U1ADA", "approved", {"evidence": "hash", "n": 1.5}, 1e9 + 0.25,
    )  # fmt: skip
    assert second.details == {"for": "<@U2BOB>"}
    assert (first.previous, second.previous) == ("", first.digest)


async def test_the_file_names_nobody(store: Store, record: SupabaseServer | None,
                                     tmp_path: Path) -> None:  # fmt: skip
    await store.policy.add("person_tokens_per_day.U1ADA", "7", "U2BOB")
    kept = raw(record, tmp_path, "audit")
    assert "U1ADA" not in repr(kept)
    assert "U2BOB" not in repr(kept)
    [entry] = await store.audit()
    assert (entry.actor, entry.subject) == ("U2BOB", "person_tokens_per_day.U1ADA")


async def test_who_is_forgotten_is_not_named_and_the_chain_stays_whole(
    store: Store, record: SupabaseServer | None, tmp_path: Path
) -> None:
    await store.policy.add("person_tokens_per_day.U1ADA", "7", "U2BOB")
    await store.policy.add("speak", "mentions", "U1ADA")
    before = [row["digest"] for row in raw(record, tmp_path, "audit")]
    await store.forget("U1ADA")
    assert "U1ADA" not in repr(raw(record, tmp_path, "audit_people"))
    entries = await store.audit()
    assert [(e.actor, e.subject) for e in entries[:2]] == [
        ("U2BOB", "person_tokens_per_day.[forgotten]"),
        ("[forgotten]", "speak"),
    ]
    assert [e.digest for e in entries[:2]] == before
    assert (await store.audit_verify()).whole
    await store.policy.add("speak", "threads", "U1ADA")
    assert [e.actor for e in await store.audit()][-1] == "U1ADA", "who comes back is somebody new"
    assert [e.actor for e in await store.audit()][1] == "[forgotten]"


def raw(record: SupabaseServer | None, home: Path, table: str) -> list[dict[str, Any]]:
    if record is not None:
        with record.connect() as connection:
            found = connection.execute(
                f"select to_jsonb(t) from public.{table} t order by 1".encode()
            )
            return [row for (row,) in found]
    with closing(sqlite3.connect(home / RECORD)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]


def change(record: SupabaseServer | None, home: Path, sql: str) -> None:
    if record is not None:
        with record.connect() as connection:
            connection.execute(sql.encode())
        return
    with closing(sqlite3.connect(home / RECORD)) as connection:
        connection.execute(sql)
        connection.commit()


CHANGED = {
    "a detail": ('UPDATE audit SET details = \'{"value":"all"}\' WHERE seq = 2', 2, "changed"),
    "an actor": ("UPDATE audit SET actor = '@x' WHERE seq = 3", 3, "changed"),
    "a time": ("UPDATE audit SET at = at + 1 WHERE seq = 1", 1, "changed"),
    "an action": ("UPDATE audit SET action = 'nothing' WHERE seq = 4", 4, "changed"),
    "a subject": ("UPDATE audit SET subject = 'other' WHERE seq = 1", 1, "changed"),
    "a digest": ("UPDATE audit SET digest = 'x' WHERE seq = 2", 2, "changed"),
    "one taken out": ("DELETE FROM audit WHERE seq = 2", 3, "missing"),
    "the last taken off": ("DELETE FROM audit WHERE seq = 4", 4, "ends at 3"),
    "all taken away": ("DELETE FROM audit", 4, "ends at 0"),
    "the end moved": ("UPDATE audit_heads SET seq = 3", 3, "ends at 4"),
    "whom an entry names": (
        "UPDATE audit_people SET user_id = 'U9EVE' WHERE user_id = 'U2ADA'",
        3,
        "whom it names",
    ),
    "whom an entry names, and the salt": (
        "UPDATE audit_people SET user_id = '2ADA', salt = salt || 'U' WHERE user_id = 'U2ADA'",
        3,
        "whom it names",
    ),
    "whom two entries name": (
        "UPDATE audit_people SET (salt, digest) = (SELECT salt, digest FROM audit_people "
        "WHERE user_id = 'U3ADA') WHERE user_id = 'U2ADA'",
        4,
        "whom it names",
    ),
    "whom the entries do not name": (
        "INSERT INTO audit_people VALUES ('T1', 'U9EVE', 'x', 'y')",
        0,
        "U9EVE",
    ),
    "what cannot be read": ("UPDATE audit SET at = 1e300 WHERE seq = 2", 2, "changed"),
}


@pytest.mark.parametrize("what", CHANGED)
async def test_any_change_is_found(
    store: Store, record: SupabaseServer | None, tmp_path: Path, what: str
) -> None:
    for n in range(4):
        await store.policy.add("speak", str(n), f"U{n}ADA")
    good = await store.audit_verify()
    assert (good.entries, good.whole, good.broken) == (4, True, ())
    assert good.head == (await store.audit())[-1].digest
    sql, seq, words = CHANGED[what]
    change(record, tmp_path, sql)
    report = await store.audit_verify()
    assert not report.whole
    assert any(place == seq and words in why for place, why in report.broken), report.broken


async def test_what_was_put_between_is_found(
    store: Store, record: SupabaseServer | None, tmp_path: Path
) -> None:
    """Also with a digest of its own that is right."""
    for n in range(3):
        await store.policy.add("speak", str(n), "U1ADA")
    columns = "at, actor, action, subject, details, previous, digest"
    change(record, tmp_path, "DELETE FROM audit WHERE seq = 2")
    change(
        record, tmp_path,
        f"INSERT INTO audit (workspace, seq, {columns}) SELECT workspace, 2, {columns} "
        "FROM audit WHERE seq = 1",
    )  # fmt: skip
    assert not (await store.audit_verify()).whole


async def test_a_changed_entry_with_a_digest_of_its_own_is_found_by_the_next(
    store: Store, record: SupabaseServer | None, tmp_path: Path
) -> None:
    for n in range(3):
        await store.policy.add("speak", str(n), "U1ADA")
    row = {**raw(record, tmp_path, "audit")[1], "details": '{"value":"all"}'}
    sql = f"""UPDATE audit SET details = '{row["details"]}', digest = '{digest_of(row)}'
        WHERE seq = 2"""
    change(record, tmp_path, sql)
    assert (await store.audit_verify()).broken == ((3, "it does not follow the entry before it"),)


async def test_an_empty_log_is_whole(store: Store) -> None:
    assert await store.audit() == []
    report = await store.audit_verify()
    assert (report.entries, report.whole, report.head) == (0, True, "")


async def test_odd_details_are_kept_as_they_are(store: Store) -> None:
    details = {"ü": ["\\u0000", 'a "b" \\ \n', None, 2**53, -0.5, {"x": True}], "": 1e-9}
    await store.decide(Decision(audit=(AuditEntry("l", "a", "s\n☀", details, 1e9),)))
    [entry] = await store.audit()
    assert (entry.details, entry.subject) == (details, "s\n☀")
    assert (await store.audit_verify()).whole


async def test_workspaces_have_chains_of_their_own(store: Store, tmp_path: Path) -> None:
    other = Store.open(tmp_path, "T2")
    for each in (store, other, store):
        await each.policy.add("speak", "mentions", "U1ADA")
    assert [e.seq for e in await other.audit()] == [1]
    assert (await other.audit_verify()).whole
    assert (await store.audit_verify()).entries == 2
    await other.close()


async def test_policy_and_its_entry_are_one_transaction(store: Store) -> None:
    await store.decide(Decision(policy=(PolicyChange("speak", json.dumps("x"), "U1ADA"),)))
    assert len(store.policy.latest()) == len(await store.audit()) == 1
