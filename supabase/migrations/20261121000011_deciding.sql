-- How learning decides: records, documents, policy and the audit log in one transaction, and what a
-- local copy and learners ask for.

set lock_timeout = '5s';
set statement_timeout = '60s';

-- What stands for somebody in the audit log: see database/audit.py.
create function public.audit_alias(p_workspace text, p_user text) returns text
language plpgsql security invoker set search_path = '' as $$
declare
    alias text;
    salt text := replace(gen_random_uuid()::text, '-', '');
begin
    if p_user in ('', '[forgotten]') then
        return '[forgotten]';
    end if;
    select a.digest into alias from public.audit_people a
    where a.workspace = p_workspace and a.user_id = p_user;
    if alias is null then
        alias := '@' || left(encode(sha256(convert_to(salt || p_user, 'UTF8')), 'hex'), 32);
        insert into public.audit_people values (p_workspace, p_user, salt, alias);
    end if;
    return alias;
end
$$;

-- Adds entries behind the last. Whoever calls holds the workspace's lock for decisions.
create function public.append_audit(p_workspace text, entries jsonb) returns void
language plpgsql security invoker set search_path = '' as $$
declare
    head public.audit_heads;
    made public.audit;
    entry jsonb;
    who text;
begin
    select * into head from public.audit_heads h where h.workspace = p_workspace;
    made.workspace := p_workspace;
    made.seq := coalesce(head.seq, 0);
    made.digest := coalesce(head.digest, '');
    for entry in
        select e.value from jsonb_array_elements(entries) with ordinality e order by e.ordinality
    loop
        made.seq := made.seq + 1;
        made.at := (entry ->> 'at')::double precision;
        made.actor := public.audit_alias(p_workspace, entry ->> 'actor');
        made.action := entry ->> 'action';
        made.subject := entry ->> 'subject';
        made.details := entry ->> 'details';
        for who in select jsonb_array_elements_text(entry -> 'people') loop
            made.subject := replace(made.subject, who, public.audit_alias(p_workspace, who));
            made.details := replace(made.details, who, public.audit_alias(p_workspace, who));
        end loop;
        made.previous := made.digest;
        made.digest := encode(sha256(convert_to(concat_ws(
            E'\n', made.previous, made.seq::text, round(made.at * 1000)::bigint::text, made.actor,
            made.action, made.subject, made.details
        ), 'UTF8')), 'hex');
        insert into public.audit select made.*;
    end loop;
    insert into public.audit_heads as h values (p_workspace, made.seq, made.digest)
    on conflict (workspace) do update set seq = excluded.seq, digest = excluded.digest;
end
$$;

-- Adds rows of a table that a decision moves, or writes over those of the same key.
create function public.put_records(of_table text, key text, rows jsonb) returns void
language plpgsql security invoker set search_path = '' as $$
declare
    sets text;
begin
    select string_agg(format('%1$I = excluded.%1$I', a.attname), ', ') into sets
    from pg_catalog.pg_attribute a
    where a.attrelid = format('public.%I', of_table)::regclass and a.attnum > 0
        and not a.attisdropped and a.attname not in ('workspace', key);
    execute format(
        'insert into public.%1$I select made.*
        from jsonb_populate_recordset(null::public.%1$I, $1) made
        on conflict (workspace, %2$I) do update set %3$s', of_table, key, sets
    ) using rows;
end
$$;

-- The tables that a decision moves, and what names a record of each.
create function public.moving_tables() returns jsonb
language sql immutable security invoker set search_path = '' as $$
    select '{"proposals": "proposal_id", "trials": "trial_id", "findings": "finding_id",
        "learner_states": "learner"}'::jsonb
$$;

-- Why a wished change cannot be made; null when it can. Whoever calls holds the name's lock.
create function public.change_refused(p_workspace text, wished jsonb) returns jsonb
language plpgsql stable security invoker set search_path = '' as $$
declare
    live public.documents;
    answer jsonb := jsonb_build_object('kind', wished -> 'kind', 'name', wished -> 'name');
