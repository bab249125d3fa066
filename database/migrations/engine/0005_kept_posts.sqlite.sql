-- Messages of ours that are rewritten or answered below for as long as Slack keeps them (cards):
-- where each is, and which version of it was shown last. No texts.
CREATE TABLE kept_posts (
    workspace TEXT NOT NULL,
    post_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    ts TEXT NOT NULL,
    shown TEXT NOT NULL,
    kept_at REAL NOT NULL,
    PRIMARY KEY (workspace, post_id)
) STRICT, WITHOUT ROWID;
