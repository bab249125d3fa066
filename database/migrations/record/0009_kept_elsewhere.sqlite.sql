-- With Supabase, old runs are kept there only. These days have lost runs here: their counts stay as
-- they were and are not made anew from what is left.

CREATE TABLE trimmed_days (
    workspace TEXT NOT NULL,
    day INTEGER NOT NULL,
    PRIMARY KEY (workspace, day)
) STRICT, WITHOUT ROWID;

-- When what was decided at Supabase was last known to be what is here. `paused` is 1 while rows are
-- taken over from there, and 2 when the sending was ended.
ALTER TABLE outbox_on ADD COLUMN copied_at REAL;
