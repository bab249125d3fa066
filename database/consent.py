"""Who may be learned from: what people and approvers decided, as a condition in SQL."""

from database.records import LEARNING

REFUSALS = f"""unlearned AS (
        SELECT user_id FROM people
        WHERE workspace = :workspace AND CASE
            WHEN json_type(iif(json_valid(settings), settings, 'null')) = 'object'
            THEN json_extract(settings, '$.{LEARNING}') = 'no' ELSE 1 END
    ), decided AS (
        SELECT key, value, max(seq) FROM policy
        WHERE workspace = :workspace AND (key = '{LEARNING}' OR key LIKE '{LEARNING}.%')
        GROUP BY key
    )"""
"""Two tables of a WITH: who declined, or may have, as their settings are damaged; and the latest
policy on learning for everywhere and for each channel."""


def allowed(of: str = "") -> str:
    """The condition that a run may be learned from; `of` leads its columns ("runs.")."""
    return f"""coalesce({of}user_id, '') NOT IN (SELECT user_id FROM unlearned)
        AND coalesce(
            (SELECT value FROM decided WHERE key = '{LEARNING}.' || {of}channel_id),
            (SELECT value FROM decided WHERE key = '{LEARNING}'), 'yes'
        ) <> 'no'"""
