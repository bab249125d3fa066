-- Counts of whole past days, as in database/migrations/record/0006_day_counts, so that figures over
-- a long time do not read every run. A day in changed_days is not counted yet, or not any more; day
-- -1 gathers the runs without a time. Durations are kept one by one (float4, big-endian: seven
-- digits), so that percentiles are exact, and small enough to be sent by the million.

set lock_timeout = '5s';
set statement_timeout = '60s';

create table public.day_counts (
    workspace text not null,
    kind text not null,
    audience text not null,
    day bigint not null,
    agent text not null,
    runs bigint not null,
    judged bigint not null,
    succeeded bigint not null,
    input_tokens bigint not null,
    output_tokens bigint not null,
    cost_usd double precision not null,
    unpriced_runs bigint not null,
    feedback_up bigint not null,
    feedback_down bigint not null,
    durations bytea not null,
    primary key (workspace, kind, audience, day, agent)
);

create index day_counts_by_day on public.day_counts (workspace, day);

create table public.changed_days (
    workspace text not null,
    day bigint not null,
    primary key (workspace, day)
);

alter table public.day_counts enable row level security;
alter table public.changed_days enable row level security;
revoke all on public.day_counts, public.changed_days from anon, authenticated;
grant select, insert, update, delete on public.day_counts, public.changed_days to service_role;

insert into public.changed_days select distinct workspace, coalesce(day, -1) from public.runs;

-- Writing over a mark that is there locks it: who counts the day waits until this change is there
-- to be counted.
create function public.runs_changed_days() returns trigger
language plpgsql security invoker set search_path = '' as $$
begin
    if tg_op <> 'INSERT' then
        insert into public.changed_days as c
        select distinct workspace, coalesce(day, -1) as day from before order by workspace, day
        on conflict (workspace, day) do update set day = excluded.day;
    end if;
    if tg_op <> 'DELETE' then
        insert into public.changed_days as c
        select distinct workspace, coalesce(day, -1) as day from after order by workspace, day
        on conflict (workspace, day) do update set day = excluded.day;
    end if;
    return null;
end
$$;

create trigger runs_added_to_days after insert on public.runs
referencing new table as after
for each statement execute function public.runs_changed_days();
create trigger runs_changed_in_days after update on public.runs
referencing old table as before new table as after
for each statement execute function public.runs_changed_days();
create trigger runs_gone_from_days after delete on public.runs
referencing old table as before
for each statement execute function public.runs_changed_days();

create function public.feedback_changed_days() returns trigger
language plpgsql security invoker set search_path = '' as $$
begin
    if tg_op = 'DELETE' then
        insert into public.changed_days as c
        select distinct r.workspace, coalesce(r.day, -1) as day
        from before f join public.runs r on r.workspace = f.workspace and r.run_id = f.run_id
        order by r.workspace, day
        on conflict (workspace, day) do update set day = excluded.day;
    else
        insert into public.changed_days as c
        select distinct r.workspace, coalesce(r.day, -1) as day
        from after f join public.runs r on r.workspace = f.workspace and r.run_id = f.run_id
        order by r.workspace, day
        on conflict (workspace, day) do update set day = excluded.day;
    end if;
    return null;
end
$$;

create trigger feedback_added_to_days after insert on public.feedback
referencing new table as after
for each statement execute function public.feedback_changed_days();
create trigger feedback_changed_in_days after update on public.feedback
referencing old table as before new table as after
for each statement execute function public.feedback_changed_days();
create trigger feedback_gone_from_days after delete on public.feedback
referencing old table as before
for each statement execute function public.feedback_changed_days();

