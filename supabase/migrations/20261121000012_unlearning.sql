-- Forgetting a person, and old texts, also in what was learned.

set lock_timeout = '5s';
set statement_timeout = '60s';

-- The versions that rest on these proposals, as JSON: [{kind, name, version}, ...]; see
-- database/unlearning.py.
create function public.spoiled_versions(p_workspace text, resting text[]) returns jsonb
language sql stable security invoker set search_path = '' as $$
    with recursive wished as (
        select p.proposal_id, p.created_at, c.value ->> 'kind' as kind, c.value ->> 'name' as name,
            c.value ->> 'base' as base, c.value ->> 'version' as version
        from public.proposals p, jsonb_array_elements(p.changes::jsonb) c
        where p.workspace = p_workspace and c.value ->> 'version' is not null
    ), step as (
        select d.kind, d.name, d.base, d.version from public.documents d
        where d.workspace = p_workspace and d.origin <> 'shipped'
        union all
        select w.kind, w.name, w.base, w.version from wished w
        where not exists (
            select 1 from public.documents d
            where d.workspace = p_workspace and d.kind = w.kind and d.name = w.name
                and d.version = w.version
        )
    ), spoiled (kind, name, version) as (
        select w.kind, w.name, w.version from wished w
        where w.proposal_id = any (resting) and not exists (
            select 1 from public.documents d
            where d.workspace = p_workspace and d.kind = w.kind and d.name = w.name
                and d.version = w.version
                and (d.origin <> 'proposal' or d.created_at < w.created_at)
        )
        union
        select step.kind, step.name, step.version from spoiled
        join step on step.kind = spoiled.kind and step.name = spoiled.name
            and step.base = spoiled.version
    )
    select coalesce(jsonb_agg(to_jsonb(spoiled)), '[]') from spoiled
$$;

-- Empties these versions; the nearest earlier version that has a body takes the place of one that
-- was active.
create function public.spoil(p_workspace text, spoiled_ones jsonb) returns bigint
language plpgsql security invoker set search_path = '' as $$
declare
    versions jsonb;
    place jsonb;
    spoiled bigint;
begin
    select coalesce(jsonb_agg(to_jsonb(d) - 'body'), '[]') into versions
    from jsonb_array_elements(spoiled_ones) s
    join public.documents d on d.workspace = p_workspace and d.kind = s.value ->> 'kind'
        and d.name = s.value ->> 'name' and d.version = s.value ->> 'version';

    update public.documents d set body = null, active = false
    from jsonb_array_elements(versions) s
    where d.workspace = p_workspace and d.kind = s.value ->> 'kind' and d.name = s.value ->> 'name'
        and d.version = s.value ->> 'version' and d.body is not null;
    get diagnostics spoiled = row_count;
    for place in
        select s.value from jsonb_array_elements(versions) s where (s.value ->> 'active')::boolean
    loop
        with recursive back (version, base, body, depth) as (
            select d.version, d.base, d.body, 1 from public.documents d
            where d.workspace = p_workspace and d.kind = place ->> 'kind'
                and d.name = place ->> 'name' and d.version = place ->> 'base'
            union all
            select d.version, d.base, d.body, back.depth + 1 from back
            join public.documents d on d.workspace = p_workspace and d.kind = place ->> 'kind'
                and d.name = place ->> 'name' and d.version = back.base
            where back.body is null and back.depth < 1000
        )
        update public.documents d set active = true from back
        where back.body is not null and d.workspace = p_workspace and d.kind = place ->> 'kind'
            and d.name = place ->> 'name' and d.version = back.version;
    end loop;
    if spoiled > 0 then
        perform public.note_documents_changed(p_workspace);
    end if;
    return spoiled;
end
$$;

-- What was learned from somebody: see database/unlearning.py. A test forgets the same person in both
-- records and compares every row. Answers rows by table.
create function public.unlearn(p_workspace text, p_user text, theirs text[]) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
    own text := 'person:' || p_user;
    because text := 'It rested on what was forgotten.';
    seconds double precision := extract(epoch from clock_timestamp());
    resting text[];
    spoiled jsonb;
    number bigint;
    of_proposals bigint;
    of_own_proposals bigint;
    of_trials bigint;
    of_findings bigint;
    of_learners bigint;
    of_documents bigint;
