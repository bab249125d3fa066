"""How goals leave the ledger: when somebody is forgotten, a workspace leaves, or they grow old."""

from typing import TYPE_CHECKING, Any

from database.forgetting import FORGOTTEN, whole
from goals import budgets, tables
from goals.budgets import Owner
from goals.sql import Transaction

if TYPE_CHECKING:
    from goals.ledger import Goals

_GOAL = "workspace = :workspace AND goal_id = :goal_id"
_PERSON = "workspace = :workspace AND person = :person"
_KEYS = {"goals": ("goal_id",), "journal": ("goal_id", "key", "attempt", "position")}


async def forget(goals: "Goals", user_id: str) -> int:
    """See Goals.forget."""
    sql = goals.ledger.sql
    if not sql.there:
        return 0
    owner = goals.owner(user_id)
    values = {"workspace": owner.workspace, "person": owner.person}
    theirs = f"SELECT goal_id FROM goals WHERE {_PERSON}"

    def work(transaction: Transaction) -> int:
        found = [row[0] for row in transaction.rows(theirs, **values)]
        for goal_id in found:
            _delete(transaction, owner, goal_id)
        transaction.change(f"DELETE FROM days WHERE {_PERSON}", **values)
        return len(found) + sum(_scrub(goals, transaction, user_id, table) for table in _KEYS)

    count = await sql.do(work)
    await sql.wipe()
    return count


async def erase(goals: "Goals") -> int:
    """See Goals.erase."""
    sql = goals.ledger.sql
    if not sql.there:
        return 0

    def work(transaction: Transaction) -> int:
        # Goals first: whoever moves one just now is waited for, and nobody does afterwards.
        counts = [
            transaction.change(
                f"DELETE FROM {table} WHERE workspace = :workspace", workspace=goals.workspace
            )
            for table in ("goals", "attempts", "days", "journal")
        ]
        return counts[0]

    count = await sql.do(work)
    await sql.wipe()
    return count


async def retention(goals: "Goals", before: float) -> int:
    """See Goals.retention."""
    sql = goals.ledger.sql
    if not sql.there:
        return 0
    old = """SELECT goal_id, person FROM goals WHERE workspace = :workspace
        AND (ended_at < :before
            OR (state IN ('proposed', 'waiting') AND created_at < :before))"""

    def work(transaction: Transaction) -> int:
        found = transaction.rows(old, workspace=goals.workspace, before=before)
        for row in found:
            _delete(transaction, Owner(goals.workspace, row.person), row.goal_id)
        budgets.sweep(transaction)
        return len(found)

    count = await sql.do(work)
    if count:
        await sql.wipe()
    return count


def _delete(transaction: Transaction, owner: Owner, goal_id: str) -> None:
    key = {"workspace": owner.workspace, "goal_id": goal_id}
    # The goal first: whoever moves it just now is waited for, and nobody does afterwards.
    transaction.change(f"DELETE FROM goals WHERE {_GOAL}", **key)
    budgets.release(transaction, owner, goal_id)
    transaction.change(f"DELETE FROM journal WHERE {_GOAL}", **key)


def _scrub(goals: "Goals", transaction: Transaction, user_id: str, table: str) -> int:
    """Take an id out of what others' rows say; how many had it."""
    whole_id, key, count = whole(user_id), _KEYS[table], 0
    where = " AND ".join(("workspace = :workspace", *(f"{name} = :{name}" for name in key)))
    every = f"SELECT {', '.join(key)}, body FROM {table} WHERE workspace = :workspace"
    if transaction.postgres:  # nobody may change between what is read and what is put there
        every += " FOR UPDATE"
    for row in transaction.rows(every, workspace=goals.workspace):
        text = goals.ledger.unseal(row.body).decode()
        if not whole_id.search(text):
            continue
        values: dict[str, Any] = {name: getattr(row, name) for name in key}
        change = "body = :body"
        if table == "goals":  # who has read it before may not put the old words in its place
            change += ", revision = revision + 1, moved = :moved"
            values["moved"] = tables.next_move(transaction)
        body = goals.ledger.seal(whole_id.sub(FORGOTTEN, text).encode())
        sql = f"UPDATE {table} SET {change} WHERE {where}"
        count += transaction.change(sql, workspace=goals.workspace, body=body, **values)
    return count
