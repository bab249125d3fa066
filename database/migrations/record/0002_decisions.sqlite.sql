-- Decisions: what can improve, version by version, and what people set for themselves.

CREATE TABLE documents (
    workspace TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('agent', 'runbook', 'team', 'lesson', 'model')),
    name TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    version TEXT NOT NULL,
    audience TEXT NOT NULL,
    body TEXT,
    base TEXT,
    origin TEXT NOT NULL,
    author TEXT,
    reason TEXT,
    created_at REAL NOT NULL,
    active INTEGER NOT NULL,
    PRIMARY KEY (workspace, kind, name, number),
    UNIQUE (workspace, kind, name, version)
) STRICT;

CREATE UNIQUE INDEX documents_active ON documents (workspace, kind, name) WHERE active = 1;

-- How often documents changed: what a process compares to know whether its copies are old.
CREATE TABLE document_changes (
    workspace TEXT NOT NULL PRIMARY KEY,
    changes INTEGER NOT NULL
) STRICT;

CREATE TABLE people (
    workspace TEXT NOT NULL,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    settings TEXT NOT NULL,
    PRIMARY KEY (workspace, user_id)
) STRICT;

CREATE TABLE task_types (
    workspace TEXT NOT NULL,
    name TEXT NOT NULL,
    centroid BLOB NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (workspace, name)
) STRICT;
