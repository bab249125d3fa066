-- Facts, as in database/migrations/record/0001_facts: the same tables, columns, keys and checks.
-- What SQLite keeps as 0 or 1 is a boolean here, and `seq` is given when a fact arrives: learners'
-- watermarks run over it. Seconds since the epoch are double precision in both; the views for
-- people (see report_views) show dates. No foreign keys, as there: facts arrive in any order, and
-- one that is refused must not take others with it.
--
-- Row level security without a policy: the service role only. Nothing here is for browsers.

set lock_timeout = '5s';
set statement_timeout = '60s';

create table public.runs (
    seq bigint generated always as identity primary key,
    workspace text not null,
    run_id text not null,
    parent_run_id text,
    kind text not null check (kind in ('reply', 'task', 'shadow', 'replay', 'review')),
    audience text not null,
    agent text not null,
    agent_version text,
    model text,
    task_type text,
    user_id text,
    channel_id text,
    thread_ts text,
    message_ts text,
    reply_ts text,
    request text not null,
    reply text,
    error text,
    route text,
    outcome_success boolean,
    outcome_score double precision,
    outcome_source text check (outcome_source in ('check', 'user', 'implicit', 'judge')),
    started_at double precision,
    duration_ms double precision,
    first_token_ms double precision,
    input_tokens bigint,
    output_tokens bigint,
    cost_usd double precision,
    day bigint,
    unique (workspace, run_id)
);

create index runs_by_day on public.runs (
    workspace, kind, day, agent, started_at, audience, outcome_source, outcome_success,
    duration_ms, input_tokens, output_tokens, cost_usd
);
create index runs_by_person on public.runs (workspace, user_id, started_at)
where user_id is not null;
create index runs_by_channel on public.runs (workspace, channel_id, started_at)
where channel_id is not null;
create index runs_by_reply on public.runs (workspace, channel_id, reply_ts)
where reply_ts is not null;
create index runs_by_message on public.runs (workspace, channel_id, message_ts)
where message_ts is not null;
create index runs_by_parent on public.runs (workspace, parent_run_id)
where parent_run_id is not null;

create table public.steps (
    workspace text not null,
    run_id text not null,
    position bigint not null,
    kind text not null check (kind in ('model', 'tool')),
    name text not null,
    arguments text,
    ok boolean,
    error text,
    duration_ms double precision,
    input_tokens bigint,
    output_tokens bigint,
    cost_usd double precision,
    primary key (workspace, run_id, position)
);

create table public.feedback (
    seq bigint generated always as identity primary key,
    workspace text not null,
    feedback_id text not null,
    run_id text not null,
    kind text not null check (
        kind in ('rating', 'reason', 'better', 'reaction', 'rephrase', 'correction')
    ),
    value double precision not null check (value between -1 and 1),
    weight double precision not null check (weight between 0 and 1),
    text text,
    user_id text,
    created_at double precision not null,
    unique (workspace, feedback_id)
);

create index feedback_by_run on public.feedback (
    workspace, run_id, kind, user_id, created_at, value, weight
);
create index feedback_by_person on public.feedback (workspace, user_id) where user_id is not null;

create table public.messages (
    seq bigint generated always as identity primary key,
    workspace text not null,
    channel_id text not null,
    ts text not null,
    thread_ts text not null,
    role text not null check (role in ('person', 'assistant')),
    audience text not null,
    text text not null,
    user_id text,
    run_id text,
    created_at double precision not null,
    deleted boolean not null default false,
    unique (workspace, channel_id, ts)
);

create index messages_by_thread on public.messages (workspace, channel_id, thread_ts, ts);
create index messages_by_person on public.messages (workspace, user_id) where user_id is not null;
create index messages_by_run on public.messages (workspace, run_id) where run_id is not null;
create index messages_by_age on public.messages (workspace, created_at);

create table public.summaries (
    workspace text not null,
    channel_id text not null,
    thread_ts text not null,
    until_ts text not null,
    audience text not null,
    text text not null,
    created_at double precision not null,
    primary key (workspace, channel_id, thread_ts, until_ts)
);

alter table public.runs enable row level security;
alter table public.steps enable row level security;
alter table public.feedback enable row level security;
alter table public.messages enable row level security;
alter table public.summaries enable row level security;
revoke all on public.runs, public.steps, public.feedback, public.messages, public.summaries
from anon, authenticated;
grant select, insert, update, delete
on public.runs, public.steps, public.feedback, public.messages, public.summaries
to service_role;

-- A number is given before its transaction ends. One writer at a time, so that whoever reads up to
-- a `seq` will never find a smaller one later.
create function public.in_order() returns trigger
language plpgsql security invoker set search_path = '' as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('in order ' || tg_table_name, 0));
    return null;
end
$$;

create trigger runs_in_order before insert on public.runs
for each statement execute function public.in_order();
create trigger feedback_in_order before insert on public.feedback
for each statement execute function public.in_order();
create trigger messages_in_order before insert on public.messages
for each statement execute function public.in_order();

-- Deletes facts by their keys: a URL that names five hundred of them would be too long.
-- `keys` is JSON: a list of lists, each with the values of the key's columns, workspace first.
create function public.delete_facts(facts text, keys text) returns bigint
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

-- Which of our steps this database has had: the last one. Every migration says so anew.
create function public.schema_version() returns text
language sql immutable security invoker set search_path = '' as $$
    select '20261121000001_facts'
$$;

revoke execute on function public.in_order(), public.delete_facts(text, text),
public.schema_version() from public, anon, authenticated;
grant execute on function public.in_order(), public.delete_facts(text, text),
public.schema_version() to service_role;
