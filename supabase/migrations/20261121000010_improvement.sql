-- Learning, as in database/migrations/record/0008_improvement: what was found, proposed, tried and
-- decided. Facts (observations, exam_questions) come through the outbox; the rest is decided by
-- `decide`, in one transaction. `change` numbers the changes of a workspace, so that a copy asks
-- only for what it has not seen.

set lock_timeout = '5s';
set statement_timeout = '60s';

create table public.learning_changes (
    workspace text not null primary key,
    changes bigint not null
);

create table public.proposals (
    workspace text not null,
    proposal_id text not null,
    learner text not null,
    title text not null,
    why text not null,
    changes text not null,
    evidence text not null,
    expected text,
    task_type text,
    audience text not null,
    state text not null check (
        state in (
            'proposed', 'trial', 'awaiting', 'live', 'verified', 'rolled_back', 'rejected',
            'superseded'
        )
    ),
    risk text not null check (risk in ('low', 'medium', 'high')),
    risk_reasons text not null,
    reason text not null,
    decided_by text,
    created_at double precision not null,
    moved_at double precision not null,
    revision bigint not null check (revision > 0),
    change bigint not null,
    primary key (workspace, proposal_id)
);

create index proposals_by_age on public.proposals (workspace, created_at);
create index proposals_by_state on public.proposals (workspace, state, created_at);
create index proposals_by_change on public.proposals (workspace, change);

create table public.proposal_moves (
    workspace text not null,
    proposal_id text not null,
    revision bigint not null,
    state text not null,
    agent text not null,
    by_person boolean not null,
    moved_at double precision not null,
    primary key (workspace, proposal_id, revision)
);

create index proposal_moves_by_age on public.proposal_moves (workspace, moved_at);

create table public.trials (
    workspace text not null,
    trial_id text not null,
    proposal_id text not null,
    method text not null check (method in ('replay', 'shadow', 'split')),
    agent text not null,
    active text not null,
    candidate text not null,
    task_type text,
    share double precision not null,
    alpha double precision not null,
    smallest_effect double precision not null,
    most bigint not null,
    state text not null check (
        state in ('running', 'proven', 'unproven', 'harmful', 'stopped')
    ),
    figures text not null,
    reason text not null,
    started_at double precision not null,
    ended_at double precision,
    revision bigint not null check (revision > 0),
    change bigint not null,
    primary key (workspace, trial_id)
);

create index trials_by_proposal on public.trials (workspace, proposal_id);
create index trials_by_state on public.trials (workspace, state, started_at);
create index trials_by_change on public.trials (workspace, change);

create table public.findings (
    workspace text not null,
    finding_id text not null,
    learner text not null,
    kind text not null check (
        kind in (
            'pattern', 'problem', 'gap', 'bottleneck', 'trend', 'alert', 'lesson', 'note'
        )
    ),
    title text not null,
    text text not null,
    data text not null,
    runs text not null,
    strength text,
    audience text not null,
    state text not null check (state in ('open', 'verified', 'dismissed')),
    decided_by text,
    created_at double precision not null,
    revision bigint not null check (revision > 0),
    change bigint not null,
    primary key (workspace, finding_id)
);

create index findings_by_age on public.findings (workspace, created_at);
create index findings_by_change on public.findings (workspace, change);

create table public.learner_states (
    workspace text not null,
    learner text not null,
    state text not null,
    runs_seen bigint not null,
    feedback_seen bigint not null,
    updated_at double precision not null,
    revision bigint not null check (revision > 0),
    change bigint not null,
    primary key (workspace, learner)
);

create index learner_states_by_change on public.learner_states (workspace, change);

create table public.observations (
    seq bigint generated always as identity primary key,
    workspace text not null,
    observation_id text not null,
    trial_id text not null,
    run_id text not null,
    aspect text not null check (
        aspect in ('outcome', 'error', 'latency_ms', 'cost_usd', 'complaint')
    ),
    active double precision,
    candidate double precision,
    other_run_id text,
    served text,
    source text check (source in ('check', 'user', 'implicit', 'judge')),
    created_at double precision not null,
    unique (workspace, observation_id)
);

create index observations_by_trial on public.observations (workspace, trial_id, aspect, seq);
create index observations_by_age on public.observations (workspace, created_at, run_id);

create table public.exam_questions (
    seq bigint generated always as identity primary key,
    workspace text not null,
    question_id text not null,
    run_id text not null,
    request text not null,
    answer_check text not null,
    agent text not null,
    part text not null check (part in ('learn', 'trial', 'held_out')),
    task_type text,
    user_id text,
    audience text not null,
    created_at double precision not null,
    unique (workspace, question_id)
);