begin
    select coalesce(array_agg(p.proposal_id), '{}') into resting from public.proposals p
    where p.workspace = p_workspace and (
        p.audience = own
        or jsonb_path_query_array(p.evidence::jsonb, '$.runs[*]') ?| theirs
    );
    spoiled := public.spoiled_versions(p_workspace, resting);
    select resting || coalesce(array_agg(p.proposal_id), '{}') into resting
    from public.proposals p
    where p.workspace = p_workspace and exists (
        select 1 from jsonb_array_elements(p.changes::jsonb) c
        where spoiled @> jsonb_build_array(jsonb_build_object(
            'kind', c.value -> 'kind', 'name', c.value -> 'name', 'version', c.value -> 'version'
        ))
    );
    of_documents := public.spoil(p_workspace, spoiled);
    insert into public.learning_changes as c values (p_workspace, 1)
    on conflict (workspace) do update set changes = c.changes + 1
    returning c.changes into number;

    update public.proposals p set title = '[forgotten]', why = '', evidence = '{}',
        risk_reasons = '[]', reason = because, revision = p.revision + 1, change = number,
        changes = (
            select coalesce(jsonb_agg(c.value || '{"body": null}' order by c.ordinality), '[]')
            from jsonb_array_elements(p.changes::jsonb) with ordinality c
        )::text,
        state = case when p.state in ('proposed', 'trial', 'awaiting') then 'superseded'
            when p.state in ('live', 'verified') then 'rolled_back' else p.state end,
        moved_at = greatest(p.moved_at, seconds)
    where p.workspace = p_workspace and p.proposal_id = any (resting);
    get diagnostics of_proposals = row_count;
    update public.trials t set state = 'stopped', reason = because, ended_at = seconds,
        revision = t.revision + 1, change = number
    where t.workspace = p_workspace and t.state = 'running' and t.proposal_id = any (resting);
    get diagnostics of_trials = row_count;
    update public.findings f set title = '[forgotten]', text = '', data = '{}', runs = '[]',
        state = 'dismissed', revision = f.revision + 1, change = number
    where f.workspace = p_workspace and (f.audience = own or f.runs::jsonb ?| theirs);
    get diagnostics of_findings = row_count;
    update public.learner_states s set state = '{}', runs_seen = 0, feedback_seen = 0,
        revision = s.revision + 1, change = number
    where s.workspace = p_workspace and (
        exists (
            select 1 from public.runs r
            where r.workspace = p_workspace and r.run_id = any (theirs) and r.seq <= s.runs_seen
        ) or exists (
            select 1 from public.feedback f
            where f.workspace = p_workspace and f.user_id = p_user and f.seq <= s.feedback_seen
        )
    );
    get diagnostics of_learners = row_count;
    update public.proposals p set title = '[forgotten]', why = '', evidence = '{}',
        revision = p.revision + 1, change = number
    where p.workspace = p_workspace and p.learner = p_user;
    get diagnostics of_own_proposals = row_count;
    return jsonb_build_object(
        'proposals', of_proposals + of_own_proposals, 'trials', of_trials,
        'findings', of_findings, 'learner_states', of_learners, 'documents', of_documents
    );
end
$$;

-- The same for runs of theirs that have not arrived yet. `runs` is JSON.
create function public.unlearn_runs(p_workspace text, p_user text, runs text) returns jsonb
language plpgsql security invoker set search_path = '' as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('decide ' || p_workspace, 0));
    return public.unlearn(
        p_workspace, p_user, array(select jsonb_array_elements_text(runs::jsonb))
    );
end
$$;

-- Their id in other people's words.
create or replace function public.scrub(p_workspace text, p_user text) returns void
language plpgsql security invoker set search_path = '' as $$
declare
    whole_id text := '(?<![A-Za-z0-9])' || regexp_replace(p_user, '([^A-Za-z0-9])', '\\\1', 'g')
        || '(?![A-Za-z0-9])';
    place record;
begin
    for place in
        select * from (values
            ('runs', 'audience'), ('runs', 'request'), ('runs', 'reply'), ('runs', 'error'),
            ('runs', 'route'), ('steps', 'arguments'), ('steps', 'error'),
            ('feedback', 'feedback_id'), ('feedback', 'text'), ('messages', 'audience'),
            ('messages', 'text'), ('messages', 'user_id'), ('summaries', 'audience'),
            ('summaries', 'text'), ('documents', 'audience'), ('documents', 'body'),
            ('documents', 'reason'), ('people', 'user_id'), ('people', 'name'),
            ('people', 'settings'), ('policy', 'key'), ('policy', 'value'),
            ('proposals', 'learner'), ('proposals', 'title'), ('proposals', 'why'),
            ('proposals', 'changes'), ('proposals', 'evidence'), ('proposals', 'audience'),
            ('proposals', 'risk_reasons'), ('proposals', 'reason'), ('proposals', 'decided_by'),
            ('findings', 'learner'), ('findings', 'title'), ('findings', 'text'),
            ('findings', 'data'), ('findings', 'audience'), ('findings', 'decided_by'),
            ('learner_states', 'state'), ('exam_questions', 'request'),
            ('exam_questions', 'answer_check'), ('exam_questions', 'user_id'),
            ('exam_questions', 'audience')
        ) as t (of_table, of_column)
    loop
        execute format(
            'update public.%I set %2$I = regexp_replace(%2$I, $1, ''[forgotten]'', ''g'')
            where workspace = $2 and strpos(%2$I, $3) > 0', place.of_table, place.of_column
        ) using whole_id, p_workspace, p_user;
    end loop;
