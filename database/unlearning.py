"""What forgetting a person does to what was learned from them.

A proposal or finding that rests on their runs (see Proposal.evidence) loses its words; versions of
documents that such proposals made, and what was made from these, keep their hash and lose their
body. Where one of them is active, the version that it was made from takes its place, or nothing.
Learners that looked at their runs begin anew. So what a proposal rests on is kept for as long as it
is, also when its texts are old. Rows that nobody can read may rest on anybody.
"""

import sqlite3
import time
from collections.abc import Mapping
from typing import Any

REASON = "It rested on what was forgotten."

_DROP_UNREADABLE = """DELETE FROM proposals WHERE workspace = :workspace AND CASE
    WHEN NOT json_valid(changes) THEN 1
    WHEN json_type(changes) <> 'array' THEN 1
    ELSE EXISTS (SELECT 1 FROM json_each(changes) AS change WHERE change.type <> 'object') END"""


def _rests(column: str, kind: str, path: str) -> str:
    """Whether a column names runs of theirs, or cannot be read, being no JSON of that kind."""
    words = f"iif(json_valid({column}), {column}, 'null')"
    return f"""(json_type({words}) <> '{kind}' OR EXISTS (
        SELECT 1 FROM json_each({words}, '{path}') AS run
        WHERE run.value IN (SELECT run_id FROM temp.their_runs)
    ))"""


_RESTING = f"""CREATE TEMP TABLE resting AS
    SELECT proposal_id FROM proposals WHERE workspace = :workspace
        AND (audience = :own OR {_rests("evidence", "object", "$.runs")})"""

# A version that was there before its proposal does not rest on it, nor does what is shipped: that
# comes from files. What was made, or is proposed, from a version has its words in it.
_SPOILED = """CREATE TEMP TABLE spoiled AS
    WITH RECURSIVE wished AS (
        SELECT proposal_id, created_at, json_extract(change.value, '$.kind') AS kind,
            json_extract(change.value, '$.name') AS name,
            json_extract(change.value, '$.base') AS base,
            json_extract(change.value, '$.version') AS version
        FROM proposals, json_each(changes) AS change
        WHERE workspace = :workspace AND json_extract(change.value, '$.version') IS NOT NULL
    ), step AS (
        SELECT kind, name, base, version FROM documents
        WHERE workspace = :workspace AND origin <> 'shipped'
        UNION ALL
        SELECT kind, name, base, version FROM wished
        WHERE NOT EXISTS (
            SELECT 1 FROM documents WHERE documents.workspace = :workspace
                AND documents.kind = wished.kind AND documents.name = wished.name
                AND documents.version = wished.version
        )
    ), spoiled (kind, name, version) AS (
        SELECT kind, name, version FROM wished
        WHERE proposal_id IN (SELECT proposal_id FROM temp.resting) AND NOT EXISTS (
            SELECT 1 FROM documents WHERE documents.workspace = :workspace
                AND documents.kind = wished.kind AND documents.name = wished.name
                AND documents.version = wished.version
                AND (documents.origin <> 'proposal' OR documents.created_at < wished.created_at)
        )
        UNION
        SELECT step.kind, step.name, step.version FROM spoiled
        JOIN step ON step.kind = spoiled.kind AND step.name = spoiled.name
            AND step.base = spoiled.version
    ) SELECT * FROM spoiled"""
_MORE_RESTING = """INSERT INTO temp.resting
    SELECT DISTINCT proposal_id FROM proposals, json_each(changes) AS change
    JOIN temp.spoiled ON spoiled.kind = json_extract(change.value, '$.kind')
        AND spoiled.name = json_extract(change.value, '$.name')
        AND spoiled.version = json_extract(change.value, '$.version')
    WHERE workspace = :workspace"""
_IS_SPOILED = "(kind, name, version) IN (SELECT kind, name, version FROM temp.spoiled)"

_RUNS_ONLY = """CASE
    WHEN json_type(iif(json_valid(evidence), evidence, 'null')) <> 'object' THEN evidence
    WHEN json_type(evidence, '$.runs') = 'array'
    THEN json_object('runs', json_extract(evidence, '$.runs')) ELSE '{}' END"""
_WITHOUT_BODIES = """(
        SELECT json_group_array(json(json_set(change.value, '$.body', NULL)))
        FROM json_each(proposals.changes) AS change
    )"""
_EMPTY_PROPOSALS = f"""UPDATE proposals SET title = '[forgotten]', why = '', evidence = '{{}}',
        risk_reasons = '[]', reason = '{REASON}', revision = revision + 1, change = :change,
        changes = {_WITHOUT_BODIES},
        state = CASE WHEN state IN ('proposed', 'trial', 'awaiting') THEN 'superseded'
            WHEN state IN ('live', 'verified') THEN 'rolled_back' ELSE state END,
        moved_at = max(moved_at, :now)
    WHERE workspace = :workspace AND proposal_id IN (SELECT proposal_id FROM temp.resting)"""
_EMPTY_THEIR_PROPOSALS = f"""UPDATE proposals SET title = '[forgotten]', why = '',
        evidence = {_RUNS_ONLY}, revision = revision + 1, change = :change
    WHERE workspace = :workspace AND learner = :user"""
_STOP_TRIALS = f"""UPDATE trials SET state = 'stopped', reason = '{REASON}',
        ended_at = :now, revision = revision + 1, change = :change
    WHERE workspace = :workspace AND state = 'running'
        AND proposal_id IN (SELECT proposal_id FROM temp.resting)"""
