"""A home where Supabase was configured, and is not any more: what somebody should know of it."""

from database import trimming
from database.outbox_rows import OutboxRows
from database.records import RecordHealth
from database.sqlite_file import SqliteFile

_ADVICE = (
    "Set SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY again and they are sent; or end it with "
    "`virtuous6 outbox off`."
)


async def health_without_supabase(file: SqliteFile, workspace: str) -> RecordHealth:
    """What still waits to be sent, and what is there only; mostly nothing."""
    only_there = trimming.words_for(trimming.last_trimmed(file, workspace))
    outbox = OutboxRows(file, workspace)
    if not outbox.is_on():
        return RecordHealth(only_there=only_there)
    state = await file.aside(outbox.state)
    waiting = state.waiting + state.refused
    left = f"{waiting:,} changes wait for Supabase, which is not configured here any more."
    return RecordHealth(
        waiting=state.waiting,
        refused=state.refused,
        copied_at=outbox.copied_at(),
        warnings=(f"{left} {_ADVICE}",) if waiting else (),
        only_there=only_there,
    )
