-- Questions about runs. Every function answers JSON, so that no limit on rows cuts an answer short.
-- A query is JSON: {"kinds": [...], "user_id", "channel_id", "thread_ts", "agent", "since",
-- "until", "audiences": [...], "limit"}; null or absent means any.

set lock_timeout = '5s';
set statement_timeout = '60s';

-- How each run was judged: by a check or by the person's word on the run itself, else by the latest
-- explicit feedback on it (above 0 is a success). Ratings count once a person, the latest.
create view public.judged_runs with (security_invoker = true) as
with itself as (
    select r.*,
        coalesce(
            r.outcome_source in ('check', 'user') and r.outcome_success is not null, false
        ) as by_itself
    from public.runs r
), word as (
    select distinct on (f.workspace, f.run_id) f.workspace, f.run_id, f.value > 0 as good
    from public.feedback f where f.kind in ('rating', 'reason', 'better')
    order by f.workspace, f.run_id, f.created_at desc, f.seq desc
), rating as (
    select distinct on (f.workspace, f.run_id, f.user_id) f.workspace, f.run_id, f.value
    from public.feedback f where f.kind = 'rating'
    order by f.workspace, f.run_id, f.user_id, f.created_at desc, f.seq desc
), ratings as (
    select rating.workspace, rating.run_id,
        count(*) filter (where rating.value > 0) as up,
        count(*) filter (where rating.value < 0) as down
    from rating group by rating.workspace, rating.run_id
)
select itself.workspace, itself.run_id, itself.seq, itself.kind, itself.audience, itself.agent,
    itself.agent_version, itself.model, itself.task_type, itself.user_id, itself.channel_id,
    itself.thread_ts, itself.day, itself.started_at, itself.duration_ms, itself.first_token_ms,
    itself.input_tokens, itself.output_tokens, itself.cost_usd,
    itself.by_itself or word.good is not null as judged,
    case when itself.by_itself then itself.outcome_success else coalesce(word.good, false) end
        as succeeded,
    coalesce(ratings.up, 0) as feedback_up,
    coalesce(ratings.down, 0) as feedback_down
from itself
left join word on word.workspace = itself.workspace and word.run_id = itself.run_id
left join ratings on ratings.workspace = itself.workspace and ratings.run_id = itself.run_id;

-- The runs that a query matches, newest first, those without a time last; each with its "steps"
-- where asked.
create function public.list_runs(p_workspace text, query text, with_steps boolean) returns jsonb
language plpgsql stable security invoker set search_path = ''
set plan_cache_mode = force_custom_plan as $$
declare
    q jsonb := query::jsonb;
    kinds text[] := array(select jsonb_array_elements_text(q -> 'kinds'));
    of_user text := q ->> 'user_id';
    of_channel text := q ->> 'channel_id';
    of_thread text := q ->> 'thread_ts';
    of_agent text := q ->> 'agent';
    since double precision := (q ->> 'since')::double precision;
    until double precision := (q ->> 'until')::double precision;
    audiences text[];
begin
    if jsonb_typeof(q -> 'audiences') = 'array' then
        audiences := array(select jsonb_array_elements_text(q -> 'audiences'));
    end if;
    return (
        select coalesce(
            jsonb_agg(
                to_jsonb(chosen) || jsonb_build_object('steps', case
                    when with_steps then public.steps_of(p_workspace, chosen.run_id)
                end)
                order by chosen.day desc nulls last, chosen.started_at desc nulls last,
                    chosen.seq desc
            ), '[]'
        )
        from (
            select r.* from public.runs r
            where r.workspace = p_workspace and r.kind = any (kinds)
                and (of_user is null or r.user_id = of_user)
                and (of_channel is null or r.channel_id = of_channel)
                and (of_thread is null or r.thread_ts = of_thread)
                and (of_agent is null or r.agent = of_agent)
                and (since is null or r.day >= floor(since / 86400)::bigint)
                and (since is null or r.started_at >= since)
                and (until is null or r.day <= floor(until / 86400)::bigint)
                and (until is null or r.started_at < until)
                and (audiences is null or r.audience = any (audiences))
            order by r.day desc nulls last, r.started_at desc nulls last, r.seq desc
            limit (q ->> 'limit')::bigint
        ) chosen
    );
end
$$;

create function public.steps_of(p_workspace text, p_run text) returns jsonb
language sql stable security invoker set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(s) order by s.position), '[]')
    from public.steps s where s.workspace = p_workspace and s.run_id = p_run
$$;

-- The next runs in the order in which they came, of everybody or of a person, each with its steps.
create function public.page_of_runs(
    p_workspace text, after bigint, of_user text, page bigint
) returns jsonb
language sql stable security invoker set search_path = '' as $$
    select coalesce(
        jsonb_agg(
            to_jsonb(chosen)
            || jsonb_build_object('steps', public.steps_of(p_workspace, chosen.run_id))
            order by chosen.seq
        ), '[]'
    )
    from (
        select r.* from public.runs r
        where r.workspace = p_workspace and r.seq > after
            and (of_user is null or r.user_id = of_user)
        order by r.seq limit page
    ) chosen
