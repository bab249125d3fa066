-- Retention keeps what proposals rest on, so that forgetting finds what was made of somebody's words
-- also when these are old; and one row that cannot be read keeps nobody from being forgotten.

set lock_timeout = '5s';
set statement_timeout = '60s';

-- A text as JSON; null where it is none.
create function public.json_of(words text) returns jsonb
language plpgsql immutable security invoker set search_path = '' as $$
begin
    return words::jsonb;
exception when data_exception then
    return null;
end
$$;

-- Whether a proposal's changes can be read.
create function public.is_list_of_objects(words text) returns boolean
language sql immutable security invoker set search_path = '' as $$
    select coalesce(
        jsonb_typeof(public.json_of(words)) = 'array'
        and not jsonb_path_exists(public.json_of(words), 'strict $[*] ? (@.type() <> "object")'),
        false
    )
$$;

-- Whether any body of a proposal's changes has words.
create function public.has_bodies(changes text) returns boolean
language sql immutable security invoker set search_path = '' as $$
    select public.is_list_of_objects(changes)
        and jsonb_path_exists(public.json_of(changes), '$[*].body ? (@ <> null)')
$$;

-- A proposal's changes with their versions and without their words.
create function public.without_bodies(changes text) returns text
language sql immutable security invoker set search_path = '' as $$
    select coalesce(jsonb_agg(c.value || '{"body": null}' order by c.ordinality), '[]')::text
    from jsonb_array_elements(changes::jsonb) with ordinality c
$$;

-- What is kept of a proposal's evidence: which runs it rests on. What cannot be read stays, as it
-- may rest on anybody.
create function public.runs_only(evidence text) returns text
language sql immutable security invoker set search_path = '' as $$
    select case
        when jsonb_typeof(public.json_of(evidence)) is distinct from 'object' then evidence
        when jsonb_typeof(public.json_of(evidence) -> 'runs') = 'array'
            then '{"runs":' || (evidence::json -> 'runs')::text || '}'
        else '{}'
    end
$$;

-- What was learned from somebody: see database/unlearning.py. A test forgets the same person in both
-- records and compares every row. Answers rows by table.
create or replace function public.unlearn(p_workspace text, p_user text, theirs text[]) returns jsonb
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
    dropped bigint;
    of_trials bigint;
    of_findings bigint;
    of_learners bigint;
    of_documents bigint;
begin
    delete from public.proposals p
    where p.workspace = p_workspace and not public.is_list_of_objects(p.changes);
    get diagnostics dropped = row_count;
    select coalesce(array_agg(p.proposal_id), '{}') into resting from public.proposals p
    where p.workspace = p_workspace and (
        p.audience = own or jsonb_typeof(public.json_of(p.evidence)) is distinct from 'object'
        or jsonb_path_query_array(public.json_of(p.evidence), '$.runs[*]') ?| theirs
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
        changes = public.without_bodies(p.changes),
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
    where f.workspace = p_workspace and (
        f.audience = own or jsonb_typeof(public.json_of(f.runs)) is distinct from 'array'
        or public.json_of(f.runs) ?| theirs
    );
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
    update public.proposals p set title = '[forgotten]', why = '',
        evidence = public.runs_only(p.evidence), revision = p.revision + 1, change = number
    where p.workspace = p_workspace and p.learner = p_user;
    get diagnostics of_own_proposals = row_count;
    return jsonb_build_object(
        'proposals', of_proposals + of_own_proposals + dropped, 'trials', of_trials,
        'findings', of_findings, 'learner_states', of_learners, 'documents', of_documents
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
    proposals bigint := 0;
    ids text[];
    number bigint;
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
    select array_agg(p.proposal_id) into ids from public.proposals p
    where p.workspace = p_workspace and p.moved_at < p_before
        and p.state not in ('proposed', 'trial', 'awaiting', 'live') and (
            p.evidence <> public.runs_only(p.evidence)
            or (p.state in ('rejected', 'superseded') and public.has_bodies(p.changes))
        );
    if ids is not null then
        insert into public.learning_changes as c values (p_workspace, 1)
        on conflict (workspace) do update set changes = c.changes + 1
        returning c.changes into number;
        update public.proposals p set evidence = public.runs_only(p.evidence), change = number,
            changes = case
                when p.state in ('rejected', 'superseded') and public.has_bodies(p.changes)
                    then public.without_bodies(p.changes)
                else p.changes
            end
        where p.workspace = p_workspace and p.proposal_id = any (ids);
        get diagnostics proposals = row_count;
    end if;

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

create or replace function public.schema_version() returns text
language sql immutable security invoker set search_path = '' as $$
    select '20261121000014_what_it_rests_on'
$$;

revoke execute on function public.json_of(text), public.is_list_of_objects(text),
public.has_bodies(text), public.without_bodies(text), public.runs_only(text)
from public, anon, authenticated;
grant execute on function public.json_of(text), public.is_list_of_objects(text),
public.has_bodies(text), public.without_bodies(text), public.runs_only(text)
to service_role;
