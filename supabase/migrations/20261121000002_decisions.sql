-- Decisions, as in database/migrations/record/0002_decisions. `centroid` is base64 here: JSON has
-- no bytes.

set lock_timeout = '5s';
set statement_timeout = '60s';

create table public.documents (
    workspace text not null,
    kind text not null check (kind in ('agent', 'runbook', 'team', 'lesson', 'model')),
    name text not null,
    number bigint not null check (number > 0),
    version text not null,
    audience text not null,
    body text,
    base text,
    origin text not null,
    author text,
    reason text,
    created_at double precision not null,
    active boolean not null,
    primary key (workspace, kind, name, number),
    unique (workspace, kind, name, version)
);

create unique index documents_active on public.documents (workspace, kind, name) where active;

create table public.document_changes (
    workspace text not null primary key,
    changes bigint not null
);

create table public.people (
    workspace text not null,
    user_id text not null,
    name text not null,
    settings text not null,
    primary key (workspace, user_id)
);

create table public.task_types (
    workspace text not null,
    name text not null,
    centroid text not null,
    count bigint not null,
    primary key (workspace, name)
);

alter table public.documents enable row level security;
alter table public.document_changes enable row level security;
alter table public.people enable row level security;
alter table public.task_types enable row level security;
revoke all on public.documents, public.document_changes, public.people, public.task_types
from anon, authenticated;
grant select, insert, update, delete
on public.documents, public.document_changes, public.people, public.task_types
to service_role;

create function public.note_documents_changed(p_workspace text) returns void
language sql security invoker set search_path = '' as $$
    insert into public.document_changes as c values (p_workspace, 1)
    on conflict (workspace) do update set changes = c.changes + 1
$$;

-- Every version of these documents, oldest first. `names` is JSON: [[kind, name], ...].
create function public.documents_named(p_workspace text, names text) returns jsonb
language sql stable security invoker set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(d) order by d.kind, d.name, d.number), '[]')
    from public.documents d
    join jsonb_array_elements(names::jsonb) k on d.kind = k ->> 0 and d.name = k ->> 1
    where d.workspace = p_workspace
$$;

-- Each version in short: what a local copy compares itself with.
create function public.document_index(p_workspace text) returns jsonb
language sql stable security invoker set search_path = '' as $$
    select coalesce(
        jsonb_agg(
            jsonb_build_array(d.kind, d.name, d.number, d.version, d.active, d.body is null)
        ), '[]'
    )
    from public.documents d where d.workspace = p_workspace
$$;

-- Makes `document` the active version of its name, as the next number, or by taking up the earlier
-- version that has the same content. Whoever calls holds the name's lock.
create function public.save_version(document jsonb) returns void
language plpgsql security invoker set search_path = '' as $$
declare
    made public.documents := jsonb_populate_record(null::public.documents, document);
begin
    update public.documents set active = false
    where workspace = made.workspace and kind = made.kind and name = made.name and active;
    update public.documents set active = true, body = made.body
    where workspace = made.workspace and kind = made.kind and name = made.name
        and version = made.version;
    if not found then
        select coalesce(max(number), 0) + 1 into made.number from public.documents
        where workspace = made.workspace and kind = made.kind and name = made.name;
        made.active := true;
        insert into public.documents select made.*;
    end if;
    perform public.note_documents_changed(made.workspace);
end
$$;

-- Decisions answer {"documents": every version of the name} or {"refused": why, ...}; a refusal has
-- changed nothing.
create function public.create_document(document text) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
    made jsonb := document::jsonb;
    whole_name text := jsonb_build_array(made -> 'workspace', made -> 'kind', made -> 'name');
begin
    perform pg_advisory_xact_lock(hashtextextended(whole_name, 0));
    if exists (
        select 1 from public.documents d
        where d.workspace = made ->> 'workspace' and d.kind = made ->> 'kind'
            and d.name = made ->> 'name' and d.active
    ) then
        return jsonb_build_object('refused', 'taken');
    end if;
    perform public.save_version(made);
    return jsonb_build_object('documents', public.documents_named(
        made ->> 'workspace',
        jsonb_build_array(jsonb_build_array(made -> 'kind', made -> 'name'))::text
    ));
end
$$;

create function public.activate_document(document text) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
    made jsonb := document::jsonb;
    whole_name text := jsonb_build_array(made -> 'workspace', made -> 'kind', made -> 'name');
    live public.documents;
begin
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
    return jsonb_build_object('documents', public.documents_named(
        made ->> 'workspace',
        jsonb_build_array(jsonb_build_array(made -> 'kind', made -> 'name'))::text
    ));
end
$$;

create or replace function public.schema_version() returns text
language sql immutable security invoker set search_path = '' as $$
    select '20261121000002_decisions'
$$;

revoke execute on function public.note_documents_changed(text),
public.documents_named(text, text), public.document_index(text), public.save_version(jsonb),
public.create_document(text), public.activate_document(text) from public, anon, authenticated;
grant execute on function public.note_documents_changed(text),
public.documents_named(text, text), public.document_index(text), public.save_version(jsonb),
public.create_document(text), public.activate_document(text) to service_role;