-- The beginning of a question about the runs `r` for which a condition holds: they are `judged`,
-- as in judged_runs (`good` is null where they are not), with their ratings.
create function public.judging(condition text) returns text
language sql immutable security invoker set search_path = '' as $$
    select format($sql$
        with chosen as materialized (
            select r.run_id, r.kind, r.audience, r.agent, r.day, r.duration_ms, r.input_tokens,
                r.output_tokens, r.cost_usd,
                case when r.outcome_source in ('check', 'user') then r.outcome_success end as itself
            from public.runs r where %1$s
        ), said as materialized (
            select f.run_id, f.kind, f.user_id, f.value, f.created_at, f.seq
            from chosen c join public.feedback f
                on f.workspace = $1 and f.run_id = c.run_id
            where f.kind in ('rating', 'reason', 'better')
        ), word as (
            select distinct on (w.run_id) w.run_id, w.value > 0 as good
            from said w order by w.run_id, w.created_at desc, w.seq desc
        ), rating as (
            select distinct on (w.run_id, w.user_id) w.run_id, w.value
            from said w where w.kind = 'rating'
            order by w.run_id, w.user_id, w.created_at desc, w.seq desc
        ), ratings as (
            select rating.run_id, count(*) filter (where rating.value > 0) as up,
                count(*) filter (where rating.value < 0) as down
            from rating group by rating.run_id
        ), judged as (
            select c.*, coalesce(c.itself, word.good) as good, ratings.up, ratings.down
            from chosen c left join word using (run_id) left join ratings using (run_id)
        )
    $sql$, condition)
$$;

-- What is counted of runs that are `judged`. `durations` says what becomes of all durations (%s).
create function public.counting(durations text) returns text
language sql immutable security invoker set search_path = '' as $$
    select format($sql$
        count(*) as runs, count(j.good) as judged,
        count(*) filter (where j.good) as succeeded,
        coalesce(sum(j.input_tokens), 0)::bigint as input_tokens,
        coalesce(sum(j.output_tokens), 0)::bigint as output_tokens,
        coalesce(sum(j.cost_usd), 0) as cost_usd,
        count(*) filter (where j.cost_usd is null) as unpriced_runs,
        coalesce(sum(j.up), 0)::bigint as feedback_up,
        coalesce(sum(j.down), 0)::bigint as feedback_down,
        %s as durations
    $sql$, format(durations, $sql$string_agg(float4send(j.duration_ms::real), ''::bytea)$sql$))
$$;

-- Counts one past day anew; false when there is none left to count.
create function public.count_day(p_workspace text) returns boolean
language plpgsql security invoker set search_path = '' as $$
declare
    today bigint := floor(extract(epoch from clock_timestamp()) / 86400);
    this bigint;
