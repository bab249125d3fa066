-- What is on its way: short-lived rows; texts are encrypted, and deleted when their work is done.

CREATE TABLE inbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace TEXT NOT NULL,
    event_key TEXT NOT NULL,
    thread_key TEXT NOT NULL,
    payload BLOB,
    received_at REAL NOT NULL,
    done_at REAL,
    UNIQUE (workspace, event_key)
) STRICT;

CREATE INDEX inbox_pending ON inbox (workspace, seq) WHERE done_at IS NULL;
CREATE INDEX inbox_done ON inbox (done_at) WHERE done_at IS NOT NULL;

-- Each line is one moment of a send: the intent before it, the message's ts after it.
CREATE TABLE sends (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace TEXT NOT NULL,
    run_id TEXT NOT NULL,
    state TEXT NOT NULL,
    ts TEXT,
    noted_at REAL NOT NULL
) STRICT;

CREATE INDEX sends_by_run ON sends (workspace, run_id);
CREATE INDEX sends_by_age ON sends (noted_at);

CREATE TABLE outgoing (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace TEXT NOT NULL,
    post_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    body BLOB,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'sending', 'sent', 'failed')),
    ts TEXT,
    queued_at REAL NOT NULL,
    done_at REAL,
    UNIQUE (workspace, post_id)
) STRICT;

CREATE INDEX outgoing_waiting ON outgoing (workspace, seq) WHERE done_at IS NULL;
CREATE INDEX outgoing_done ON outgoing (done_at) WHERE done_at IS NOT NULL;

CREATE TABLE claims (
    workspace TEXT NOT NULL,
    name TEXT NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (workspace, name)
) STRICT, WITHOUT ROWID;