begin
    select * into live from public.documents d
    where d.workspace = p_workspace and d.kind = wished ->> 'kind' and d.name = wished ->> 'name'
        and d.active;
    if not found then
        if wished ->> 'base' is null and not (wished ->> 'retire')::boolean then
            return null;
        end if;
        return answer || jsonb_build_object('refused', case
            when wished ->> 'base' is not null and exists (
                select 1 from public.documents d
                where d.workspace = p_workspace and d.kind = wished ->> 'kind'
                    and d.name = wished ->> 'name'
            ) then 'gone' else 'unknown'
        end);
    end if;
    if live.version is distinct from wished ->> 'base' then
        return answer || jsonb_build_object('refused', 'stale', 'number', live.number);
    end if;
    if wished ->> 'audience' not in ('public', live.audience) then
        return answer || jsonb_build_object('refused', 'beyond');
    end if;
    return null;
end
$$;

-- Makes a change that is not refused.
create function public.make_change(p_workspace text, wished jsonb) returns void
language plpgsql security invoker set search_path = '' as $$
declare
    audience text;
begin
    if (wished ->> 'retire')::boolean then
        update public.documents set active = false
        where workspace = p_workspace and kind = wished ->> 'kind' and name = wished ->> 'name'
            and active;
        perform public.note_documents_changed(p_workspace);
        return;
    end if;
    select d.audience into audience from public.documents d
    where d.workspace = p_workspace and d.kind = wished ->> 'kind' and d.name = wished ->> 'name'
        and d.active;
    perform public.save_version(
        wished || jsonb_build_object('audience', coalesce(audience, wished ->> 'audience'))
    );
end
$$;

-- A decision is JSON: rows of each of `moving_tables`, "changes" (rows of documents with "retire"),
-- "policy", "audit", and "late", which names one that was made while Supabase was away. All of it is
-- done, or it answers {"refused": why, ...} and nothing is.
create function public.decide(p_workspace text, decision text) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
    d jsonb := decision::jsonb;
    of_table text;
    key text;
    found_key text;
    wished jsonb;
    refused jsonb;
    number bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended('decide ' || p_workspace, 0));
    for wished in
        select c.value from jsonb_array_elements(d -> 'changes') c
        order by c.value ->> 'kind', c.value ->> 'name'
    loop
        perform pg_advisory_xact_lock(hashtextextended(
            jsonb_build_array(p_workspace, wished -> 'kind', wished -> 'name')::text, 0
        ));
    end loop;
    if d ->> 'late' is not null and exists (
        select 1 from public.audit a
        where a.workspace = p_workspace and a.details::jsonb ->> 'late' = d ->> 'late'
    ) then
        return jsonb_build_object('done', true);
    end if;

    for of_table, key in select * from jsonb_each_text(public.moving_tables()) loop
        execute format(
            'select r.value ->> %1$L from jsonb_array_elements($1) r
            left join public.%2$I p on p.workspace = $2 and p.%3$I = r.value ->> %1$L
            where coalesce(p.revision, 0) <> (r.value ->> ''revision'')::bigint - 1 limit 1',
            key, of_table, key
        ) into found_key using d -> of_table, p_workspace;
        if found_key is not null then
            return jsonb_build_object('refused', 'moved', 'table', of_table, 'key', found_key);
        end if;
    end loop;
    for wished in select c.value from jsonb_array_elements(d -> 'changes') c loop
        refused := public.change_refused(p_workspace, wished);
        if refused is not null then
            return refused;
        end if;
    end loop;

    for wished in
        select c.value from jsonb_array_elements(d -> 'changes') with ordinality c
        order by c.ordinality
    loop
        perform public.make_change(p_workspace, wished);
    end loop;
    insert into public.learning_changes as c values (p_workspace, 1)
    on conflict (workspace) do update set changes = c.changes + 1
    returning c.changes into number;
    for of_table, key in select * from jsonb_each_text(public.moving_tables()) loop
        perform public.put_records(of_table, key, coalesce(
            (
                select jsonb_agg(r.value || jsonb_build_object('change', number))
                from jsonb_array_elements(d -> of_table) r
            ), '[]'
        ));
    end loop;
    insert into public.policy (workspace, key, value, set_by, set_at)
    select p_workspace, p.value ->> 'key', p.value ->> 'value', p.value ->> 'set_by',
        (p.value ->> 'set_at')::double precision
    from jsonb_array_elements(d -> 'policy') with ordinality p order by p.ordinality;
    perform public.append_audit(p_workspace, d -> 'audit');
    return jsonb_build_object(
        'change', number,
        'documents', public.documents_named(p_workspace, coalesce(
            (
                select jsonb_agg(jsonb_build_array(c.value -> 'kind', c.value -> 'name'))
                from jsonb_array_elements(d -> 'changes') c
            ), '[]'
        )::text),
        'policy', case
            when jsonb_array_length(d -> 'policy') > 0 then public.policy_rows(p_workspace)
        end
    );
