-- What is on its way to Supabase: the keys of rows that changed since they were last sent, and no
-- texts. Triggers write them, so that a change and its key are one transaction, whichever code made
-- the change. `version` counts the changes: one that happens while the row is being sent keeps the
-- key here. A key without a row in its table means that the row is to be deleted there too.

CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace TEXT NOT NULL,
    "table" TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    queued_at REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5) * 86400.0),
    retry_at REAL,
    unsure_until REAL,
    tries INTEGER NOT NULL DEFAULT 0,
    problem TEXT,
    UNIQUE (workspace, "table", key)
) STRICT;

CREATE INDEX outbox_refused ON outbox (workspace, seq) WHERE problem IS NOT NULL;

-- The workspaces whose changes are kept for Supabase. `backfill` says how far the rows that were
-- there before have come (JSON; NULL: all of them), `reaches` up to which key a batch is under way.
CREATE TABLE outbox_on (
    workspace TEXT NOT NULL PRIMARY KEY,
    paused INTEGER NOT NULL DEFAULT 0,
    backfill TEXT,
    reaches INTEGER,
    problem TEXT,
    sent_at REAL
) STRICT;

CREATE TRIGGER outbox_runs_added AFTER INSERT ON runs
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (new.workspace, 'runs', json_array(new.run_id))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_runs_changed AFTER UPDATE ON runs
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'runs', json_array(old.run_id)),
        (new.workspace, 'runs', json_array(new.run_id))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_runs_gone AFTER DELETE ON runs
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = old.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'runs', json_array(old.run_id))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_steps_added AFTER INSERT ON steps
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (new.workspace, 'steps', json_array(new.run_id, new.position))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_steps_changed AFTER UPDATE ON steps
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'steps', json_array(old.run_id, old.position)),
        (new.workspace, 'steps', json_array(new.run_id, new.position))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_steps_gone AFTER DELETE ON steps
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = old.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'steps', json_array(old.run_id, old.position))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_feedback_added AFTER INSERT ON feedback
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (new.workspace, 'feedback', json_array(new.feedback_id))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_feedback_changed AFTER UPDATE ON feedback
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'feedback', json_array(old.feedback_id)),
        (new.workspace, 'feedback', json_array(new.feedback_id))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_feedback_gone AFTER DELETE ON feedback
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = old.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'feedback', json_array(old.feedback_id))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_messages_added AFTER INSERT ON messages
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (new.workspace, 'messages', json_array(new.channel_id, new.ts))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_messages_changed AFTER UPDATE ON messages
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'messages', json_array(old.channel_id, old.ts)),
        (new.workspace, 'messages', json_array(new.channel_id, new.ts))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_messages_gone AFTER DELETE ON messages
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = old.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'messages', json_array(old.channel_id, old.ts))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_summaries_added AFTER INSERT ON summaries
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (new.workspace, 'summaries', json_array(new.channel_id, new.thread_ts, new.until_ts))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_summaries_changed AFTER UPDATE ON summaries
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'summaries', json_array(old.channel_id, old.thread_ts, old.until_ts)),
        (new.workspace, 'summaries', json_array(new.channel_id, new.thread_ts, new.until_ts))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_summaries_gone AFTER DELETE ON summaries
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = old.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'summaries', json_array(old.channel_id, old.thread_ts, old.until_ts))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_task_types_added AFTER INSERT ON task_types
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (new.workspace, 'task_types', json_array(new.name))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_task_types_changed AFTER UPDATE ON task_types
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'task_types', json_array(old.name)),
        (new.workspace, 'task_types', json_array(new.name))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_task_types_gone AFTER DELETE ON task_types
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = old.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'task_types', json_array(old.name))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_people_added AFTER INSERT ON people
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (new.workspace, 'people', json_array(new.user_id))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_people_changed AFTER UPDATE ON people
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'people', json_array(old.user_id)),
        (new.workspace, 'people', json_array(new.user_id))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_people_gone AFTER DELETE ON people
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = old.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'people', json_array(old.user_id))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;
