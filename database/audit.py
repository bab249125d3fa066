"""The audit log: a chain of digests over every decision, which shows any change made to it.

The digest of an entry is SHA-256 over the digest before it and the entry's own fields, one a line,
as Postgres makes it too (see supabase/migrations, `improvement`). People are there as salted
digests, "@" and 32 hexadecimal digits; the salt lies apart and goes when its person is forgotten,
so that the chain stays whole and names nobody.
"""

import hashlib
import re
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from database.learning import AuditEntry, AuditReport, Change, Decision, Proposal, Trial
from database.learning_rows import AUDIT, packed
from database.records import Document, content_hash
from database.rows import Row

HOUSE = "assistant"
"""Who acts where nobody else is named."""
NOBODY = "[forgotten]"

_PERSON = re.compile(r"(?<![A-Za-z0-9])[UWB][A-Z0-9]{2,}(?![A-Za-z0-9])")
"""Ids of people and bots as Slack makes them."""
_ALIAS = re.compile(r"@[0-9a-f]{32}")
_SALT = re.compile(r"[0-9a-f]{32}")
_MOST_BROKEN = 100


# What is written


def entries_of(decision: Decision) -> list[AuditEntry]:
    """What a decision says of itself, and an entry for whatever else it moves."""
    said = {entry.subject for entry in decision.audit}
    now, author = time.time(), decision.author
    found = [*decision.audit]
    found += [_of_proposal(p, author) for p in decision.proposals if p.proposal_id not in said]
    found += [_of_trial(t, author) for t in decision.trials if t.trial_id not in said]
    found += [
        AuditEntry(f.decided_by, f"finding {f.state}", f.finding_id, {"revision": f.revision})
        for f in decision.findings
        if f.decided_by is not None and f.finding_id not in said
    ]
    found += [_of_change(c, author) for c in decision.changes if f"{c.kind}/{c.name}" not in said]
    found += [
        AuditEntry(p.set_by or author or HOUSE, "policy set", p.key, {"value": p.value})
        for p in decision.policy
        if p.key not in said
    ]
    return [entry if entry.at else replace(entry, at=now) for entry in found]


def _of_proposal(proposal: Proposal, author: str | None) -> AuditEntry:
    who = proposal.decided_by or author or proposal.learner
    details = {
        "learner": proposal.learner,
        "risk": proposal.risk,
        "revision": proposal.revision,
        "evidence": content_hash(proposal.evidence),
        "changes": [
            {"document": f"{c.kind}/{c.name}", "base": c.base, "version": c.version}
            for c in proposal.changes
        ],
    }
    return AuditEntry(who, f"proposal {proposal.state}", proposal.proposal_id, details)


def _of_trial(trial: Trial, author: str | None) -> AuditEntry:
    details = {
        "proposal": trial.proposal_id,
        "method": trial.method,
        "agent": trial.agent,
        "active": trial.active,
        "candidate": trial.candidate,
        "alpha": trial.alpha,
        "revision": trial.revision,
        "figures": content_hash(trial.figures),
    }
    return AuditEntry(author or HOUSE, f"trial {trial.state}", trial.trial_id, details)


def _of_change(change: Change, author: str | None) -> AuditEntry:
    done = "retired" if change.body is None else "activated"
    details = {"base": change.base, "version": change.version}
    return AuditEntry(author or HOUSE, f"document {done}", f"{change.kind}/{change.name}", details)


def of_document(made: Document, done: str) -> AuditEntry:
    """A version that somebody made without a proposal: a person's act, or what is shipped."""
    details = {"base": made.base, "origin": made.origin, "version": made.version}
    subject = f"{made.kind}/{made.name}"
    return AuditEntry(made.author or HOUSE, f"document {done}", subject, details, time.time())


def as_row(entry: AuditEntry) -> dict[str, Any]:
    """What is kept of an entry but for its place in the chain, people not yet hidden."""
    return {
        "at": round(entry.at, 3),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "details": packed(entry.details),
    }


def people_in(row: Mapping[str, Any]) -> list[str]:
    """Whose ids stand in an entry besides the actor's, the longest first."""
    found = {*_PERSON.findall(row["subject"]), *_PERSON.findall(row["details"])}
    return sorted(found, key=lambda name: (-len(name), name))


def append(connection: sqlite3.Connection, workspace: str, entries: Iterable[AuditEntry]) -> None:
    """Add entries behind the last; the connection is in a transaction that writes."""
    head = connection.execute(
        "SELECT seq, digest FROM audit_heads WHERE workspace = ?", (workspace,)
    ).fetchone()
    seq, previous = head or (0, "")
    for entry in entries:
        seq += 1
        row = _hidden(connection, workspace, as_row(entry))
        row |= {"workspace": workspace, "seq": seq, "previous": previous}
        row["digest"] = previous = digest_of(row)
        sql = f"INSERT INTO audit ({', '.join(row)}) VALUES ({', '.join('?' for _ in row)})"
        connection.execute(sql, tuple(row.values()))
    sql = """INSERT INTO audit_heads (workspace, seq, digest) VALUES (?, ?, ?)
        ON CONFLICT DO UPDATE SET seq = excluded.seq, digest = excluded.digest"""
    connection.execute(sql, (workspace, seq, previous))