end
$$;

-- What people make and decide without a proposal is in the audit log too.
create function public.note_document(document jsonb, done text) returns void
language sql security invoker set search_path = '' as $$
    select public.append_audit(document ->> 'workspace', jsonb_build_array(jsonb_build_object(
        'at', extract(epoch from clock_timestamp()),
        'actor', coalesce(document ->> 'author', 'assistant'),
        'action', 'document ' || done,
        'subject', (document ->> 'kind') || '/' || (document ->> 'name'),
        'details', format(
            '{"base":%s,"origin":%s,"version":%s}', coalesce(document -> 'base', 'null'),
            document -> 'origin', document -> 'version'
        ),
        'people', '[]'::jsonb
    )))
$$;

create or replace function public.create_document(document text) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
    made jsonb := document::jsonb;
    whole_name text := jsonb_build_array(made -> 'workspace', made -> 'kind', made -> 'name');
begin
    perform pg_advisory_xact_lock(hashtextextended('decide ' || (made ->> 'workspace'), 0));
    perform pg_advisory_xact_lock(hashtextextended(whole_name, 0));
    if exists (
        select 1 from public.documents d
        where d.workspace = made ->> 'workspace' and d.kind = made ->> 'kind'
            and d.name = made ->> 'name' and d.active
    ) then
        return jsonb_build_object('refused', 'taken');
    end if;
    perform public.save_version(made);
    perform public.note_document(made, 'created');
    return jsonb_build_object('documents', public.documents_named(
        made ->> 'workspace',
        jsonb_build_array(jsonb_build_array(made -> 'kind', made -> 'name'))::text
    ));
end
$$;

create or replace function public.activate_document(document text) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
    made jsonb := document::jsonb;
    whole_name text := jsonb_build_array(made -> 'workspace', made -> 'kind', made -> 'name');
    live public.documents;
begin
    perform pg_advisory_xact_lock(hashtextextended('decide ' || (made ->> 'workspace'), 0));
    perform pg_advisory_xact_lock(hashtextextended(whole_name, 0));
    select * into live from public.documents d
    where d.workspace = made ->> 'workspace' and d.kind = made ->> 'kind'
        and d.name = made ->> 'name' and d.active;
    if not found then
        return jsonb_build_object('refused', 'unknown');
    end if;
    if live.version is distinct from made ->> 'base' then
        return jsonb_build_object('refused', 'stale', 'number', live.number);
    end if;
    perform public.save_version(made || jsonb_build_object('audience', live.audience));
    perform public.note_document(made, 'activated');
    return jsonb_build_object('documents', public.documents_named(
        made ->> 'workspace',
        jsonb_build_array(jsonb_build_array(made -> 'kind', made -> 'name'))::text
    ));
end
$$;

-- The rows of a table that changed behind a number, some at a time; those of one number together.
create function public.learned_since(
    p_workspace text, of_table text, p_after bigint, p_limit bigint
) returns jsonb
language plpgsql stable security invoker set search_path = '' as $$
declare
    answer jsonb;
begin
    if not public.moving_tables() ? of_table then
        raise exception 'nothing called % is decided', of_table;
    end if;
    execute format(
        'select coalesce(jsonb_agg(to_jsonb(found) order by found.change), ''[]'') from (
            select * from public.%I r where r.workspace = $1 and r.change > $2
            order by r.change fetch first $3 rows with ties
        ) found', of_table
    ) into answer using p_workspace, p_after, p_limit;
    return answer;
end
$$;

create function public.observations_of(p_workspace text, p_trial text, p_aspect text) returns jsonb
language sql stable security invoker set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(o) order by o.seq), '[]') from public.observations o
    where o.workspace = p_workspace and o.trial_id = p_trial
        and (p_aspect is null or o.aspect = p_aspect)
$$;

-- Who declined to be learned from, and whether the runs of a channel may be learned from.
create function public.unlearned(p_workspace text) returns text[]
language sql stable security invoker set search_path = '' as $$
    select coalesce(array_agg(p.user_id), '{}') from public.people p
    where p.workspace = p_workspace and p.settings::jsonb ->> 'learning' = 'no'