$$;

-- Everything that is kept about a person, by table: what forget_person would empty or delete.
create function public.everything_about(p_workspace text, p_user text) returns jsonb
language plpgsql stable security invoker set search_path = '' as $$
declare
    own text := 'person:' || p_user;
    theirs text[] := public.their_runs(p_workspace, p_user);
begin
    return jsonb_build_object(
        'people', (
            select coalesce(jsonb_agg(to_jsonb(p)), '[]') from public.people p
            where p.workspace = p_workspace and p.user_id = p_user
        ),
        'runs', (
            select coalesce(
                jsonb_agg(
                    to_jsonb(r) || jsonb_build_object(
                        'steps', public.steps_of(p_workspace, r.run_id)
                    ) order by r.seq
                ), '[]'
            )
            from public.runs r where r.workspace = p_workspace and r.run_id = any (theirs)
        ),
        'messages', (
            select coalesce(jsonb_agg(to_jsonb(m) order by m.ts, m.channel_id), '[]')
            from public.messages m
            where m.workspace = p_workspace
                and (m.user_id = p_user or m.audience = own or m.run_id = any (theirs))
        ),
        'summaries', (
            select coalesce(jsonb_agg(to_jsonb(s) order by s.until_ts, s.channel_id), '[]')
            from public.summaries s
            where s.workspace = p_workspace and (
                s.audience = own or exists (
                    select 1 from public.messages m
                    where m.workspace = p_workspace and m.channel_id = s.channel_id
                        and m.thread_ts = s.thread_ts
                        and (m.user_id = p_user or m.audience = own or m.run_id = any (theirs))
                )
            )
        ),
        'feedback', (
            select coalesce(jsonb_agg(to_jsonb(f) order by f.seq), '[]') from public.feedback f
            where f.workspace = p_workspace and f.user_id = p_user
        ),
        'documents', (
            select coalesce(
                jsonb_agg(
                    to_jsonb(d) order by d.kind collate "C", d.name collate "C", d.number
                ), '[]'
            )
            from public.documents d
            where d.workspace = p_workspace and (d.author = p_user or d.audience = own)
        ),
        'policy', (
            select coalesce(jsonb_agg(to_jsonb(p) order by p.seq), '[]') from public.policy p
            where p.workspace = p_workspace and p.set_by = p_user
        )
    );
end
$$;

-- How each agent did with each type of task since a moment. Implicit feedback counts with its
-- weight, where neither a check nor a person's word says more. A reaction of weight 0 takes back
-- one of the same person and value.
create function public.agent_records(p_workspace text, since double precision) returns jsonb
language sql stable security invoker set search_path = '' as $$
    with felt as (
        select f.run_id, f.value,
            case f.kind
                when 'reaction' then max(f.weight) * greatest(
                    0, count(*) filter (where f.weight > 0) - count(*) filter (where f.weight = 0)
                )
                else sum(f.weight)
            end as weight
        from public.feedback f
        where f.workspace = p_workspace and f.kind not in ('rating', 'reason', 'better')
        group by f.run_id, f.kind, f.user_id, f.value
    ), sign as (
        select felt.run_id, least(1.0, sum(felt.weight)) as weight,
            sum(case when felt.value > 0 then felt.weight else 0 end) / sum(felt.weight) as good
        from felt where felt.weight > 0
        group by felt.run_id
    ), weighed as (
        select j.agent, j.task_type, j.duration_ms, j.cost_usd,
            case when j.judged then 1.0 else coalesce(sign.weight, 0.0) end as weight,
            case when j.judged then j.succeeded::int else coalesce(sign.good, 0) end as good
        from public.judged_runs j left join sign on sign.run_id = j.run_id
        where j.workspace = p_workspace and j.kind = 'reply'
            and j.day >= floor(since / 86400)::bigint and j.started_at >= since
    ), record as (
        select w.agent, w.task_type, count(*) as runs, sum(w.weight) as judged,
            sum(w.weight * w.good) as succeeded, avg(w.duration_ms) as mean_ms,
            avg(w.cost_usd) as mean_cost_usd
        from weighed w group by w.agent, w.task_type
    )
    select coalesce(
        jsonb_agg(
            to_jsonb(record)
            order by record.agent collate "C", record.task_type collate "C" nulls first
        ), '[]'
    )
    from record
$$;

create or replace function public.schema_version() returns text
language sql immutable security invoker set search_path = '' as $$
    select '20261121000005_analysis'
$$;

revoke all on public.judged_runs from anon, authenticated;
grant select on public.judged_runs to service_role;
revoke execute on function public.list_runs(text, text, boolean),
public.steps_of(text, text), public.page_of_runs(text, bigint, text, bigint),
public.agent_records(text, double precision),
public.everything_about(text, text) from public, anon, authenticated;
grant execute on function public.list_runs(text, text, boolean),
public.steps_of(text, text), public.page_of_runs(text, bigint, text, bigint),
public.agent_records(text, double precision),
public.everything_about(text, text) to service_role;
