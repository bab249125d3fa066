-- What approvers decide, as in database/migrations/record/0003_policy.

set lock_timeout = '5s';
set statement_timeout = '60s';

create table public.policy (
    seq bigint generated always as identity primary key,
    workspace text not null,
    key text not null,
    value text,
    set_by text not null,
    set_at double precision not null
);

create index policy_by_key on public.policy (workspace, key, seq);
create index policy_by_age on public.policy (workspace, seq);

alter table public.policy enable row level security;
revoke all on public.policy from anon, authenticated;
grant select, insert, update, delete on public.policy to service_role;

create trigger policy_in_order before insert on public.policy
for each statement execute function public.in_order();

-- Every row, oldest first.
create function public.policy_rows(p_workspace text) returns jsonb
language sql stable security invoker set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(p) order by p.seq), '[]')
    from public.policy p where p.workspace = p_workspace
$$;

create function public.add_policy(
    p_workspace text, p_key text, p_value text, p_set_by text, p_set_at double precision
) returns jsonb
language sql security invoker set search_path = '' as $$
    insert into public.policy (workspace, key, value, set_by, set_at)
    values (p_workspace, p_key, p_value, p_set_by, p_set_at);
    select public.policy_rows(p_workspace)
$$;

-- A home that had a record of its own before: its documents whose names are not here yet, and its
-- policy where nothing was decided here yet. Doing it again does nothing.
create function public.adopt_decisions(p_workspace text, documents text, policy text) returns void
language plpgsql security invoker set search_path = '' as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('adopt ' || p_workspace, 0));
    insert into public.documents
    select made.* from jsonb_populate_recordset(null::public.documents, documents::jsonb) made
    where made.workspace = p_workspace and not exists (
        select 1 from public.documents d
        where d.workspace = p_workspace and d.kind = made.kind and d.name = made.name
    );
    if found then
        perform public.note_documents_changed(p_workspace);
    end if;
    insert into public.policy (workspace, key, value, set_by, set_at)
    select p_workspace, made.key, made.value, made.set_by, made.set_at
    from jsonb_to_recordset(policy::jsonb)
        as made (seq bigint, key text, value text, set_by text, set_at double precision)
    where not exists (select 1 from public.policy p where p.workspace = p_workspace)
    order by made.seq;
end
$$;


create function public.people_rows(p_workspace text) returns jsonb
language sql stable security invoker set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(p)), '[]')
    from public.people p where p.workspace = p_workspace
$$;

create or replace function public.schema_version() returns text
language sql immutable security invoker set search_path = '' as $$
    select '20261121000003_policy'
$$;

revoke execute on function public.policy_rows(text),
public.add_policy(text, text, text, text, double precision),
public.adopt_decisions(text, text, text), public.people_rows(text)
from public, anon, authenticated;
grant execute on function public.policy_rows(text),
public.add_policy(text, text, text, text, double precision),
public.adopt_decisions(text, text, text), public.people_rows(text)
to service_role;