$$;

create function public.channel_allows(p_workspace text, p_channel text) returns boolean
language sql stable security invoker set search_path = '' as $$
    select coalesce(
        (
            select p.value from public.policy p
            where p.workspace = p_workspace and p.key = 'learning.' || p_channel
            order by p.seq desc limit 1
        ), (
            select p.value from public.policy p
            where p.workspace = p_workspace and p.key = 'learning' order by p.seq desc limit 1
        ), 'yes'
    ) <> 'no'
$$;

create function public.exam_of(
    p_workspace text, p_part text, p_agent text, p_task_type text, p_limit bigint
) returns jsonb
language sql stable security invoker set search_path = '' as $$
    select coalesce(
        jsonb_agg(to_jsonb(found) order by found.created_at desc, found.question_id), '[]'
    )
    from (
        select q.* from public.exam_questions q
        left join public.runs r on r.workspace = q.workspace and r.run_id = q.run_id
        where q.workspace = p_workspace and q.part = p_part
            and (p_agent is null or q.agent = p_agent)
            and (p_task_type is null or q.task_type = p_task_type)
            and coalesce(q.user_id, '') <> all (public.unlearned(p_workspace))
            and coalesce(r.user_id, '') <> all (public.unlearned(p_workspace))
            and public.channel_allows(p_workspace, r.channel_id)
        order by q.created_at desc, q.question_id collate "C" limit p_limit
    ) found
$$;

-- Of these runs, those that may be learned from: neither they nor a run that they were made by are
-- of a person or channel that declined.
create function public.learnable(p_workspace text, p_runs text[], kinds text[]) returns text[]
language sql stable security invoker set search_path = '' as $$
    with recursive line (run_id, of_run) as (
        select given.run_id, given.run_id from unnest(p_runs) given (run_id)
        union
        select r.parent_run_id, line.of_run from line
        join public.runs r on r.workspace = p_workspace and r.run_id = line.run_id
        where r.parent_run_id is not null
    ), refused as (
        select line.of_run from line
        join public.runs r on r.workspace = p_workspace and r.run_id = line.run_id
        where coalesce(r.user_id, '') = any (public.unlearned(p_workspace))
            or not public.channel_allows(p_workspace, r.channel_id)
    )
    select coalesce(array_agg(r.run_id), '{}') from public.runs r
    where r.workspace = p_workspace and r.run_id = any (p_runs) and r.kind = any (kinds)
        and r.run_id not in (select refused.of_run from refused)
$$;

-- These runs with their steps, in the order in which they came.
create function public.runs_named(p_workspace text, p_runs text[]) returns jsonb
language sql stable security invoker set search_path = '' as $$
    select coalesce(
        jsonb_agg(
            to_jsonb(r) || jsonb_build_object('steps', public.steps_of(p_workspace, r.run_id))
            order by r.seq
        ), '[]'
    )
    from public.runs r where r.workspace = p_workspace and r.run_id = any (p_runs)
$$;

-- What is new for a learner since two watermarks, `page` runs and as much feedback at most. `before`
-- is the watermark of the runs at the first page: up to there, runs that are spoken of are older.
create function public.learning_window(
    p_workspace text, p_runs_seen bigint, p_feedback_seen bigint, before bigint, kinds text,
    page bigint
) returns jsonb
language plpgsql stable security invoker set search_path = ''
set plan_cache_mode = force_custom_plan as $$
declare
    of_kinds text[] := array(select jsonb_array_elements_text(kinds::jsonb));
    new_runs text[];
    spoken_of text[];
    last_run bigint;
    last_said bigint;
    found_runs bigint;
    found_said bigint;
