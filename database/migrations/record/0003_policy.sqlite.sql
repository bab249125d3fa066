-- What approvers decide about the assistant itself: every change is a row, the latest one counts.
-- A value of NULL takes the key back to its default.

CREATE TABLE policy (
    seq INTEGER PRIMARY KEY,
    workspace TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT,
    set_by TEXT NOT NULL,
    set_at REAL NOT NULL
) STRICT;

CREATE INDEX policy_by_key ON policy (workspace, key, seq);
CREATE INDEX policy_by_age ON policy (workspace, seq);