end
$$;

-- Answers the number of rows that were emptied or deleted, by table.
create or replace function public.forget_person(p_workspace text, p_user text) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
    own text := 'person:' || p_user;
    salt text := replace(gen_random_uuid()::text, '-', '');
    theirs text[] := public.their_runs(p_workspace, p_user);
    report jsonb := '{}';
    learned jsonb;
    changed bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended('decide ' || p_workspace, 0));
    update public.documents set body = null, active = false
    where workspace = p_workspace and body is not null
        and (audience = own or (author = p_user and kind = 'runbook'));
    if found then
        perform public.note_documents_changed(p_workspace);
    end if;

    learned := public.unlearn(p_workspace, p_user, theirs);

    update public.runs set user_id = null, channel_id = null, thread_ts = null,
        message_ts = null, reply_ts = null, request = '', reply = null, error = null, route = null
    where workspace = p_workspace and run_id = any (theirs);
    get diagnostics changed = row_count;
    report := report || jsonb_build_object('runs', changed);

    update public.steps set arguments = null, error = null
    where workspace = p_workspace and run_id = any (theirs);
    get diagnostics changed = row_count;
    report := report || jsonb_build_object('steps', changed);

    update public.feedback set user_id = null, text = null
    where workspace = p_workspace and user_id = p_user;
    get diagnostics changed = row_count;
    report := report || jsonb_build_object('feedback', changed);

    update public.documents set author = null, reason = null
    where workspace = p_workspace and (author = p_user or audience = own);
    get diagnostics changed = row_count;
    report := report || jsonb_build_object('documents', changed);

    delete from public.summaries s
    where s.workspace = p_workspace and (
        s.audience = own or exists (
            select 1 from public.messages m
            where m.workspace = p_workspace and m.channel_id = s.channel_id
                and m.thread_ts = s.thread_ts
                and (m.user_id = p_user or m.audience = own or m.run_id = any (theirs))
        )
    );
    get diagnostics changed = row_count;
    report := report || jsonb_build_object('summaries', changed);

    delete from public.messages
    where workspace = p_workspace
        and (user_id = p_user or audience = own or run_id = any (theirs));
    get diagnostics changed = row_count;
    report := report || jsonb_build_object('messages', changed);

    delete from public.day_counts where workspace = p_workspace and audience = own;
    delete from public.people where workspace = p_workspace and user_id = p_user;
    get diagnostics changed = row_count;
    report := report || jsonb_build_object('people', changed);

    update public.policy set set_by = '' where workspace = p_workspace and set_by = p_user;
    get diagnostics changed = row_count;
    report := report || jsonb_build_object('policy', changed);

    delete from public.exam_questions
    where workspace = p_workspace
        and (user_id = p_user or audience = own or run_id = any (theirs));
    get diagnostics changed = row_count;
    report := report || jsonb_build_object('exam_questions', changed);
    delete from public.audit_people where workspace = p_workspace and user_id = p_user;
    get diagnostics changed = row_count;
    report := report || jsonb_build_object('audit_people', changed);
    report := report || learned || jsonb_build_object(
        'documents', (report ->> 'documents')::bigint + (learned ->> 'documents')::bigint
    );

    perform public.scrub(p_workspace, p_user);
    insert into public.forgotten values (
        p_workspace, salt, public.digest_of(salt, p_user), extract(epoch from clock_timestamp())
    );
    return report;
end
$$;

