-- Forgetting a person, and old texts: what database/forgetting.py does to the local record, here.
-- A test forgets the same person in both and compares every row.
--
-- Who was forgotten stays as a salted digest, so that facts which were under way on another machine
-- name nobody when they arrive, and so that other machines' copies learn of it. Salt and digest are
-- hexadecimal here: JSON has no bytes.

set lock_timeout = '5s';
set statement_timeout = '60s';

create table public.forgotten (
    workspace text not null,
    salt text not null,
    digest text not null,
    forgotten_at double precision not null,
    primary key (workspace, salt)
);

alter table public.forgotten enable row level security;
revoke all on public.forgotten from anon, authenticated;
grant select, insert, update, delete on public.forgotten to service_role;

create function public.digest_of(salt text, user_id text) returns text
language sql immutable security invoker set search_path = '' as $$
    select encode(sha256(convert_to(salt || user_id, 'UTF8')), 'hex')
$$;

-- Whether a person was forgotten after `began`.
create function public.forgotten_since(p_workspace text, p_user text, began double precision)
returns boolean
language sql stable security invoker set search_path = '' as $$
    select p_user is not null and exists (
        select 1 from public.forgotten f
        where f.workspace = p_workspace and f.forgotten_at > coalesce(began, 0)
            and f.digest = public.digest_of(f.salt, p_user)
    )
$$;

-- Whether either of these messages was deleted.
create function public.was_deleted(p_workspace text, p_channel text, ts text, other_ts text)
returns boolean
language sql stable security invoker set search_path = '' as $$
    select exists (
        select 1 from public.messages m
        where m.workspace = p_workspace and m.channel_id = p_channel
            and m.ts in (was_deleted.ts, other_ts) and m.deleted
    )
$$;

create function public.run_without_forgotten() returns trigger
language plpgsql security invoker set search_path = '' as $$
begin
    if public.forgotten_since(new.workspace, new.user_id, new.started_at) then
        new.audience := replace(new.audience, new.user_id, '[forgotten]');
        new.user_id := null;
        new.channel_id := null;
        new.thread_ts := null;
        new.message_ts := null;
        new.reply_ts := null;
        new.request := '';
        new.reply := null;
        new.error := null;
        new.route := null;
    elsif public.was_deleted(new.workspace, new.channel_id, new.message_ts, new.reply_ts) then
        new.request := '';
        new.reply := null;
        new.error := null;
        new.route := null;
    end if;
    return new;
end
$$;

create trigger runs_without_forgotten before insert or update on public.runs
for each row execute function public.run_without_forgotten();

-- Whether forgetting, or deleting its message, has left nothing but numbers of a run.
create function public.is_wordless(p_workspace text, p_run text) returns boolean
language sql stable security invoker set search_path = '' as $$
    select exists (
        select 1 from public.runs r
        where r.workspace = p_workspace and r.run_id = p_run and r.request = ''
            and r.reply is null and (
                (r.user_id is null and r.channel_id is null)
                or public.was_deleted(r.workspace, r.channel_id, r.message_ts, r.reply_ts)
            )
    )
$$;

create function public.step_without_forgotten() returns trigger
language plpgsql security invoker set search_path = '' as $$
begin
    if (new.arguments is not null or new.error is not null)
        and public.is_wordless(new.workspace, new.run_id)
    then
        new.arguments := null;
        new.error := null;
    end if;
    return new;
end
$$;

create trigger steps_without_forgotten before insert or update on public.steps
for each row execute function public.step_without_forgotten();

create function public.message_without_forgotten() returns trigger
language plpgsql security invoker set search_path = '' as $$
begin
    if public.forgotten_since(new.workspace, new.user_id, new.created_at)
        or (new.run_id is not null and public.is_wordless(new.workspace, new.run_id))
    then
        return null;
    end if;
    return new;
end
$$;

create trigger messages_without_forgotten before insert or update on public.messages
for each row execute function public.message_without_forgotten();

create function public.feedback_without_forgotten() returns trigger
language plpgsql security invoker set search_path = '' as $$
begin
    if public.forgotten_since(new.workspace, new.user_id, new.created_at) then
        new.feedback_id := replace(new.feedback_id, new.user_id, '[forgotten]');
        new.user_id := null;
        new.text := null;
    end if;
    return new;
end
$$;

create trigger feedback_without_forgotten before insert or update on public.feedback
for each row execute function public.feedback_without_forgotten();

-- Deleting a message takes the words of the run that it asked for, or that it answers, of the runs
-- that repeat them, and of summaries that reach over it: also where another machine has those.
create function public.empty_runs_of_message() returns trigger
language plpgsql security invoker set search_path = '' as $$
declare
    of_message text[];
begin
    with recursive repeating (run_id) as (
        select r.run_id from public.runs r
        where r.workspace = new.workspace and r.channel_id = new.channel_id
            and (r.message_ts = new.ts or r.reply_ts = new.ts)
        union
        select r.run_id from public.runs r join repeating on r.parent_run_id = repeating.run_id
        where r.workspace = new.workspace
    ) select array_agg(repeating.run_id) into of_message from repeating;
    update public.runs set request = '', reply = null, error = null, route = null
    where workspace = new.workspace and run_id = any (of_message);
    update public.steps set arguments = null, error = null
    where workspace = new.workspace and run_id = any (of_message);
    delete from public.summaries s
    where s.workspace = new.workspace and s.channel_id = new.channel_id
        and s.thread_ts = new.thread_ts and s.until_ts >= new.ts;
    return null;