begin
    select c.day into this from public.changed_days c
    where c.workspace = p_workspace and c.day < today order by c.day desc limit 1
    for update skip locked;
    if this is null then
        return false;
    end if;
    delete from public.changed_days c where c.workspace = p_workspace and c.day = this;
    delete from public.day_counts c where c.workspace = p_workspace and c.day = this;
    execute public.judging(
        'r.workspace = $1 and ' || case when this = -1 then 'r.day is null' else 'r.day = $2' end
    ) || 'insert into public.day_counts select $1, j.kind, j.audience, $2, j.agent,'
    || public.counting('coalesce(%s, '''')') || 'from judged j group by j.kind, j.audience, j.agent'
    using p_workspace, this;
    return true;
end
$$;

-- The condition of a query over the runs `r` of the workspace $1.
create function public.condition_of(q jsonb) returns text
language sql immutable security invoker set search_path = '' as $$
    select concat_ws(' and ',
        'r.workspace = $1',
        format('r.kind = any (%L)', array(select jsonb_array_elements_text(q -> 'kinds'))),
        'r.user_id = ' || quote_literal(q ->> 'user_id'),
        'r.channel_id = ' || quote_literal(q ->> 'channel_id'),
        'r.thread_ts = ' || quote_literal(q ->> 'thread_ts'),
        'r.agent = ' || quote_literal(q ->> 'agent'),
        'r.day >= ' || floor((q ->> 'since')::double precision / 86400)::bigint,
        'r.started_at >= ' || quote_literal(q ->> 'since') || '::double precision',
        'r.day <= ' || floor((q ->> 'until')::double precision / 86400)::bigint,
        'r.started_at < ' || quote_literal(q ->> 'until') || '::double precision',
        case when jsonb_typeof(q -> 'audiences') = 'array' then format(
            'r.audience = any (%L)', array(select jsonb_array_elements_text(q -> 'audiences'))
        ) end
    )
$$;

-- Counts of all runs that a query matches (its limit does not count), in pieces to be added up,
-- each of an agent on a day: whole past days from day_counts, the rest run by run.
create function public.run_counts(p_workspace text, query text) returns jsonb
language plpgsql stable security invoker set search_path = '' set work_mem = '64MB' as $$
declare
    q jsonb := query::jsonb;
    since double precision := (q ->> 'since')::double precision;
    until double precision := (q ->> 'until')::double precision;
    whole boolean := coalesce(q ->> 'user_id', q ->> 'channel_id', q ->> 'thread_ts') is null;
    first_day bigint := coalesce(ceil(since / 86400), -1);
    last_day bigint := coalesce(floor(until / 86400) - 1, 9007199254740991);
    to_read bigint[];
    conditions text[] := array[public.condition_of(q)];
    condition text;
    pieces jsonb := '[]';
    more jsonb;
begin
    if whole then
        first_day := greatest(first_day, case when until is null then -1 else 0 end);
        select coalesce(jsonb_agg(to_jsonb(g)), '[]') into pieces from (
            select nullif(c.day, -1) as day, c.agent, sum(c.runs) as runs, sum(c.judged) as judged,
                sum(c.succeeded) as succeeded, sum(c.input_tokens) as input_tokens,
                sum(c.output_tokens) as output_tokens, sum(c.cost_usd) as cost_usd,
                sum(c.unpriced_runs) as unpriced_runs, sum(c.feedback_up) as feedback_up,
                sum(c.feedback_down) as feedback_down,
                encode(string_agg(c.durations, ''::bytea), 'base64') as durations
            from public.day_counts c
            where c.workspace = p_workspace and c.day between first_day and last_day
                and c.day not in (
                    select d.day from public.changed_days d where d.workspace = p_workspace
                )
                and c.kind = any (array(select jsonb_array_elements_text(q -> 'kinds')))
                and (q ->> 'agent' is null or c.agent = q ->> 'agent')
                and (jsonb_typeof(q -> 'audiences') is distinct from 'array' or c.audience = any (
                    array(select jsonb_array_elements_text(
                        case jsonb_typeof(q -> 'audiences') when 'array' then q -> 'audiences'
                        else '[]' end
                    ))
                ))
            group by c.day, c.agent
        ) g;
        to_read := array(
            select d.day from public.changed_days d where d.workspace = p_workspace
            union
            select floor(edge / 86400)::bigint from unnest(array[since, until]) edge
            where edge is not null and edge <> floor(edge / 86400) * 86400
        );
        conditions := array[conditions[1] || format(' and r.day = any (%L::bigint[])', to_read)]
        || case when -1 = any (to_read) then array[conditions[1] || ' and r.day is null'] end;
    end if;
    foreach condition in array conditions loop
        execute public.judging(condition) || format(
            'select coalesce(jsonb_agg(to_jsonb(g)), ''[]'')
            from (select j.day, j.agent, %s from judged j group by j.day, j.agent) g',
            public.counting('encode(%s, ''base64'')')
        ) into more using p_workspace;
        pieces := pieces || more;
    end loop;
    return pieces;
end
$$;

create or replace function public.schema_version() returns text
language sql immutable security invoker set search_path = '' as $$
    select '20261121000008_day_counts'
$$;

revoke execute on function public.runs_changed_days(), public.feedback_changed_days(),
public.judging(text), public.counting(text), public.count_day(text), public.condition_of(jsonb),
public.run_counts(text, text) from public, anon, authenticated;
grant execute on function public.runs_changed_days(), public.feedback_changed_days(),
public.judging(text), public.counting(text), public.count_day(text), public.condition_of(jsonb),
public.run_counts(text, text) to service_role;