begin
    select array_agg(n.run_id), max(n.seq), count(*) into new_runs, last_run, found_runs from (
        select r.run_id, r.seq from public.runs r
        where r.workspace = p_workspace and r.seq > p_runs_seen and r.kind = any (of_kinds)
        order by r.seq limit page
    ) n;
    select array_agg(n.run_id), max(n.seq), count(*) into spoken_of, last_said, found_said from (
        select f.run_id, f.seq from public.feedback f
        where f.workspace = p_workspace and f.seq > p_feedback_seen order by f.seq limit page
    ) n;
    if found_runs < page then
        select greatest(p_runs_seen, max(r.seq)) into last_run from public.runs r;
    end if;
    if found_said < page then
        select greatest(p_feedback_seen, max(f.seq)) into last_said from public.feedback f;
    end if;
    select coalesce(array_agg(r.run_id), '{}') into spoken_of from public.runs r
    where r.workspace = p_workspace and r.run_id = any (spoken_of) and r.seq <= before;
    new_runs := public.learnable(p_workspace, new_runs, of_kinds);
    spoken_of := public.learnable(p_workspace, spoken_of, of_kinds);
    return jsonb_build_object(
        'runs', public.runs_named(p_workspace, new_runs),
        'older', public.runs_named(p_workspace, spoken_of),
        'feedback', (
            select coalesce(
                jsonb_agg(
                    to_jsonb(f) order by f.run_id, f.created_at, f.feedback_id collate "C"
                ), '[]'
            )
            from public.feedback f
            where f.workspace = p_workspace and f.run_id = any (new_runs || spoken_of)
                and coalesce(f.user_id, '') <> all (public.unlearned(p_workspace))
        ),
        'runs_seen', last_run, 'feedback_seen', last_said,
        'more', found_runs = page or found_said = page
    );
end
$$;

-- What learning did and took, by workspace, day and agent.
create view public.improvement_days with (security_invoker = true) as
select days.workspace, days.day, days.agent, sum(days.replies)::bigint as replies,
    sum(days.judged)::bigint as judged, sum(days.succeeded)::bigint as succeeded,
    sum(days.rated)::bigint as rated, sum(days.in_trial)::bigint as in_trial,
    sum(days.cost_usd) as cost_usd, sum(days.proposed)::bigint as proposed,
    sum(days.trials)::bigint as trials, sum(days.by_itself)::bigint as by_itself,
    sum(days.by_people)::bigint as by_people, sum(days.caught)::bigint as caught,
    sum(days.rolled_back)::bigint as rolled_back, sum(days.verified)::bigint as verified,
    sum(days.learning_runs)::bigint as learning_runs,
    sum(days.learning_tokens)::bigint as learning_tokens,
    sum(days.learning_cost_usd) as learning_cost_usd
from (
    select j.workspace, j.day, j.agent, count(*) as replies,
        count(*) filter (where j.judged) as judged,
        count(*) filter (where j.judged and j.succeeded) as succeeded,
        sum(j.feedback_up + j.feedback_down) as rated,
        count(*) filter (where exists (
            select 1 from public.observations o
            where o.workspace = j.workspace and o.run_id = j.run_id
        )) as in_trial,
        coalesce(sum(j.cost_usd), 0) as cost_usd,
        0 as proposed, 0 as trials, 0 as by_itself, 0 as by_people, 0 as caught, 0 as rolled_back,
        0 as verified, 0 as learning_runs, 0::bigint as learning_tokens,
        0::double precision as learning_cost_usd
    from public.judged_runs j where j.kind = 'reply' and j.day is not null
    group by j.workspace, j.day, j.agent
    union all
    select m.workspace, floor(m.moved_at / 86400)::bigint, m.agent, 0, 0, 0, 0, 0, 0,
        count(*) filter (where m.state = 'proposed'), 0,
        count(*) filter (where m.state = 'live' and not m.by_person),
        count(*) filter (where m.state = 'live' and m.by_person), 0,
        count(*) filter (where m.state = 'rolled_back'),
        count(*) filter (where m.state = 'verified'), 0, 0, 0
    from public.proposal_moves m
    group by m.workspace, floor(m.moved_at / 86400)::bigint, m.agent
    union all
    select t.workspace, floor(t.ended_at / 86400)::bigint, t.agent, 0, 0, 0, 0, 0, 0, 0, count(*),
        0, 0, count(*) filter (where t.state = 'harmful'), 0, 0, 0, 0, 0
    from public.trials t where t.ended_at is not null
    group by t.workspace, floor(t.ended_at / 86400)::bigint, t.agent
    union all
    select r.workspace, r.day, r.agent, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, count(*),
        coalesce(sum(coalesce(r.input_tokens, 0) + coalesce(r.output_tokens, 0)), 0)::bigint,
        coalesce(sum(r.cost_usd), 0)
    from public.runs r where r.kind in ('shadow', 'replay', 'review') and r.day is not null
    group by r.workspace, r.day, r.agent
) days
group by days.workspace, days.day, days.agent;

