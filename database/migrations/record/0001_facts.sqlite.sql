-- Facts: append-only, keyed by the event that made them. `seq` is given when a fact reaches the
-- record; learners' watermarks run over it, so that a late worker's runs are not missed. `day` is
-- the UTC day of started_at, counted from the epoch.

CREATE TABLE runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace TEXT NOT NULL,
    run_id TEXT NOT NULL,
    parent_run_id TEXT,
    kind TEXT NOT NULL CHECK (kind IN ('reply', 'task', 'shadow', 'replay', 'review')),
    audience TEXT NOT NULL,
    agent TEXT NOT NULL,
    agent_version TEXT,
    model TEXT,
    task_type TEXT,
    user_id TEXT,
    channel_id TEXT,
    thread_ts TEXT,
    message_ts TEXT,
    reply_ts TEXT,
    request TEXT NOT NULL,
    reply TEXT,
    error TEXT,
    route TEXT,
    outcome_success INTEGER,
    outcome_score REAL,
    outcome_source TEXT CHECK (outcome_source IN ('check', 'user', 'implicit', 'judge')),
    started_at REAL,
    duration_ms REAL,
    first_token_ms REAL,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cost_usd REAL,
    day INTEGER,
    UNIQUE (workspace, run_id)
) STRICT;

-- Holds every column that metrics read, in the order of their groups: neither texts nor sorting.
CREATE INDEX runs_by_day ON runs (
    workspace, kind, day, agent, started_at, audience, outcome_source, outcome_success,
    duration_ms, input_tokens, output_tokens, cost_usd
);
CREATE INDEX runs_by_person ON runs (workspace, user_id, started_at) WHERE user_id IS NOT NULL;
CREATE INDEX runs_by_channel ON runs (workspace, channel_id, started_at)
    WHERE channel_id IS NOT NULL;
CREATE INDEX runs_by_reply ON runs (workspace, channel_id, reply_ts) WHERE reply_ts IS NOT NULL;
CREATE INDEX runs_by_message ON runs (workspace, channel_id, message_ts)
    WHERE message_ts IS NOT NULL;
CREATE INDEX runs_by_parent ON runs (workspace, parent_run_id) WHERE parent_run_id IS NOT NULL;

CREATE TABLE steps (
    workspace TEXT NOT NULL,
    run_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('model', 'tool')),
    name TEXT NOT NULL,
    arguments TEXT,
    ok INTEGER,
    error TEXT,
    duration_ms REAL,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cost_usd REAL,
    PRIMARY KEY (workspace, run_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE feedback (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace TEXT NOT NULL,
    feedback_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (
        kind IN ('rating', 'reason', 'better', 'reaction', 'rephrase', 'correction')
    ),
    value REAL NOT NULL CHECK (value BETWEEN -1 AND 1),
    weight REAL NOT NULL CHECK (weight BETWEEN 0 AND 1),
    text TEXT,
    user_id TEXT,
    created_at REAL NOT NULL,
    UNIQUE (workspace, feedback_id)
) STRICT;

CREATE INDEX feedback_by_run ON feedback (
    workspace, run_id, kind, user_id, created_at, value, weight
);
CREATE INDEX feedback_by_person ON feedback (workspace, user_id) WHERE user_id IS NOT NULL;

-- A deleted message stays as an empty row, so that a late delivery does not bring it back.
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    ts TEXT NOT NULL,
    thread_ts TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('person', 'assistant')),
    audience TEXT NOT NULL,
    text TEXT NOT NULL,
    user_id TEXT,
    run_id TEXT,
    created_at REAL NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0,
    UNIQUE (workspace, channel_id, ts)
) STRICT;

CREATE INDEX messages_by_thread ON messages (workspace, channel_id, thread_ts, ts);
CREATE INDEX messages_by_person ON messages (workspace, user_id) WHERE user_id IS NOT NULL;
CREATE INDEX messages_by_run ON messages (workspace, run_id) WHERE run_id IS NOT NULL;
CREATE INDEX messages_by_age ON messages (workspace, created_at);

CREATE VIRTUAL TABLE message_words USING fts5 (
    text, content = 'messages', content_rowid = 'seq', tokenize = 'porter unicode61'
);

-- Messages up to this one are in message_words: an append leaves its messages to the next search
-- or to the next checkpoint, which take many at once; that halves what an append costs.
CREATE TABLE search_progress (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seq INTEGER NOT NULL
) STRICT;

INSERT INTO search_progress VALUES (1, 0);

CREATE TRIGGER messages_gone AFTER DELETE ON messages
WHEN old.seq <= (SELECT seq FROM search_progress) BEGIN
    INSERT INTO message_words (message_words, rowid, text) VALUES ('delete', old.seq, old.text);
END;

CREATE TRIGGER messages_changed AFTER UPDATE OF text ON messages
WHEN old.seq <= (SELECT seq FROM search_progress) BEGIN
    INSERT INTO message_words (message_words, rowid, text) VALUES ('delete', old.seq, old.text);
    INSERT INTO message_words (rowid, text) VALUES (new.seq, new.text);
END;

CREATE TABLE summaries (
    workspace TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    thread_ts TEXT NOT NULL,
    until_ts TEXT NOT NULL,
    audience TEXT NOT NULL,
    text TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (workspace, channel_id, thread_ts, until_ts)
) STRICT;