-- Everything that is kept about a person, by table: what forget_person would empty or delete.
create or replace function public.everything_about(p_workspace text, p_user text) returns jsonb
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
        ),
        'exam_questions', (
            select coalesce(jsonb_agg(to_jsonb(q) order by q.seq), '[]')
            from public.exam_questions q
            where q.workspace = p_workspace
                and (q.user_id = p_user or q.audience = own or q.run_id = any (theirs))
        ),
        'proposals', (
            select coalesce(
                jsonb_agg(to_jsonb(p) order by p.created_at, p.proposal_id collate "C"), '[]'
            )
            from public.proposals p
            where p.workspace = p_workspace
                and (p.learner = p_user or p.decided_by = p_user or p.audience = own)
        ),
        'findings', (
            select coalesce(
                jsonb_agg(to_jsonb(f) order by f.created_at, f.finding_id collate "C"), '[]'
            )
            from public.findings f
            where f.workspace = p_workspace and (f.decided_by = p_user or f.audience = own)
        )
    );
end
$$;

-- Empties words from before a moment, `p_limit` runs at a time in the order in which they came.
-- Answers rows by table, and `after`, which the next call is to be given; null when that was all.
create or replace function public.purge_texts(
    p_workspace text, p_before double precision, p_after bigint, p_limit bigint
) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
    old text[];
    last_seq bigint;
    messages bigint;
    summaries bigint;
    feedback bigint;
    questions bigint;
    findings bigint;
    proposals bigint;
begin
    delete from public.messages m
    where m.workspace = p_workspace and m.created_at < p_before
        and public.seconds_of(m.ts) < p_before;
    get diagnostics messages = row_count;
    delete from public.summaries s
    where s.workspace = p_workspace and s.created_at < p_before
        and public.seconds_of(s.until_ts) < p_before;
    get diagnostics summaries = row_count;
    update public.feedback f set text = null
    where f.workspace = p_workspace and f.created_at < p_before and f.text is not null;
    get diagnostics feedback = row_count;
    delete from public.exam_questions q
    where q.workspace = p_workspace and q.created_at < p_before;
    get diagnostics questions = row_count;
    update public.findings f set text = '', data = '{}'
    where f.workspace = p_workspace and f.created_at < p_before
        and (f.text <> '' or f.data <> '{}');
    get diagnostics findings = row_count;
    update public.proposals p set evidence = '{}'
    where p.workspace = p_workspace and p.moved_at < p_before and p.evidence <> '{}'
        and p.state not in ('proposed', 'trial', 'awaiting', 'live');
    get diagnostics proposals = row_count;

    select array_agg(o.run_id), max(o.seq) into old, last_seq from (
        select r.run_id, r.seq from public.runs r
        where r.workspace = p_workspace and r.seq > p_after and r.started_at < p_before
            and (r.request <> '' or r.reply is not null)
        order by r.seq limit p_limit
    ) o;
    update public.steps set arguments = null, error = null
    where workspace = p_workspace and run_id = any (old);
    update public.runs set request = '', reply = null, error = null, route = null
    where workspace = p_workspace and run_id = any (old);
    return jsonb_build_object(
        'messages', messages, 'summaries', summaries, 'feedback', feedback,
        'runs', coalesce(cardinality(old), 0), 'after', last_seq,
        'exam_questions', questions, 'findings', findings, 'proposals', proposals
    );
end
$$;

-- What a local copy asks every few seconds: numbers that differ once something has changed.
create or replace function public.changes(p_workspace text) returns jsonb
language sql stable security invoker set search_path = '' as $$
    select jsonb_build_object(
        'documents', coalesce(
            (select c.changes from public.document_changes c where c.workspace = p_workspace), 0
        ),
        'policy', coalesce(
            (select max(p.seq) from public.policy p where p.workspace = p_workspace), 0
        ),
        'people', (
            select coalesce(md5(string_agg(
                md5(p.user_id || ' ' || p.name || ' ' || p.settings), '' order by p.user_id
            )), '')
            from public.people p where p.workspace = p_workspace
        ),
        'forgotten', (
            select count(*) from public.forgotten f where f.workspace = p_workspace
        ),
        'learning', coalesce(
            (select c.changes from public.learning_changes c where c.workspace = p_workspace), 0
        )
    )
$$;

create or replace function public.schema_version() returns text
language sql immutable security invoker set search_path = '' as $$
    select '20261121000012_unlearning'
$$;

revoke execute on function public.unlearn_runs(text, text, text),
public.spoiled_versions(text, text[]),
public.spoil(text, jsonb),
public.unlearn(text, text, text[])
from public, anon, authenticated;
grant execute on function public.unlearn_runs(text, text, text),
public.spoiled_versions(text, text[]),
public.spoil(text, jsonb),
public.unlearn(text, text, text[])
to service_role;
