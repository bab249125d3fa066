-- Whose settings cannot be read may have declined to be learned from; one such row ends no learning.

set lock_timeout = '5s';
set statement_timeout = '60s';

create or replace function public.unlearned(p_workspace text) returns text[]
language sql stable security invoker set search_path = '' as $$
    select coalesce(array_agg(p.user_id), '{}') from public.people p
    where p.workspace = p_workspace and case
        when jsonb_typeof(public.json_of(p.settings)) = 'object'
            then public.json_of(p.settings) ->> 'learning' = 'no'
        else true
    end
$$;

-- How each agent did with each type of task since a moment. Implicit feedback counts with its
-- weight, where neither a check nor a person's word says more. A reaction of weight 0 takes back
-- one of the same person and value.
create or replace function public.agent_records(p_workspace text, since double precision) returns jsonb
language sql stable security invoker set search_path = '' as $$
    with unlearned as (
        select unnest(public.unlearned(p_workspace)) as user_id
    ), decided as (
        select distinct on (p.key) p.key, p.value from public.policy p
        where p.workspace = p_workspace and (p.key = 'learning' or p.key like 'learning.%')
        order by p.key, p.seq desc
    ), felt as (
        select f.run_id, f.value,
            case f.kind
                when 'reaction' then max(f.weight) * greatest(
                    0, count(*) filter (where f.weight > 0) - count(*) filter (where f.weight = 0)
                )
                else sum(f.weight)
            end as weight
        from public.feedback f
        where f.workspace = p_workspace and f.kind not in ('rating', 'reason', 'better')
            and coalesce(f.user_id, '') not in (select u.user_id from unlearned u)
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
            and coalesce(j.user_id, '') not in (select u.user_id from unlearned u)
            and coalesce(
                (select d.value from decided d where d.key = 'learning.' || j.channel_id),
                (select d.value from decided d where d.key = 'learning'), 'yes'
            ) <> 'no'
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
    select '20261121000015_damaged_settings'
$$;