_EMPTY_FINDINGS = f"""UPDATE findings SET title = '[forgotten]', text = '', data = '{{}}',
        runs = '[]', state = 'dismissed', revision = revision + 1, change = :change
    WHERE workspace = :workspace AND (audience = :own OR {_rests("runs", "array", "$")})"""
_BEGIN_ANEW = """UPDATE learner_states SET state = '{}', runs_seen = 0, feedback_seen = 0,
        revision = revision + 1, change = :change
    WHERE workspace = :workspace AND (
        EXISTS (
            SELECT 1 FROM runs JOIN temp.their_runs USING (run_id)
            WHERE runs.workspace = :workspace AND runs.seq <= runs_seen
        ) OR EXISTS (
            SELECT 1 FROM feedback WHERE feedback.workspace = :workspace
                AND feedback.user_id = :user AND feedback.seq <= feedback_seen
        )
    )"""


def unlearn(connection: sqlite3.Connection, values: Mapping[str, Any]) -> dict[str, int]:
    """Within forgetting's transaction, while `temp.their_runs` is there; rows by table."""
    dropped = connection.execute(_DROP_UNREADABLE, values).rowcount
    connection.execute(_RESTING, values)
    connection.execute(_SPOILED, values)
    connection.execute(_MORE_RESTING, values)
    retired = _spoil(connection, values)
    sql = """SELECT coalesce(max(changes), 0) + 1 FROM learning_changes WHERE workspace = ?"""
    (number,) = connection.execute(sql, (values["workspace"],)).fetchone()
    numbered = {**values, "change": number, "now": time.time()}
    done = {
        table: connection.execute(statement, numbered).rowcount
        for table, statement in (
            ("proposals", _EMPTY_PROPOSALS),
            ("trials", _STOP_TRIALS),
            ("findings", _EMPTY_FINDINGS),
            ("learner_states", _BEGIN_ANEW),
        )
    }
    done["proposals"] += connection.execute(_EMPTY_THEIR_PROPOSALS, numbered).rowcount + dropped
    if any(done.values()):
        note = """INSERT INTO learning_changes VALUES (:workspace, :change)
            ON CONFLICT DO UPDATE SET changes = excluded.changes"""
        connection.execute(note, numbered)
    connection.execute("DROP TABLE temp.resting")
    connection.execute("DROP TABLE temp.spoiled")
    return {**done, "documents": retired}


def _spoil(connection: sqlite3.Connection, values: Mapping[str, Any]) -> int:
    """Empty the versions that rest on them, and put an earlier one in an active one's place."""
    where = f"workspace = :workspace AND {_IS_SPOILED}"
    active = connection.execute(
        f"SELECT kind, name, base FROM documents WHERE {where} AND active = 1", values
    ).fetchall()
    emptied = connection.execute(
        f"UPDATE documents SET body = NULL, active = 0 WHERE {where} AND body IS NOT NULL", values
    ).rowcount
    for row in active:
        _activate_earlier(connection, values["workspace"], row["kind"], row["name"], row["base"])
    if emptied:
        note = "UPDATE document_changes SET changes = changes + 1 WHERE workspace = :workspace"
        connection.execute(note, values)
    return emptied


def _activate_earlier(
    connection: sqlite3.Connection, workspace: str, kind: str, name: str, base: str | None
) -> None:
    """The nearest version on the way back that has a body."""
    document = "workspace = ? AND kind = ? AND name = ? AND version = ?"
    seen: set[str] = set()
    while base is not None and base not in seen:
        seen.add(base)
        key = (workspace, kind, name, base)
        found = connection.execute(
            f"SELECT base, body FROM documents WHERE {document}", key
        ).fetchone()
        if found is None:
            return
        if found["body"] is not None:
            connection.execute(f"UPDATE documents SET active = 1 WHERE {document}", key)
            return
        base = found["base"]


_NEVER_LIVE = """state IN ('rejected', 'superseded') AND EXISTS (
    SELECT 1 FROM json_each(iif(json_valid(proposals.changes), proposals.changes, '[]')) AS change
    WHERE iif(change.type = 'object', json_type(change.value, '$.body'), 'null') <> 'null')"""


def purge_learned(connection: sqlite3.Connection, values: Mapping[str, Any]) -> dict[str, int]:
    """Texts from before a moment; what is still open keeps them until it is closed.

    What they rest on stays, so that forgetting still finds what was made of somebody's words.
    """
    statements = {
        "exam_questions": """DELETE FROM exam_questions
            WHERE workspace = :workspace AND created_at < :before""",
        "findings": """UPDATE findings SET text = '', data = '{}'
            WHERE workspace = :workspace AND created_at < :before
                AND (text <> '' OR data <> '{}')""",
        "proposals": f"""UPDATE proposals SET evidence = {_RUNS_ONLY},
                changes = CASE WHEN {_NEVER_LIVE} THEN {_WITHOUT_BODIES} ELSE changes END
            WHERE workspace = :workspace AND moved_at < :before
                AND state NOT IN ('proposed', 'trial', 'awaiting', 'live')
                AND (evidence <> {_RUNS_ONLY} OR {_NEVER_LIVE})""",
    }
    return {
        table: connection.execute(statement, values).rowcount
        for table, statement in statements.items()
    }
