-- Several homes of one workspace: what one of them brings of somebody who was forgotten, what was
-- forgotten while one was not connected, and old runs, which homes keep here only.

set lock_timeout = '5s';
set statement_timeout = '60s';

-- Whether a person's whole id stands in a text.
create function public.names(words text, p_user text) returns boolean
language sql immutable security invoker set search_path = '' as $$
    select words ~ (
        '(?<![A-Za-z0-9])' || regexp_replace(p_user, '([^A-Za-z0-9])', '\\\1', 'g')
        || '(?![A-Za-z0-9])'
    )
$$;

-- What takes the place of a feedback's id that names somebody forgotten: other than a mere
-- replacement it stays unique. The same as database/forgetting.py makes of it.
create function public.nameless(feedback_id text) returns text
language sql immutable security invoker set search_path = '' as $$
    select '[forgotten]:' || left(encode(sha256(convert_to(feedback_id, 'UTF8')), 'hex'), 32)
$$;

create or replace function public.feedback_without_forgotten() returns trigger
language plpgsql security invoker set search_path = '' as $$
begin
    if tg_op = 'UPDATE' and new.feedback_id <> old.feedback_id
        and strpos(new.feedback_id, '[forgotten]') > 0
    then
        new.feedback_id := public.nameless(old.feedback_id);
    elsif public.forgotten_since(new.workspace, new.user_id, new.created_at) then
        if public.names(new.feedback_id, new.user_id) then
            new.feedback_id := public.nameless(new.feedback_id);
        end if;
        new.user_id := null;
        new.text := null;
    end if;
    return new;
end
$$;

-- A home that was away when somebody was forgotten may bring what they had made.
create function public.document_without_forgotten() returns trigger
language plpgsql security invoker set search_path = '' as $$
declare
    reader text := case when new.audience like 'person:%' then substr(new.audience, 8) end;
begin
    if public.forgotten_since(new.workspace, new.author, new.created_at) then
        if new.kind = 'runbook' then
            new.body := null;
            new.active := false;
        end if;
        new.author := null;
        new.reason := null;
    end if;
    if public.forgotten_since(new.workspace, reader, new.created_at) then
        new.audience := 'person:[forgotten]';
        new.body := null;
        new.active := false;
        new.author := null;
        new.reason := null;
    end if;
    return new;
end
$$;

create trigger documents_without_forgotten before insert on public.documents
for each row execute function public.document_without_forgotten();

create function public.policy_without_forgotten() returns trigger
language plpgsql security invoker set search_path = '' as $$
begin
    if public.forgotten_since(new.workspace, new.set_by, new.set_at) then
        new.set_by := '';
    end if;
    return new;
end
$$;

create trigger policy_without_forgotten before insert on public.policy
for each row execute function public.policy_without_forgotten();

-- Forgets whom a home has forgotten while it was not connected: `forgotten` is JSON, a list of
-- objects with salt, digest and forgotten_at. Answers the rows that this has added.
create function public.adopt_forgotten(p_workspace text, forgotten text) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
    known text[];
    person text;
begin
    perform pg_advisory_xact_lock(hashtextextended('adopt ' || p_workspace, 0));
    known := array(select f.salt from public.forgotten f where f.workspace = p_workspace);
    for person in
        select distinct here.user_id from (
            select p.user_id from public.people p where p.workspace = p_workspace
            union select r.user_id from public.runs r where r.workspace = p_workspace
            union select m.user_id from public.messages m where m.workspace = p_workspace
            union select f.user_id from public.feedback f where f.workspace = p_workspace
            union select d.author from public.documents d where d.workspace = p_workspace
            union select p.set_by from public.policy p where p.workspace = p_workspace
        ) here
        join jsonb_to_recordset(forgotten::jsonb) made (salt text, digest text)
            on made.digest = public.digest_of(made.salt, here.user_id)
        where not (made.salt = any (known))
    loop
        perform public.forget_person(p_workspace, person);
    end loop;
    insert into public.forgotten
    select p_workspace, made.salt, made.digest, made.forgotten_at
    from jsonb_to_recordset(forgotten::jsonb)
        as made (salt text, digest text, forgotten_at double precision)
    on conflict do nothing;
    return (
        select coalesce(jsonb_agg(to_jsonb(f)), '[]') from public.forgotten f
        where f.workspace = p_workspace and not (f.salt = any (known))
    );
end
$$;

-- One run with its "steps": the one of this id, or the reply to which a message belongs; null where
-- there is none.
create function public.one_run(p_workspace text, p_run text, p_channel text, p_ts text)
returns jsonb
language sql stable security invoker set search_path = '' as $$
    select to_jsonb(r) || jsonb_build_object('steps', public.steps_of(p_workspace, r.run_id))
    from public.runs r
    where r.workspace = p_workspace and (
        r.run_id = p_run or (r.kind = 'reply' and r.channel_id = p_channel and r.reply_ts = p_ts)
        or (r.kind = 'reply' and r.channel_id = p_channel and r.message_ts = p_ts)
    )
    order by r.reply_ts is not distinct from p_ts desc, r.seq desc limit 1
$$;

-- Which of these runs (JSON: a list of ids) are here.
create function public.runs_known(p_workspace text, runs text) returns jsonb
language sql stable security invoker set search_path = '' as $$
    select coalesce(jsonb_agg(r.run_id), '[]') from public.runs r
    where r.workspace = p_workspace
        and r.run_id = any (array(select jsonb_array_elements_text(runs::jsonb)))
$$;

create or replace function public.schema_version() returns text
language sql immutable security invoker set search_path = '' as $$
    select '20261121000013_other_homes'
$$;

revoke execute on function public.names(text, text), public.nameless(text),
public.document_without_forgotten(), public.policy_without_forgotten(),
public.adopt_forgotten(text, text), public.one_run(text, text, text, text),
public.runs_known(text, text)
from public, anon, authenticated;
grant execute on function public.names(text, text), public.nameless(text),
public.document_without_forgotten(), public.policy_without_forgotten(),
public.adopt_forgotten(text, text), public.one_run(text, text, text, text),
public.runs_known(text, text)
to service_role;