create index exam_questions_by_part on public.exam_questions (workspace, part, created_at);
create index exam_questions_by_run on public.exam_questions (workspace, run_id);
create index exam_questions_by_person on public.exam_questions (workspace, user_id)
where user_id is not null;

create table public.audit (
    workspace text not null,
    seq bigint not null check (seq > 0),
    at double precision not null,
    actor text not null,
    action text not null,
    subject text not null,
    details text not null,
    previous text not null,
    digest text not null,
    primary key (workspace, seq)
);

create table public.audit_heads (
    workspace text not null primary key,
    seq bigint not null,
    digest text not null
);

create table public.audit_people (
    workspace text not null,
    user_id text not null,
    salt text not null,
    digest text not null,
    primary key (workspace, user_id)
);

alter table public.learning_changes enable row level security;
alter table public.proposals enable row level security;
alter table public.proposal_moves enable row level security;
alter table public.trials enable row level security;
alter table public.findings enable row level security;
alter table public.learner_states enable row level security;
alter table public.observations enable row level security;
alter table public.exam_questions enable row level security;
alter table public.audit enable row level security;
alter table public.audit_heads enable row level security;
alter table public.audit_people enable row level security;
revoke all on public.learning_changes, public.proposals, public.proposal_moves, public.trials,
public.findings, public.learner_states, public.observations, public.exam_questions, public.audit,
public.audit_heads, public.audit_people
from anon, authenticated;
grant select, insert, update, delete
on public.learning_changes, public.proposals, public.proposal_moves, public.trials,
public.findings, public.learner_states, public.observations, public.exam_questions, public.audit,
public.audit_heads, public.audit_people
to service_role;

-- Every state that a proposal was in, for counts by day: by a person or by itself.
create function public.note_proposal_moved() returns trigger
language plpgsql security invoker set search_path = '' as $$
begin
    insert into public.proposal_moves values (
        new.workspace, new.proposal_id, new.revision, new.state,
        coalesce(new.changes::jsonb -> 0 ->> 'name', ''), new.decided_by is not null, new.moved_at
    ) on conflict do nothing;
    return null;
end
$$;

create trigger proposals_moved_first after insert on public.proposals
for each row execute function public.note_proposal_moved();
create trigger proposals_moved after update of state on public.proposals
for each row when (new.state is distinct from old.state)
execute function public.note_proposal_moved();

create trigger observations_in_order before insert on public.observations
for each statement execute function public.in_order();
create trigger exam_questions_in_order before insert on public.exam_questions
for each statement execute function public.in_order();

-- The first judgement of a request counts, whichever machine's arrives later.
create function public.keep_first() returns trigger
language plpgsql security invoker set search_path = '' as $$
begin
    return old;
end
$$;

create trigger observations_stay before update on public.observations
for each row execute function public.keep_first();

-- Deletes facts by their keys: a URL that names five hundred of them would be too long.
-- `keys` is JSON: a list of lists, each with the values of the key's columns, workspace first.
create or replace function public.delete_facts(facts text, keys text) returns bigint
language plpgsql security invoker set search_path = '' as $$
declare
    columns text[] := case facts
        when 'runs' then array['workspace', 'run_id']
        when 'steps' then array['workspace', 'run_id', 'position']
        when 'feedback' then array['workspace', 'feedback_id']
        when 'messages' then array['workspace', 'channel_id', 'ts']
        when 'summaries' then array['workspace', 'channel_id', 'thread_ts', 'until_ts']
        when 'people' then array['workspace', 'user_id']
        when 'task_types' then array['workspace', 'name']
        when 'observations' then array['workspace', 'observation_id']
        when 'exam_questions' then array['workspace', 'question_id']
    end;
    matched text;
    deleted bigint;
begin
    if columns is null then
        raise exception 'there are no facts called %', facts;
    end if;
    select string_agg(
        case columns[n]
            when 'position' then format('f.position = (k ->> %s)::bigint', n - 1)
            else format('f.%I = k ->> %s', columns[n], n - 1)
        end, ' and ')
    into matched from generate_subscripts(columns, 1) as n;
    execute format(
        'delete from public.%I f using jsonb_array_elements($1) k where %s', facts, matched
    ) using keys::jsonb;
    get diagnostics deleted = row_count;
    return deleted;
end
$$;

create or replace function public.schema_version() returns text
language sql immutable security invoker set search_path = '' as $$
    select '20261121000010_improvement'
$$;

revoke execute on function public.note_proposal_moved(), public.keep_first()
from public, anon, authenticated;
grant execute on function public.note_proposal_moved(), public.keep_first() to service_role;
