-- Learning: what was found, proposed, tried and decided, and what that rests on. `change` numbers
-- the changes of these rows in a workspace, so that a copy asks only for what it has not seen.

CREATE TABLE learning_changes (
    workspace TEXT NOT NULL PRIMARY KEY,
    changes INTEGER NOT NULL
) STRICT;

CREATE TABLE proposals (
    workspace TEXT NOT NULL,
    proposal_id TEXT NOT NULL,
    learner TEXT NOT NULL,
    title TEXT NOT NULL,
    why TEXT NOT NULL,
    changes TEXT NOT NULL,
    evidence TEXT NOT NULL,
    expected TEXT,
    task_type TEXT,
    audience TEXT NOT NULL,
    state TEXT NOT NULL CHECK (
        state IN (
            'proposed', 'trial', 'awaiting', 'live', 'verified', 'rolled_back', 'rejected',
            'superseded'
        )
    ),
    risk TEXT NOT NULL CHECK (risk IN ('low', 'medium', 'high')),
    risk_reasons TEXT NOT NULL,
    reason TEXT NOT NULL,
    decided_by TEXT,
    created_at REAL NOT NULL,
    moved_at REAL NOT NULL,
    revision INTEGER NOT NULL CHECK (revision > 0),
    change INTEGER NOT NULL,
    PRIMARY KEY (workspace, proposal_id)
) STRICT;

CREATE INDEX proposals_by_age ON proposals (workspace, created_at);
CREATE INDEX proposals_by_state ON proposals (workspace, state, created_at);
CREATE INDEX proposals_by_change ON proposals (workspace, change);

-- Every state that a proposal was in, for counts by day: by a person or by itself.
CREATE TABLE proposal_moves (
    workspace TEXT NOT NULL,
    proposal_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    state TEXT NOT NULL,
    agent TEXT NOT NULL,
    by_person INTEGER NOT NULL,
    moved_at REAL NOT NULL,
    PRIMARY KEY (workspace, proposal_id, revision)
) STRICT;

CREATE INDEX proposal_moves_by_age ON proposal_moves (workspace, moved_at);

CREATE TRIGGER proposals_moved_first AFTER INSERT ON proposals BEGIN
    INSERT INTO proposal_moves VALUES (
        new.workspace, new.proposal_id, new.revision, new.state,
        coalesce(json_extract(new.changes, '$[0].name'), ''), new.decided_by IS NOT NULL,
        new.moved_at
    ) ON CONFLICT DO NOTHING;
END;

CREATE TRIGGER proposals_moved AFTER UPDATE OF state ON proposals WHEN new.state <> old.state BEGIN
    INSERT INTO proposal_moves VALUES (
        new.workspace, new.proposal_id, new.revision, new.state,
        coalesce(json_extract(new.changes, '$[0].name'), ''), new.decided_by IS NOT NULL,
        new.moved_at
    ) ON CONFLICT DO NOTHING;
END;

CREATE TABLE trials (
    workspace TEXT NOT NULL,
    trial_id TEXT NOT NULL,
    proposal_id TEXT NOT NULL,
    method TEXT NOT NULL CHECK (method IN ('replay', 'shadow', 'split')),
    agent TEXT NOT NULL,
    active TEXT NOT NULL,
    candidate TEXT NOT NULL,
    task_type TEXT,
    share REAL NOT NULL,
    alpha REAL NOT NULL,
    smallest_effect REAL NOT NULL,
    most INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (
        state IN ('running', 'proven', 'unproven', 'harmful', 'stopped')
    ),
    figures TEXT NOT NULL,
    reason TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL,
    revision INTEGER NOT NULL CHECK (revision > 0),
    change INTEGER NOT NULL,
    PRIMARY KEY (workspace, trial_id)
) STRICT;

CREATE INDEX trials_by_proposal ON trials (workspace, proposal_id);
CREATE INDEX trials_by_state ON trials (workspace, state, started_at);
CREATE INDEX trials_by_change ON trials (workspace, change);

CREATE TABLE findings (
    workspace TEXT NOT NULL,
    finding_id TEXT NOT NULL,
    learner TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (
        kind IN (
            'pattern', 'problem', 'gap', 'bottleneck', 'trend', 'alert', 'lesson', 'note'
        )
    ),
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    data TEXT NOT NULL,
    runs TEXT NOT NULL,
    strength TEXT,
    audience TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'verified', 'dismissed')),
    decided_by TEXT,
    created_at REAL NOT NULL,
    revision INTEGER NOT NULL CHECK (revision > 0),
    change INTEGER NOT NULL,
    PRIMARY KEY (workspace, finding_id)
) STRICT;

