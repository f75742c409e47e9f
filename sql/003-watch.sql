-- Watching tables: the statement triggers that call the recorder, and the functions that add and remove them.

do $$
begin
  perform change_feed.begin_file('003-watch.sql', 1);
end
$$;

-- The arguments of a trigger, as pg_trigger has them: each ends with a zero byte.
create function change_feed.trigger_argument(arguments bytea, place integer) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  -- Pairs of digits with a blank behind each: a 00 across two bytes is no separator.
  select convert_from(decode(split_part(regexp_replace(encode(arguments, 'hex'), '(..)', E'\\1 ', 'g'), '00 ', place), 'hex'), getdatabaseencoding())
$$;
revoke execute on function change_feed.trigger_argument(bytea, integer) from public;

-- Every trigger of ours: its table, its operation and its arguments, which are the resource, the scopes, and whether events
-- name keys. Only the triggers of a table with scopes have the last two.
create view change_feed.recorder_trigger as
select
  t.tgrelid::regclass as relation,
  t.oid as trigger,
  t.tgname as name,
  t.tgfoid as function,
  t.tgenabled = 'A' as always,
  t.tgtype,
  t.tgoldtable,
  t.tgnewtable,
  convert_from(substring(t.tgargs from 1 for position(decode('00', 'hex') in t.tgargs) - 1), getdatabaseencoding()) as resource,
  t.tgenabled,
  case when t.tgnargs > 1 then change_feed.trigger_argument(t.tgargs, 2)::jsonb else '[]' end as scopes,
  coalesce(t.tgoldtable, t.tgnewtable) is not null and (t.tgnargs < 3 or change_feed.trigger_argument(t.tgargs, 3)::boolean) as keys
from pg_catalog.pg_trigger t
join pg_catalog.pg_proc p on p.oid = t.tgfoid
where p.pronamespace = 'change_feed'::regnamespace and starts_with(t.tgname, 'change_feed_') and not t.tgisinternal;

create view change_feed.watched_table as
select r.relation, r.resource, r.keys, r.scopes
from change_feed.recorder_trigger r
where r.name = 'change_feed_insert'
  and not exists (
    -- a partition is watched through its parent
    select from pg_catalog.pg_partition_ancestors(r.relation) a
    join change_feed.recorder_trigger parent on parent.relation = a.relid and parent.name = r.name
    where a.relid <> r.relation
  );
comment on view change_feed.watched_table is 'The tables that watch() has put into the feed';

-- True unless a function of this name is the trigger function of a table that is neither target nor a partition of it.
create function change_feed.is_free(function_name text, target regclass) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select not exists (
    select from pg_depend d join pg_trigger t on t.oid = d.objid
    where d.refclassid = 'pg_proc'::regclass and d.refobjid = to_regproc(format('change_feed.%I', function_name))
      and d.classid = 'pg_trigger'::regclass and t.tgrelid <> target and t.tgrelid not in (select relid from pg_partition_tree(target)))
$$;
revoke execute on function change_feed.is_free(text, regclass) from public;