create view public.report_improvement with (security_invoker = true) as
select i.workspace, date '1970-01-01' + i.day::integer as day, i.agent, i.replies,
    round(100.0 * i.succeeded / nullif(i.judged, 0), 1) as success_percent,
    round(100.0 * i.rated / nullif(i.replies, 0), 1) as feedback_percent,
    round(100.0 * i.in_trial / nullif(i.replies, 0), 1) as in_trial_percent,
    i.cost_usd, i.proposed, i.trials, i.by_itself as promoted_by_itself,
    i.by_people as promoted_by_people, i.caught as harm_caught, i.rolled_back, i.verified,
    i.learning_runs, i.learning_tokens, i.learning_cost_usd
from public.improvement_days i;

-- The same but for what is counted of replies (see run_counts), in pieces to be put together.
create function public.improvement_counts(
    p_workspace text, first_day bigint, last_day bigint
) returns jsonb
language sql stable security invoker set search_path = '' as $$
    with piece as (
        select to_jsonb(g) as counted from (
            select r.day, r.agent, count(*) as in_trial from (
                select distinct o.run_id from public.observations o
                where o.workspace = p_workspace and o.created_at >= first_day * 86400.0
            ) tried
            join public.runs r on r.workspace = p_workspace and r.run_id = tried.run_id
            where r.kind = 'reply' and r.day between first_day and last_day
            group by r.day, r.agent
        ) g
        union all
        select to_jsonb(g) from (
            select floor(m.moved_at / 86400)::bigint as day, m.agent,
                count(*) filter (where m.state = 'proposed') as proposed,
                count(*) filter (where m.state = 'live' and not m.by_person) as by_itself,
                count(*) filter (where m.state = 'live' and m.by_person) as by_people,
                count(*) filter (where m.state = 'rolled_back') as rolled_back,
                count(*) filter (where m.state = 'verified') as verified
            from public.proposal_moves m
            where m.workspace = p_workspace and m.moved_at >= first_day * 86400.0
                and m.moved_at < (last_day + 1) * 86400.0
            group by floor(m.moved_at / 86400)::bigint, m.agent
        ) g
        union all
        select to_jsonb(g) from (
            select floor(t.ended_at / 86400)::bigint as day, t.agent, count(*) as trials,
                count(*) filter (where t.state = 'harmful') as caught
            from public.trials t
            where t.workspace = p_workspace and t.ended_at >= first_day * 86400.0
                and t.ended_at < (last_day + 1) * 86400.0
            group by floor(t.ended_at / 86400)::bigint, t.agent
        ) g
        union all
        select to_jsonb(g) from (
            select r.day, r.agent, count(*) as learning_runs,
                coalesce(sum(
                    coalesce(r.input_tokens, 0) + coalesce(r.output_tokens, 0)
                ), 0)::bigint as learning_tokens,
                coalesce(sum(r.cost_usd), 0) as learning_cost_usd
            from public.runs r
            where r.workspace = p_workspace and r.kind in ('shadow', 'replay', 'review')
                and r.day between first_day and last_day
            group by r.day, r.agent
        ) g
    )
    select coalesce(jsonb_agg(piece.counted), '[]') from piece
$$;

-- The audit log behind a place, with who stands behind its aliases, and where it ends.
create function public.audit_rows(p_workspace text, after bigint, page bigint) returns jsonb
language sql stable security invoker set search_path = '' as $$
    select jsonb_build_object(
        'entries', (
            select coalesce(jsonb_agg(to_jsonb(found) order by found.seq), '[]')
            from (
                select a.* from public.audit a
                where a.workspace = p_workspace and a.seq > after order by a.seq limit page
            ) found
        ),
        'people', (
            select coalesce(jsonb_agg(to_jsonb(p)), '[]') from public.audit_people p
            where p.workspace = p_workspace
        ),
        'head', (
            select to_jsonb(h) from public.audit_heads h where h.workspace = p_workspace
        )
    )
$$;

-- Whether an entry of this digest is here.
create function public.audit_knows(p_workspace text, p_digest text) returns boolean
language sql stable security invoker set search_path = '' as $$
    select exists (
        select 1 from public.audit a where a.workspace = p_workspace and a.digest = p_digest
    )
$$;