CREATE INDEX findings_by_age ON findings (workspace, created_at);
CREATE INDEX findings_by_change ON findings (workspace, change);

CREATE TABLE learner_states (
    workspace TEXT NOT NULL,
    learner TEXT NOT NULL,
    state TEXT NOT NULL,
    runs_seen INTEGER NOT NULL,
    feedback_seen INTEGER NOT NULL,
    updated_at REAL NOT NULL,
    revision INTEGER NOT NULL CHECK (revision > 0),
    change INTEGER NOT NULL,
    PRIMARY KEY (workspace, learner)
) STRICT;

CREATE INDEX learner_states_by_change ON learner_states (workspace, change);

-- Facts of learning. The first judgement of a request in an aspect counts.
CREATE TABLE observations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace TEXT NOT NULL,
    observation_id TEXT NOT NULL,
    trial_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    aspect TEXT NOT NULL CHECK (
        aspect IN ('outcome', 'error', 'latency_ms', 'cost_usd', 'complaint')
    ),
    active REAL,
    candidate REAL,
    other_run_id TEXT,
    served TEXT,
    source TEXT CHECK (source IN ('check', 'user', 'implicit', 'judge')),
    created_at REAL NOT NULL,
    UNIQUE (workspace, observation_id)
) STRICT;

CREATE INDEX observations_by_trial ON observations (workspace, trial_id, aspect, seq);
CREATE INDEX observations_by_age ON observations (workspace, created_at, run_id);

CREATE TABLE exam_questions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace TEXT NOT NULL,
    question_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    request TEXT NOT NULL,
    answer_check TEXT NOT NULL,
    agent TEXT NOT NULL,
    part TEXT NOT NULL CHECK (part IN ('learn', 'trial', 'held_out')),
    task_type TEXT,
    user_id TEXT,
    audience TEXT NOT NULL,
    created_at REAL NOT NULL,
    UNIQUE (workspace, question_id)
) STRICT;

CREATE INDEX exam_questions_by_part ON exam_questions (workspace, part, created_at);
CREATE INDEX exam_questions_by_run ON exam_questions (workspace, run_id);
CREATE INDEX exam_questions_by_person ON exam_questions (workspace, user_id)
    WHERE user_id IS NOT NULL;

-- Every decision, chained: `digest` is over the entry and the digest before it. People are there
-- as salted digests; forgetting one deletes the salt.
CREATE TABLE audit (
    workspace TEXT NOT NULL,
    seq INTEGER NOT NULL CHECK (seq > 0),
    at REAL NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    details TEXT NOT NULL,
    previous TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (workspace, seq)
) STRICT;

-- Where the chain ends, so that its last links cannot be taken off unnoticed.
CREATE TABLE audit_heads (
    workspace TEXT NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL,
    digest TEXT NOT NULL
) STRICT;

CREATE TABLE audit_people (
    workspace TEXT NOT NULL,
    user_id TEXT NOT NULL,
    salt TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (workspace, user_id)
) STRICT;

-- Rollbacks and switches that were decided here while Supabase was away.
CREATE TABLE waiting_decisions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace TEXT NOT NULL,
    decision TEXT NOT NULL
) STRICT;

CREATE TRIGGER outbox_observations_added AFTER INSERT ON observations
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (new.workspace, 'observations', json_array(new.observation_id))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_observations_changed AFTER UPDATE ON observations
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'observations', json_array(old.observation_id)),
        (new.workspace, 'observations', json_array(new.observation_id))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_observations_gone AFTER DELETE ON observations
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = old.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'observations', json_array(old.observation_id))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_exam_questions_added AFTER INSERT ON exam_questions
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (new.workspace, 'exam_questions', json_array(new.question_id))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_exam_questions_changed AFTER UPDATE ON exam_questions
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = new.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'exam_questions', json_array(old.question_id)),
        (new.workspace, 'exam_questions', json_array(new.question_id))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;

CREATE TRIGGER outbox_exam_questions_gone AFTER DELETE ON exam_questions
WHEN EXISTS (SELECT 1 FROM outbox_on WHERE workspace = old.workspace AND paused = 0) BEGIN
    INSERT INTO outbox (workspace, "table", key)
    VALUES (old.workspace, 'exam_questions', json_array(old.question_id))
    ON CONFLICT DO UPDATE SET version = version + 1, retry_at = NULL, problem = NULL;
END;
