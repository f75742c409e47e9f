-- Watching all tables of a database, and those that are made later.

do $$
begin
  perform change_feed.begin_file('016-watch-all.sql', 1);
end
$$;

-- The tables that watch_all() looks at: all but those of extensions and of Postgres, temporary ones, and partitions, which
-- are watched with their parent. ancestors: how many tables it inherits from.
create view change_feed.ordinary_table as
select c.oid::regclass as relation, n.nspname as schema, c.relname as name,
  pg_catalog.pg_has_role(c.relowner, 'USAGE') as owned,
  (with recursive up (relation) as (
    select i.inhparent from pg_catalog.pg_inherits i where i.inhrelid = c.oid
    union
    select i.inhparent from up join pg_catalog.pg_inherits i on i.inhrelid = up.relation
  ) select count(*) from up) as ancestors
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and c.relpersistence <> 't' and not c.relispartition and c.oid::int8 >= 16384
  and n.nspname not in ('change_feed', 'information_schema') and not starts_with(n.nspname, 'pg_')
  and not exists (select from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e');
comment on view change_feed.ordinary_table is 'The tables that watch_all() looks at';

-- The settings of watch_all() for tables that are made later: one row while they are watched, too.
create table change_feed.future_rule (
  is_only boolean primary key default true check (is_only),
  omit text[] not null,
  keys boolean not null
);
comment on table change_feed.future_rule is 'Whether new tables are watched, and which are not: see watch_all()';

-- Tells whether one of these patterns names a table: table, schema.table or schema.*, with * for any text.
create function change_feed.is_omitted(schema name, relation name, omit text[]) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select exists (
    select from unnest(omit) as pattern
    cross join lateral replace(replace(replace(replace(replace(pattern, '"', ''), '!', '!!'), '%', '!%'), '_', '!_'), '*', '%') as written
    where relation::text like written escape '!' or schema || '.' || relation like written escape '!')
$$;
revoke execute on function change_feed.is_omitted(name, name, text[]) from public;

-- Watches one table of many: a table that inherits from a watched one under the name of that, and one whose name another
-- table has with its schema before it.
create function change_feed.watch_one(target regclass, keys boolean) returns text
language plpgsql set search_path = pg_catalog, pg_temp set client_min_messages = warning as $$
declare
  parent record;
begin
  select w.resource, w.keys, change_feed.scope_names(w.scopes) as scopes into parent
    from pg_inherits i join change_feed.watched_table w on w.relation = i.inhparent where i.inhrelid = target limit 1;
  if found then
    return change_feed.watch(target, parent.resource, parent.keys, parent.scopes);
  end if;
  return change_feed.watch(target, (
    select t.schema || '.' || t.name from change_feed.ordinary_table t
    where t.relation = target and exists (
      select from change_feed.watched_table w where w.resource = t.name and w.relation <> target)), keys);
end
$$;
revoke execute on function change_feed.watch_one(regclass, boolean) from public;

-- Locks tables against writers, all or none. It waits for no lock while it holds another for longer than half a second: a
-- writer that waits for one of them meets no deadlock. Gives up after 10 s.
create function change_feed.lock_tables(targets regclass[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  target regclass;
  before constant text := current_setting('lock_timeout');
  ends constant timestamptz := clock_timestamp() + interval '10 s';
  attempt_ends timestamptz;
begin
  loop
    attempt_ends := clock_timestamp() + interval '500 ms';
    begin
      foreach target in array targets loop
        perform set_config('lock_timeout',
          greatest(1, extract(epoch from attempt_ends - clock_timestamp()) * 1000)::int::text, true);
        execute format('lock table %s in share row exclusive mode', target);
      end loop;
      perform set_config('lock_timeout', before, true);
      return;
    exception when lock_not_available then
      if clock_timestamp() > ends then
        raise lock_not_available using
          message = format('could not lock %s within 10 s', target),
          hint = 'Another transaction works on it. End that one, or try again.';
      end if;
    end;
    perform pg_sleep(0.1);
  end loop;
end
$$;
revoke execute on function change_feed.lock_tables(regclass[]) from public;

-- Watches each table of the caller that is not watched yet, and says what it did with each. Tables that are watched stay as
-- they are. A notice names one that cannot be watched, with the reason.
--   omit    tables to leave out: table, schema.table or schema.*, with * for any text
--   keys    as for watch()
--   future  true: an event trigger watches new tables and new partitions, too; false: it does so no more; null: as before
create function change_feed.watch_all(omit text[] default '{}', keys boolean default true, future boolean default null)
returns setof text
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '5s' as $$
declare
  omitted constant text[] := coalesce(omit, '{}');
  targets regclass[];
  target regclass;
  pattern text;
  others bigint;
  reason text;
  cure text;
begin
  if keys is null then
    raise invalid_parameter_value using message = 'keys is true or false, not null';
  end if;
  perform change_feed.check_owner();
  perform change_feed.one_at_a_time();
  foreach pattern in array omitted loop
    if not exists (select from change_feed.ordinary_table t where change_feed.is_omitted(t.schema, t.name, array[pattern])) then
      raise notice 'no table is called %', pattern;
    end if;
  end loop;
  if future then
    perform change_feed.watch_future(omitted, keys);
  elsif not future then
    perform change_feed.forget_future();
  end if;
  targets := array(
    select t.relation from change_feed.ordinary_table t
    where t.owned and not change_feed.is_omitted(t.schema, t.name, omitted)
      and not exists (select from change_feed.watched_table w where w.relation = t.relation)
    order by t.ancestors, pg_table_is_visible(t.relation) desc, t.schema <> 'public', t.schema, t.name);
  perform change_feed.lock_tables(targets);
  foreach target in array targets loop
    begin
      return next change_feed.watch_one(target, keys);
    exception when wrong_object_type or invalid_parameter_value or duplicate_object or insufficient_privilege then
      get stacked diagnostics reason = message_text, cure = pg_exception_hint;
      raise notice using message = format('%s is not watched: %s', target, reason), hint = cure;
    end;
  end loop;
  select count(*) into others from change_feed.ordinary_table t
    where not t.owned and not change_feed.is_omitted(t.schema, t.name, omitted)
      and not exists (select from change_feed.watched_table w where w.relation = t.relation);
  if others > 0 then
    raise notice using
      message = case others when 1 then '1 table of another owner is not watched'
        else format('%s tables of other owners are not watched', others) end,
      hint = 'Its owner, or a superuser, may call watch_all(), too.';
  end if;
end
$$;
comment on function change_feed.watch_all(text[], boolean, boolean) is 'Puts all tables into the change feed';
revoke execute on function change_feed.watch_all(text[], boolean, boolean) from public;

-- Watches what a statement has made, and the partitions of a watched table that it has altered. A warning names what cannot be
-- watched: the statement of the caller must not fail.
create function change_feed.watch_made(made oid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  rule change_feed.future_rule;
  target regclass;
  watched record;
  used oid[];
begin
  select * into rule from change_feed.future_rule;
  for target in select distinct coalesce(pg_partition_root(m), m) from unnest(made) as m loop
    begin
      select w.relation, w.resource, w.keys, change_feed.scope_names(w.scopes) as scopes into watched
        from change_feed.watched_table w where w.relation = target;
      if found then
        -- A partition was made or attached. It may have been watched by itself before.
        used := array(select distinct r.function from change_feed.recorder_trigger r
          where r.relation in (select p.relid from pg_partition_tree(target) p));
        perform change_feed.watch(target, watched.resource, watched.keys, watched.scopes);
        perform change_feed.drop_unused(used);
      elsif rule.is_only and exists (
        select from change_feed.ordinary_table t
        where t.relation = target and t.owned and not change_feed.is_omitted(t.schema, t.name, rule.omit))
      then
        perform change_feed.watch_one(target, rule.keys);
      end if;
    exception when others then
      raise warning using
        message = format('%s is not watched: %s', target, sqlerrm),
        hint = 'Later, as its owner: select change_feed.watch_all()';
    end;
  end loop;
end
$$;
revoke execute on function change_feed.watch_made(oid[]) from public;

-- Makes the event trigger. Its function belongs to the superuser who calls this, not to change_feed_owner, because Postgres
-- runs it in each session that makes a table, with the rights of that session. Members of change_feed_owner can replace what
-- belongs to that role. So the function calls it only for members, and for a superuser only where all members are superusers.
create function change_feed.watch_future(omit text[], keys boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $do$
begin
  insert into change_feed.future_rule as r (omit, keys) values (watch_future.omit, watch_future.keys)
    on conflict (is_only) do update set omit = excluded.omit, keys = excluded.keys;
  if exists (select from pg_event_trigger e where e.evtname = 'change_feed_new_table' and e.evtenabled in ('O', 'A')) then
    return;
  end if;
  begin
    drop event trigger if exists change_feed_new_table;
    execute format('create or replace function change_feed.%I() returns event_trigger language plpgsql set search_path = pg_catalog, pg_temp as %L',
      'watch_new_table', format($source$
declare
  stack text;
  made oid[];
begin
  get diagnostics stack = pg_context;
  if stack like '%%change_feed.ensure_trigger(%%' then
    return; -- watch() itself alters a table
  end if;
  made := array(select distinct c.objid from pg_event_trigger_ddl_commands() c
    where c.object_type = 'table' and not c.in_extension and c.schema_name is distinct from 'pg_temp'
      and (c.command_tag <> 'ALTER TABLE' or exists (select from pg_inherits i join pg_class k on k.oid = i.inhrelid
        where i.inhparent = c.objid and k.relispartition)));
  if made = '{}' then
    return;
  end if;
  if (select rolsuper from pg_roles where rolname = current_user) then
    if exists (select from pg_auth_members m join pg_roles r on r.oid = m.member
      where m.roleid = (select o.oid from pg_roles o where o.rolname = %1$L) and not r.rolsuper)
      or %1$L <> 'change_feed_owner'
    then
      raise notice 'a superuser has made a table or a partition: watch it with change_feed.watch_all()';
      return;
    end if;
  elsif not pg_has_role(%1$L, 'USAGE') then
    return;
  end if;
  perform change_feed.watch_made(made);
exception when others then
  -- Nobody's DDL fails because of the feed, not even after a restore of half of it.
  raise warning 'a new table is not watched: %%', sqlerrm;
end
$source$, change_feed.feed_owner()));
    execute $$create event trigger change_feed_new_table on ddl_command_end
      when tag in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE')
      execute function change_feed.watch_new_table()$$;
    revoke execute on function change_feed.watch_new_table() from public;
  exception when insufficient_privilege then
    raise insufficient_privilege using
      message = format('%I may not make an event trigger, so new tables cannot be watched by themselves', current_user),
      hint = 'As a superuser: select change_feed.watch_all(future => true). Or call watch_all() after each migration.';
  end;
end
$do$;
revoke execute on function change_feed.watch_future(text[], boolean) from public;

-- Removes the event trigger.
create function change_feed.forget_future() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  drop event trigger if exists change_feed_new_table;
  if to_regprocedure('change_feed.watch_new_table()') is not null then
    drop function change_feed.watch_new_table();
  end if;
  delete from change_feed.future_rule;
exception when insufficient_privilege then
  raise insufficient_privilege using
    message = format('%I may not drop the event trigger change_feed_new_table', current_user),
    hint = 'As a superuser: select change_feed.watch_all(future => false)';
end
$$;
revoke execute on function change_feed.forget_future() from public;

do $$
begin
  perform change_feed.end_file('016-watch-all.sql');
end
$$;
