-- Views for people, to be charted in Supabase's dashboard as they are. Days are UTC. They hold
-- numbers and ids, no texts. Only the service role and the dashboard may read them.

set lock_timeout = '5s';
set statement_timeout = '60s';

create view public.report_days with (security_invoker = true) as
select j.workspace, date '1970-01-01' + j.day::integer as day,
    count(*) as runs,
    count(distinct j.user_id) as people,
    count(*) filter (where j.judged) as judged,
    count(*) filter (where j.judged and j.succeeded) as succeeded,
    round(
        100.0 * count(*) filter (where j.judged and j.succeeded)
        / nullif(count(*) filter (where j.judged), 0), 1
    ) as success_percent,
    percentile_cont(0.5) within group (order by j.duration_ms) as p50_ms,
    percentile_cont(0.95) within group (order by j.duration_ms) as p95_ms,
    sum(j.feedback_up)::bigint as feedback_up,
    sum(j.feedback_down)::bigint as feedback_down
from public.judged_runs j
where j.kind = 'reply' and j.day is not null
group by j.workspace, j.day;

create view public.report_agents with (security_invoker = true) as
select j.workspace, date '1970-01-01' + j.day::integer as day, j.agent,
    count(*) as runs,
    count(*) filter (where j.judged) as judged,
    count(*) filter (where j.judged and j.succeeded) as succeeded,
    round(
        100.0 * count(*) filter (where j.judged and j.succeeded)
        / nullif(count(*) filter (where j.judged), 0), 1
    ) as success_percent,
    percentile_cont(0.5) within group (order by j.duration_ms) as p50_ms,
    percentile_cont(0.95) within group (order by j.duration_ms) as p95_ms,
    coalesce(sum(j.cost_usd), 0) as cost_usd,
    sum(j.feedback_up)::bigint as feedback_up,
    sum(j.feedback_down)::bigint as feedback_down
from public.judged_runs j
where j.kind = 'reply' and j.day is not null
group by j.workspace, j.day, j.agent;

create view public.report_channels with (security_invoker = true) as
select j.workspace, date '1970-01-01' + j.day::integer as day, j.channel_id,
    count(*) as runs,
    count(distinct j.user_id) as people,
    count(*) filter (where j.judged) as judged,
    count(*) filter (where j.judged and j.succeeded) as succeeded,
    coalesce(sum(j.cost_usd), 0) as cost_usd,
    sum(j.feedback_up)::bigint as feedback_up,
    sum(j.feedback_down)::bigint as feedback_down
from public.judged_runs j
where j.kind = 'reply' and j.day is not null and j.channel_id is not null
group by j.workspace, j.day, j.channel_id;

-- What everything took, replies and the work behind them. Runs without a known price are counted,
-- not guessed.
create view public.report_costs with (security_invoker = true) as
select r.workspace, date '1970-01-01' + r.day::integer as day, r.kind, r.model,
    count(*) as runs,
    coalesce(sum(r.input_tokens), 0)::bigint as input_tokens,
    coalesce(sum(r.output_tokens), 0)::bigint as output_tokens,
    coalesce(sum(r.cost_usd), 0) as cost_usd,
    count(*) filter (where r.cost_usd is null) as unpriced_runs
from public.runs r
where r.day is not null
group by r.workspace, r.day, r.kind, r.model;

create view public.report_feedback with (security_invoker = true) as
select f.workspace, to_timestamp(f.created_at) as given_at, f.kind, f.value, f.weight,
    r.agent, r.channel_id, r.task_type, f.run_id
from public.feedback f
left join public.runs r on r.workspace = f.workspace and r.run_id = f.run_id;

create or replace function public.schema_version() returns text
language sql immutable security invoker set search_path = '' as $$
    select '20261121000006_report_views'
$$;

revoke all on public.report_days, public.report_agents, public.report_channels,
public.report_costs, public.report_feedback from anon, authenticated;
grant select on public.report_days, public.report_agents, public.report_channels,
public.report_costs, public.report_feedback to service_role;
