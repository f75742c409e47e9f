-- What can be watched: the checks of watch() and unwatch(), each with a sentence that says what to do instead.

do $$
begin
  perform change_feed.begin_file('008-watchable.sql', 1);
end
$$;

-- Raises for a partition of a watched table: only the two together are watched or not.
create function change_feed.check_not_partition(target regclass) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  parent regclass;
begin
  select a.relid into parent from pg_partition_ancestors(target) a
    join change_feed.recorder_trigger r on r.relation = a.relid where a.relid <> target limit 1;
  if found then
    raise wrong_object_type using message = format('%s is a partition of %s, which is watched', target, parent);
  end if;
end
$$;
revoke execute on function change_feed.check_not_partition(regclass) from public;

-- Raises unless the caller may add and remove our triggers.
create function change_feed.check_rights(target regclass) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  other regclass;
begin
  select p.relid into other from (select target as relid union select relid from pg_partition_tree(target)) p
    join pg_class c on c.oid = p.relid where not pg_has_role(c.relowner, 'USAGE') limit 1;
  if found then
    raise insufficient_privilege using message = format('only the owner of %s can have it watched', other);
  end if;
  -- The role is missing where a dump was restored without owners.
  if not exists (select from pg_roles r where r.rolname = change_feed.feed_owner() and pg_has_role(r.oid, 'USAGE')) then
    raise insufficient_privilege using
      message = format('%I may not change what is watched', current_user),
      hint = format('As a superuser: %sgrant %I to %I',
        case when to_regrole('change_feed_owner') is null and change_feed.feed_owner() = 'change_feed_owner' then 'create role change_feed_owner; ' end,
        change_feed.feed_owner(), current_user);
  end if;
end
$$;
revoke execute on function change_feed.check_rights(regclass) from public;

-- The tables whose rows a statement on target may change: itself, its partitions, and those that inherit, at any depth.
-- It reads the catalog, because pg_partition_tree() locks each of them, and knows partitions only.
create function change_feed.member(target regclass) returns table (relation regclass, kind "char", temporary boolean)
language sql stable set search_path = pg_catalog, pg_temp as $$
  with recursive tree (relation) as (
    select target::oid
    union
    select i.inhrelid from tree join pg_inherits i on i.inhparent = tree.relation
  )
  select c.oid::regclass, c.relkind, c.relpersistence = 't' from tree join pg_class c on c.oid = tree.relation
$$;
revoke execute on function change_feed.member(regclass) from public;

-- Raises where a table cannot be watched, with what to do instead.
create function change_feed.check_watchable(target regclass, keys boolean, scopes text[]) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  class pg_class;
  other regclass;
begin
  if target is null then
    raise invalid_parameter_value using message = 'the name of the table is null';
  end if;
  if keys is null then
    raise invalid_parameter_value using message = 'keys is true or false, not null';
  end if;
  select * into class from pg_class where oid = target;
  if not found then
    raise undefined_table using message = format('there is no table with oid %s', target::oid);
  end if;
  if class.relkind not in ('r', 'p') then
    raise wrong_object_type using message = format('%s is %s, and only tables can be watched', target,
      case class.relkind when 'v' then 'a view' when 'm' then 'a materialized view' when 'f' then 'a foreign table'
        when 'S' then 'a sequence' when 'c' then 'a composite type' when 't' then 'a TOAST table' else 'an index' end);
  end if;
  if class.relpersistence = 't' then
    raise wrong_object_type using message = format('%s is a temporary table: only its own session sees it', target);
  end if;
  if target::oid::int8 < 16384 or class.relnamespace = 'change_feed'::regnamespace then
    raise wrong_object_type using message = format('%s is a system table and cannot be watched', target);
  end if;
  perform change_feed.check_not_partition(target);
  select m.relation into other from change_feed.member(target) m where m.kind = 'f' limit 1;
  if found and (keys or cardinality(scopes) > 0) then
    -- Writes to its rows through target would fail: no rows of a foreign table can be put into a transition table.
    raise wrong_object_type using
      message = format(case class.relkind when 'p' then '%s has the foreign table %s as a partition and cannot be watched'
        else '%s is inherited by the foreign table %s and cannot be watched' end, target, other),
      hint = format('Only without keys and scopes: select change_feed.watch(%L, keys => false)', target);
  end if;
  perform change_feed.check_rights(target);
  perform change_feed.check_owner();
end
$$;
revoke execute on function change_feed.check_watchable(regclass, boolean, text[]) from public;

-- The default name of a table in the feed: its own.
create function change_feed.default_resource(target regclass) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  named constant text := (select relname from pg_class where oid = target);
  other regclass;
begin
  begin
    perform change_feed.check_resource(named);
  exception when invalid_parameter_value then
    raise invalid_parameter_value using
      message = format('%L cannot name a resource', named),
      hint = format('Give the table another name in the feed: select change_feed.watch(%L, ''name'')', target);
  end;
  -- a table that has this name already keeps it, also beside another that was given the same
  select w.relation into other from change_feed.watched_table w
    where w.resource = named order by w.relation <> target limit 1;
  if other <> target then
    raise duplicate_object using
      message = format('%s is already watched as %L', other, named),
      hint = format('Give this table a name of its own: select change_feed.watch(%L, %L)', target, target);
  end if;
  return named;
end
$$;
revoke execute on function change_feed.default_resource(regclass) from public;

do $$
begin
  perform change_feed.end_file('008-watchable.sql');
end
$$;
