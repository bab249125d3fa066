-- Counts of whole past days, so that figures over a long time do not read every run. A day in
-- changed_days is not counted yet, or not any more; day -1 gathers the runs without a time.

CREATE TABLE day_counts (
    workspace TEXT NOT NULL,
    kind TEXT NOT NULL,
    audience TEXT NOT NULL,
    day INTEGER NOT NULL,
    agent TEXT NOT NULL,
    runs INTEGER NOT NULL,
    judged INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    unpriced_runs INTEGER NOT NULL,
    feedback_up INTEGER NOT NULL,
    feedback_down INTEGER NOT NULL,
    durations BLOB NOT NULL,
    PRIMARY KEY (workspace, kind, audience, day, agent)
) STRICT;

CREATE INDEX day_counts_by_day ON day_counts (workspace, day);

CREATE TABLE changed_days (
    workspace TEXT NOT NULL,
    day INTEGER NOT NULL,
    PRIMARY KEY (workspace, day)
) STRICT, WITHOUT ROWID;

INSERT INTO changed_days SELECT DISTINCT workspace, coalesce(day, -1) FROM runs;

CREATE TRIGGER runs_added_to_day AFTER INSERT ON runs BEGIN
    INSERT OR IGNORE INTO changed_days VALUES (new.workspace, coalesce(new.day, -1));
END;

CREATE TRIGGER runs_gone_from_day AFTER DELETE ON runs BEGIN
    INSERT OR IGNORE INTO changed_days VALUES (old.workspace, coalesce(old.day, -1));
END;

CREATE TRIGGER runs_changed_in_day AFTER UPDATE OF
    kind, audience, agent, outcome_success, outcome_source, duration_ms, input_tokens,
    output_tokens, cost_usd ON runs
BEGIN
    INSERT OR IGNORE INTO changed_days VALUES (new.workspace, coalesce(new.day, -1));
END;

CREATE TRIGGER feedback_added_to_day AFTER INSERT ON feedback BEGIN
    INSERT OR IGNORE INTO changed_days SELECT workspace, coalesce(day, -1) FROM runs
    WHERE workspace = new.workspace AND run_id = new.run_id;
END;

CREATE TRIGGER feedback_gone_from_day AFTER DELETE ON feedback BEGIN
    INSERT OR IGNORE INTO changed_days SELECT workspace, coalesce(day, -1) FROM runs
    WHERE workspace = old.workspace AND run_id = old.run_id;
END;

CREATE TRIGGER feedback_changed_in_day AFTER UPDATE OF value, kind, created_at, user_id ON feedback
BEGIN
    INSERT OR IGNORE INTO changed_days SELECT workspace, coalesce(day, -1) FROM runs
    WHERE workspace = new.workspace AND run_id = new.run_id;
END;