def _hidden(
    connection: sqlite3.Connection, workspace: str, row: Mapping[str, Any]
) -> dict[str, Any]:
    hidden = {**row, "actor": _alias(connection, workspace, row["actor"])}
    for name in people_in(row):
        alias = _alias(connection, workspace, name)
        hidden["subject"] = hidden["subject"].replace(name, alias)
        hidden["details"] = hidden["details"].replace(name, alias)
    return hidden


def _alias(connection: sqlite3.Connection, workspace: str, name: str) -> str:
    if not name or name == NOBODY:
        return NOBODY
    sql = "SELECT digest FROM audit_people WHERE workspace = ? AND user_id = ?"
    found = connection.execute(sql, (workspace, name)).fetchone()
    if found is not None:
        return str(found["digest"])
    salt = secrets.token_hex(16)
    alias = _alias_of(salt, name)
    sql = "INSERT INTO audit_people (workspace, user_id, salt, digest) VALUES (?, ?, ?, ?)"
    connection.execute(sql, (workspace, name, salt, alias))
    return alias


def _alias_of(salt: str, name: str) -> str:
    return "@" + hashlib.sha256((salt + name).encode()).hexdigest()[:32]


def digest_of(row: Mapping[str, Any]) -> str:
    """The link of the chain that a kept entry is."""
    lines = (
        row["previous"], str(row["seq"]), str(round(row["at"] * 1000)), row["actor"],
        row["action"], row["subject"], row["details"],
    )  # fmt: skip
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# What is read


def shown(rows: Iterable[Row], people: Iterable[Row]) -> list[AuditEntry]:
    """The entries with people's ids in the place of their aliases; forgotten ones stay so."""
    names = {person["digest"]: person["user_id"] for person in people}

    def named(text: str) -> str:
        return _ALIAS.sub(lambda found: names.get(found[0], NOBODY), text)

    return AUDIT.read_all(
        {
            **{column: row[column] for column in AUDIT.columns},
            **{column: named(row[column]) for column in ("actor", "subject", "details")},
        }
        for row in rows
    )


class Verification:
    """Checks a chain page by page, from its first entry on, and who stands behind its aliases.

    An alias without a row is of somebody forgotten.
    """

    def __init__(self) -> None:
        self._misnamed: set[str] = set()
        self._seq = 0
        self._entries = 0
        self._previous = ""
        self._broken: list[tuple[int, str]] = []

    def know(self, people: Iterable[Row]) -> None:
        """Everybody who stands behind an alias; before the entries."""
        for person in people:
            salt, name, alias = person["salt"], person["user_id"], person["digest"]
            # Of a longer salt a part of the name could be taken for it.
            if not _SALT.fullmatch(salt) or _alias_of(salt, name) != alias:
                self._misnamed.add(alias)
                self._broken.append((0, f"who {alias} stands for was changed: it says {name}"))

    def look(self, rows: Sequence[Row]) -> int:
        """The next entries in order; the last place seen, which the next page begins behind."""
        for row in rows:
            self._entries += 1
            for problem in self._problems(row):
                self._broken.append((row["seq"], problem))
            self._seq, self._previous = row["seq"], row["digest"]
        return self._seq

    def report(self, head: Row | None) -> AuditReport:
        """What was found, with where the record says that the chain ends."""
        end = (head["seq"], head["digest"]) if head else (0, "")
        if end != (self._seq, self._previous):
            self._broken.append((end[0], f"the chain ends at {self._seq} and not here"))
        return AuditReport(self._entries, tuple(self._broken[:_MOST_BROKEN]), self._previous)

    def _problems(self, row: Row) -> Iterator[str]:
        if row["seq"] != self._seq + 1:
            yield f"{row['seq'] - self._seq - 1} entries before it are missing"
        if row["previous"] != self._previous:
            yield "it does not follow the entry before it"
        try:
            if digest_of(_columns(row)) != row["digest"]:
                yield "it was changed"
        except (TypeError, ValueError):
            yield "it cannot be read"
        if self._misnamed:
            said = f"{row['actor']} {row['subject']} {row['details']}"
            if not self._misnamed.isdisjoint(_ALIAS.findall(said)):
                yield "whom it names was changed"


def _columns(row: Row) -> dict[str, Any]:
    return {column: row[column] for column in AUDIT.columns}