end
$$;

create trigger messages_deleted after insert or update on public.messages
for each row when (new.deleted) execute function public.empty_runs_of_message();

-- Their id in other people's words.
create function public.scrub(p_workspace text, p_user text) returns void
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
            ('people', 'settings'), ('policy', 'key'), ('policy', 'value')
        ) as t (of_table, of_column)
    loop
        execute format(
            'update public.%I set %2$I = regexp_replace(%2$I, $1, ''[forgotten]'', ''g'')
            where workspace = $2 and strpos(%2$I, $3) > 0', place.of_table, place.of_column
        ) using whole_id, p_workspace, p_user;
    end loop;
end
$$;

-- A person's runs. Runs made by a run (a shadow, a goal's task) repeat its words.
create function public.their_runs(p_workspace text, p_user text) returns text[]
language sql stable security invoker set search_path = '' as $$
    with recursive of_them (run_id) as (
        select r.run_id from public.runs r
        where r.workspace = p_workspace
            and (r.user_id = p_user or r.audience = 'person:' || p_user)
        union
        select r.run_id from public.runs r join of_them on r.parent_run_id = of_them.run_id
        where r.workspace = p_workspace
    ) select coalesce(array_agg(of_them.run_id), '{}') from of_them
$$;

-- Answers the number of rows that were emptied or deleted, by table.
create function public.forget_person(p_workspace text, p_user text) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
    own text := 'person:' || p_user;
    salt text := replace(gen_random_uuid()::text, '-', '');
    theirs text[] := public.their_runs(p_workspace, p_user);
    report jsonb := '{}';
    changed bigint;
begin
    update public.documents set body = null, active = false
    where workspace = p_workspace and body is not null
        and (audience = own or (author = p_user and kind = 'runbook'));
    if found then
        perform public.note_documents_changed(p_workspace);
    end if;

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

    perform public.scrub(p_workspace, p_user);
    insert into public.forgotten values (
        p_workspace, salt, public.digest_of(salt, p_user), extract(epoch from clock_timestamp())
    );
    return report;
end
$$;

create function public.forgotten_rows(p_workspace text) returns jsonb
language sql stable security invoker set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(f) order by f.forgotten_at), '[]')
    from public.forgotten f where f.workspace = p_workspace
$$;

-- A message's time in seconds; 0 where it is none.
create function public.seconds_of(ts text) returns double precision
language sql immutable security invoker set search_path = '' as $$
    select case when ts ~ '^[0-9]+(\.[0-9]+)?$' then ts::double precision else 0 end
$$;

-- Empties words from before a moment, `p_limit` runs at a time in the order in which they came.
-- Answers rows by table, and `after`, which the next call is to be given; null when that was all.
create function public.purge_texts(
    p_workspace text, p_before double precision, p_after bigint, p_limit bigint
) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
    old text[];
    last_seq bigint;
    messages bigint;
    summaries bigint;
    feedback bigint;
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
        'runs', coalesce(cardinality(old), 0), 'after', last_seq
    );
end
$$;

-- Deletes everything there is of a workspace. Answers rows by table.
create function public.erase_workspace(p_workspace text) returns jsonb
language plpgsql security invoker set search_path = '' as $$
declare
    place text;
    deleted bigint;
    report jsonb := '{}';
begin
    for place in
        select c.table_name from information_schema.columns c
        join information_schema.tables t using (table_schema, table_name)
        where c.table_schema = 'public' and c.column_name = 'workspace'
            and t.table_type = 'BASE TABLE'
        order by c.table_name = 'changed_days'  -- deleting runs writes there
    loop
        execute format('delete from public.%I where workspace = $1', place) using p_workspace;
        get diagnostics deleted = row_count;
        report := report || jsonb_build_object(place, deleted);
    end loop;
    return report;
end
$$;

-- What a local copy asks every few seconds: numbers that differ once something has changed.
create function public.changes(p_workspace text) returns jsonb
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
        )
    )
$$;

create or replace function public.schema_version() returns text
language sql immutable security invoker set search_path = '' as $$
    select '20261121000004_forgotten'
$$;

revoke execute on function public.digest_of(text, text),
public.was_deleted(text, text, text, text),
public.forgotten_since(text, text, double precision), public.run_without_forgotten(),
public.is_wordless(text, text), public.step_without_forgotten(),
public.message_without_forgotten(), public.feedback_without_forgotten(),
public.scrub(text, text), public.forget_person(text, text), public.forgotten_rows(text),
public.changes(text), public.seconds_of(text), public.empty_runs_of_message(),
public.erase_workspace(text), public.their_runs(text, text),
public.purge_texts(text, double precision, bigint, bigint) from public, anon, authenticated;
grant execute on function public.digest_of(text, text),
public.was_deleted(text, text, text, text),
public.forgotten_since(text, text, double precision), public.run_without_forgotten(),
public.is_wordless(text, text), public.step_without_forgotten(),
public.message_without_forgotten(), public.feedback_without_forgotten(),
public.scrub(text, text), public.forget_person(text, text), public.forgotten_rows(text),
public.changes(text), public.seconds_of(text), public.empty_runs_of_message(),
public.erase_workspace(text), public.their_runs(text, text),
public.purge_texts(text, double precision, bigint, bigint) to service_role;
