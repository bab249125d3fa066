-- What is unsafe about this database, in words: the rules of Supabase's own linter that concern us,
-- and that nobody but the service role can call anything here. `virtuous6 db check` shows them.

set lock_timeout = '5s';
set statement_timeout = '60s';

create function public.schema_findings() returns jsonb
language sql stable security invoker set search_path = '' as $$
    with relation as (
        select c.oid, c.relname, c.relkind, c.relrowsecurity, c.reloptions
        from pg_catalog.pg_class c
        where c.relnamespace = 'public'::regnamespace and not exists (
            select 1 from pg_catalog.pg_depend d where d.objid = c.oid and d.deptype = 'e'
        )
    ), routine as (
        select p.oid, p.oid::regprocedure::text as signature, p.prosecdef, p.proconfig
        from pg_catalog.pg_proc p
        where p.pronamespace = 'public'::regnamespace and not exists (
            select 1 from pg_catalog.pg_depend d where d.objid = p.oid and d.deptype = 'e'
        )
    ), finding (rule, place, advice) as (
        select 'rls_disabled', r.relname::text, 'enable row level security on the table'
        from relation r where r.relkind in ('r', 'p') and not r.relrowsecurity
        union all
        select 'policy_for_everybody', p.tablename || ': ' || p.policyname,
            'drop the policy: only the service role may read and write here'
        from pg_catalog.pg_policies p
        where p.schemaname = 'public'
            and p.roles && array['public', 'anon', 'authenticated']::name[]
        union all
        select 'definer_view', r.relname::text, 'set security_invoker = true on the view'
        from relation r where r.relkind = 'v' and not coalesce(r.reloptions, '{}')
            && array['security_invoker=true', 'security_invoker=on']
        union all
        select 'view_keeps_rows', r.relname::text,
            'drop the materialized view: row level security does not apply to it'
        from relation r where r.relkind = 'm'
        union all
        select 'mutable_search_path', r.signature, 'set search_path = '''' on the function'
        from routine r
        where not exists (
            select 1 from unnest(r.proconfig) setting where setting like 'search\_path=%'
        )
        union all
        select 'definer_function', r.signature, 'make the function security invoker'
        from routine r where r.prosecdef
        union all
        select 'callable_by_everybody', r.signature,
            'revoke execute on the function from public, anon and authenticated'
        from routine r
        where has_function_privilege('anon', r.oid, 'execute')
            or has_function_privilege('authenticated', r.oid, 'execute')
        union all
        select 'no_primary_key', r.relname::text, 'give the table a primary key'
        from relation r
        where r.relkind in ('r', 'p') and not exists (
            select 1 from pg_catalog.pg_index i where i.indrelid = r.oid and i.indisprimary
        )
        union all
        select 'unindexed_foreign_key', k.conrelid::regclass::text || ': ' || k.conname,
            'create an index that begins with the columns of the foreign key'
        from pg_catalog.pg_constraint k join relation r on r.oid = k.conrelid
        where k.contype = 'f' and not exists (
            select 1 from pg_catalog.pg_index i
            where i.indrelid = k.conrelid
                and (i.indkey::smallint[])[0:cardinality(k.conkey) - 1] @> k.conkey
        )
    )
    select coalesce(jsonb_agg(to_jsonb(finding) order by finding.rule, finding.place), '[]')
    from finding
$$;

create or replace function public.schema_version() returns text
language sql immutable security invoker set search_path = '' as $$
    select '20261121000007_findings'
$$;

revoke execute on function public.schema_findings() from public, anon, authenticated;
grant execute on function public.schema_findings() to service_role;