-- The functions that record target's changes, one for each operation: made, replaced or left as they are.
--   base  what their names begin with; the operation follows
create function change_feed.ensure_recorders(
  target regclass, resource text, keys boolean, scopes jsonb, out base text, out made boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  operations constant text[] := '{INSERT,UPDATE,DELETE,TRUNCATE}';
  operation text;
  function_name text;
  source text;
  -- A key has one text, whatever the writer's session has set.
  settings constant text[] := case
    when keys and exists (select from change_feed.key_column(target) k where k.settings)
    then array['search_path=pg_catalog, pg_temp', 'TimeZone=UTC', 'DateStyle=ISO', 'IntervalStyle=postgres',
      'bytea_output=hex', 'extra_float_digits=1'] end;
begin
  -- Its own, but for those that other tables use: of a partition that was detached, its former parent's.
  select left(p.proname, -length(substr(r.name, 12))) into base
    from change_feed.recorder_trigger r join pg_proc p on p.oid = r.function
    where r.relation = target and p.proname like 'record%' || substr(r.name, 12) and change_feed.is_free(p.proname, target)
    order by r.name limit 1;
  if not found then
    -- A readable name that no other table's triggers use (those that a dropped table left behind are taken over): the table's,
    -- or with its schema, or with its number. Counting would take longer with each table of a schema for each tenant.
    foreach base in array array(
      select 'record_' || left(regexp_replace(lower(written collate "C"), '[^a-z0-9]+', '_', 'g'), 40) || suffix
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      cross join lateral (values (c.relname::text, '', 1), (n.nspname || '_' || c.relname, '', 2),
        (c.relname, '_' || c.oid, 3), (n.nspname || '_' || c.relname, '_' || c.oid, 4)) as candidate (written, suffix, place)
      where c.oid = target order by place)
    loop
      exit when (select bool_and(change_feed.is_free(base || '_' || lower(o collate "C"), target)) from unnest(operations) as o);
    end loop;
  end if;
  made := false;
  foreach operation in array operations loop
    function_name := base || '_' || lower(operation collate "C");
    source := change_feed.recorder_source(target, resource, operation, keys, scopes, function_name);
    perform from pg_proc p where p.oid = to_regproc(format('change_feed.%I', function_name))
      and p.prosrc = source and p.proconfig is not distinct from settings;
    continue when found;
    made := true;
    execute format('create or replace function change_feed.%I() returns trigger language plpgsql security definer %s as %L',
      function_name,
      (select string_agg(format('set %s = %s', split_part(s, '=', 1), split_part(s, '=', 2)), ' ') from unnest(settings) s),
      source);
    execute format('alter function change_feed.%I() owner to %I', function_name, change_feed.feed_owner());
    execute format('revoke execute on function change_feed.%I() from public', function_name);
    execute format('comment on function change_feed.%I() is %L', function_name, 'Records the changes of ' || target);
  end loop;
end
$$;
revoke execute on function change_feed.ensure_recorders(regclass, text, boolean, jsonb) from public;

-- One trigger of ours on one table, made only where it is missing or different: CREATE OR REPLACE TRIGGER locks out
-- writers even when nothing changes. Returns whether anything was done.
create function change_feed.ensure_trigger(
  target regclass, operation text, recorder regprocedure, resource text, keys boolean, scopes jsonb)
returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  -- In a Turkish database lower('INSERT') has no dot on its i without a collation.
  trigger_name constant text := 'change_feed_' || lower(operation collate "C");
  with_rows constant boolean := keys or scopes <> '[]';
  old_table constant text := case when with_rows and operation in ('UPDATE', 'DELETE') then 'old_rows' end;
  new_table constant text := case when with_rows and operation in ('INSERT', 'UPDATE') then 'new_rows' end;
begin
  perform from change_feed.recorder_trigger r
    where r.relation = target and r.name = trigger_name and r.function = recorder and r.always
      and r.resource = ensure_trigger.resource and r.scopes = ensure_trigger.scopes
      and (r.keys = ensure_trigger.keys or operation = 'TRUNCATE')
      and r.tgoldtable is not distinct from old_table and r.tgnewtable is not distinct from new_table
      -- pg_trigger.h: 4 INSERT, 8 DELETE, 16 UPDATE, 32 TRUNCATE; neither ROW (1) nor BEFORE (2)
      and r.tgtype = case operation when 'INSERT' then 4 when 'DELETE' then 8 when 'UPDATE' then 16 else 32 end;
  if found then
    return false;
  end if;
  execute format('create or replace trigger %I after %s on %s%s for each statement execute function change_feed.%I(%L%s)',
    trigger_name, operation, target,
    case when coalesce(old_table, new_table) is null then '' else
      ' referencing' || coalesce(' old table as ' || old_table, '') || coalesce(' new table as ' || new_table, '') end,
    (select proname from pg_proc where oid = recorder), resource,
    case when scopes <> '[]' then format(', %L, %L', scopes, keys) end);
  execute format('alter table %s enable always trigger %I', target, trigger_name);
  return true;
end
$$;
revoke execute on function change_feed.ensure_trigger(regclass, text, regprocedure, text, boolean, jsonb) from public;

-- A lock on this view needs a right on it. With an advisory lock, which anybody may take, anybody could keep others from watching.
create view change_feed.watch_lock as select true as one_at_a_time;
comment on view change_feed.watch_lock is 'Locked by watch() and unwatch()';

-- Two sessions that watch at once could choose the same name of a resource or a function: the second waits for the first.
create function change_feed.one_at_a_time() returns void
language sql set search_path = pg_catalog, pg_temp as $$
  lock table change_feed.watch_lock in share row exclusive mode
$$;
revoke execute on function change_feed.one_at_a_time() from public;

-- Puts a table into the feed: from its next statement on, every change is recorded, whoever makes it.
-- May be called again, and then changes the triggers to what this call says. Returns what it did.
--   target    the table; its partitions are watched with it and report its name
--   resource  the name in the feed; the table's own unless given
--   keys      false: events name no keys. For keys that are personal data, and for wide rows. Without scopes the triggers then
--             take no transition tables, so a statement that changed no row is recorded too.
--   scopes    columns by whose values the table is parted for subscribers and rights. One scope may be of several columns,
--             joined with an ampersand. The log has the values that the changed rows have or had there, each with its keys;
--             beside keys => false the values alone. Scopes need transition tables.
-- Runs with the caller's rights: the table's owner, being a member of change_feed_owner.
create function change_feed.watch(
  target regclass, resource text default null, keys boolean default true, scopes text[] default '{}') returns text
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '5s' as $$
declare
  named text;
  recorders text;
  changed boolean;
  member regclass;
  inheriting record;
  operation text;
  former text[];
  parsed jsonb;
begin
  perform change_feed.check_watchable(target, keys, scopes);
  perform change_feed.one_at_a_time();
  parsed := change_feed.parse_scopes(target, scopes);
  named := coalesce(resource, change_feed.default_resource(target));
  perform change_feed.check_resource(named);
  perform change_feed.check_same_scopes(target, named, parsed);

  former := array(select r.resource from change_feed.recorder_trigger r where r.relation = target);
  select e.base, e.made into recorders, changed from change_feed.ensure_recorders(target, named, keys, parsed) e;
  for member in select target union select relid from pg_partition_tree(target) loop
    foreach operation in array array['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'] loop
      -- before Postgres 16 a foreign table has no TRUNCATE trigger
      continue when operation = 'TRUNCATE' and (select relkind = 'f' from pg_class where oid = member);
      changed := change_feed.ensure_trigger(member, operation,
        format('change_feed.%I()', recorders || '_' || lower(operation collate "C"))::regprocedure, named, keys, parsed) or changed;
    end loop;
  end loop;
  for inheriting in
    select m.relation, m.kind = 'f' as is_foreign from change_feed.member(target) m
    where m.relation <> target and not m.temporary
      and (select not relispartition from pg_class where oid = m.relation)
      and not exists (select from change_feed.recorder_trigger r where r.relation = m.relation)
    order by m.relation
  loop
    raise notice using
      message = format('%s inherits from %s: what is written to it directly is not recorded', inheriting.relation, target),
      hint = case when inheriting.is_foreign then 'A foreign table cannot be watched. Write to it through ' || target
        else format('Watch it under the same name: select change_feed.watch(%L, %L%s)', inheriting.relation, named,
          concat(case when not keys then ', keys => false' end, case when parsed <> '[]' then format(', scopes => %L', scopes) end)) end;
  end loop;
  if changed then
    perform change_feed.see_watched(target, former || named, named);
  end if;
  return format(case when changed then 'watching %s as %L' else 'already watching %s as %L' end, target, named);
exception when lock_not_available then
  raise lock_not_available using
    message = format('could not lock %s within 5 s', target),
    hint = 'Another transaction works on it, or is watching tables itself. End that one, or try again.';
end
$$;
comment on function change_feed.watch(regclass, text, boolean, text[]) is 'Puts a table into the change feed';
revoke execute on function change_feed.watch(regclass, text, boolean, text[]) from public;

-- Drops those of these recorders that no trigger calls any more.
create function change_feed.drop_unused(recorders oid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  recorder regprocedure;
begin
  for recorder in
    select distinct u::regprocedure from unnest(recorders) as u
    where not exists (select from change_feed.recorder_trigger r where r.function = u)
  loop
    execute format('drop function %s', recorder);
  end loop;
end
$$;
revoke execute on function change_feed.drop_unused(oid[]) from public;

-- Takes a table, and its partitions, out of the feed. Returns what it did. Rights as for watch().
create function change_feed.unwatch(target regclass) returns text
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '5s' as $$
declare
  recorders oid[];
  found_trigger record;
  resources text[];
begin
  if target is null then
    raise invalid_parameter_value using message = 'the name of the table is null';
  end if;
  perform change_feed.check_not_partition(target);
  perform change_feed.one_at_a_time();
  for found_trigger in
    select r.relation, r.name, r.function, r.resource from change_feed.recorder_trigger r
    where r.relation in (select target union select relid from pg_partition_tree(target))
  loop
    if recorders is null then
      perform change_feed.check_rights(target);
    end if;
    execute format('drop trigger %I on %s', found_trigger.name, found_trigger.relation);
    recorders := recorders || found_trigger.function;
    resources := resources || found_trigger.resource;
  end loop;
  if recorders is null then
    return format('%s was not watched', target);
  end if;
  perform change_feed.drop_unused(recorders);
  perform change_feed.see_relations(resources);
  return format('no longer watching %s', target);
exception when lock_not_available then
  raise lock_not_available using
    message = format('could not lock %s within 5 s', target),
    hint = 'Another transaction works on it, or is watching tables itself. End that one, or try again.';
end
$$;
comment on function change_feed.unwatch(regclass) is 'Takes a table out of the change feed';
revoke execute on function change_feed.unwatch(regclass) from public;

do $$
begin
  perform change_feed.end_file('003-watch.sql');
end
$$;