-- A home that had a record of its own before, or that was without Supabase for a time, brings what
-- was decided there and is not known here; of two, the one that was moved more often counts.
create function public.adopt_learned(p_workspace text, of_table text, rows text) returns void
language plpgsql security invoker set search_path = '' as $$
declare
    key text := public.moving_tables() ->> of_table;
    number bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended('decide ' || p_workspace, 0));
    insert into public.learning_changes as c values (p_workspace, 1)
    on conflict (workspace) do update set changes = c.changes + 1
    returning c.changes into number;
    execute format(
        'delete from public.%1$I p using jsonb_array_elements($1) r
        where p.workspace = $2 and p.%2$I = r.value ->> %2$L
            and p.revision < (r.value ->> ''revision'')::bigint', of_table, key
    ) using rows::jsonb, p_workspace;
    execute format(
        'insert into public.%1$I select made.* from jsonb_array_elements($1) r,
            jsonb_populate_record(
                null::public.%1$I, r.value || jsonb_build_object(''change'', $2)
            ) made
        where made.workspace = $3 on conflict (workspace, %2$I) do nothing', of_table, key
    ) using rows::jsonb, number, p_workspace;
end
$$;

-- Its audit log goes on here where it ends here, or where there is none yet; true when it does.
create function public.adopt_audit(p_workspace text, entries text, people text) returns boolean
language plpgsql security invoker set search_path = '' as $$
declare
    head public.audit_heads;
begin
    perform pg_advisory_xact_lock(hashtextextended('decide ' || p_workspace, 0));
    select * into head from public.audit_heads h where h.workspace = p_workspace;
    if coalesce(head.digest, '') is distinct from entries::jsonb -> 0 ->> 'previous' then
        return false;
    end if;
    insert into public.audit_people
    select made.* from jsonb_populate_recordset(null::public.audit_people, people::jsonb) made
    where made.workspace = p_workspace on conflict do nothing;
    insert into public.audit
    select made.* from jsonb_populate_recordset(null::public.audit, entries::jsonb) made
    where made.workspace = p_workspace;
    insert into public.audit_heads as h
    select a.workspace, a.seq, a.digest from public.audit a
    where a.workspace = p_workspace order by a.seq desc limit 1
    on conflict (workspace) do update set seq = excluded.seq, digest = excluded.digest;
    return true;
end
$$;

create or replace function public.schema_version() returns text
language sql immutable security invoker set search_path = '' as $$
    select '20261121000011_deciding'
$$;

revoke all on public.improvement_days, public.report_improvement from anon, authenticated;
grant select on public.improvement_days, public.report_improvement to service_role;
revoke execute on function public.audit_alias(text, text),
public.append_audit(text, jsonb),
public.put_records(text, text, jsonb),
public.moving_tables(),
public.change_refused(text, jsonb),
public.make_change(text, jsonb),
public.decide(text, text),
public.note_document(jsonb, text),
public.learned_since(text, text, bigint, bigint),
public.observations_of(text, text, text),
public.unlearned(text),
public.channel_allows(text, text),
public.exam_of(text, text, text, text, bigint),
public.learnable(text, text[], text[]),
public.runs_named(text, text[]),
public.learning_window(text, bigint, bigint, bigint, text, bigint),
public.improvement_counts(text, bigint, bigint),
public.audit_rows(text, bigint, bigint),
public.audit_knows(text, text),
public.adopt_learned(text, text, text),
public.adopt_audit(text, text, text)
from public, anon, authenticated;
grant execute on function public.audit_alias(text, text),
public.append_audit(text, jsonb),
public.put_records(text, text, jsonb),
public.moving_tables(),
public.change_refused(text, jsonb),
public.make_change(text, jsonb),
public.decide(text, text),
public.note_document(jsonb, text),
public.learned_since(text, text, bigint, bigint),
public.observations_of(text, text, text),
public.unlearned(text),
public.channel_allows(text, text),
public.exam_of(text, text, text, text, bigint),
public.learnable(text, text[], text[]),
public.runs_named(text, text[]),
public.learning_window(text, bigint, bigint, bigint, text, bigint),
public.improvement_counts(text, bigint, bigint),
public.audit_rows(text, bigint, bigint),
public.audit_knows(text, text),
public.adopt_learned(text, text, text),
public.adopt_audit(text, text, text)
to service_role;
