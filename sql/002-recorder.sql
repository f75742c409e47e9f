-- The recorder: the trigger function that writes what a statement changed into the log, generated for each watched table.

do $$
begin
  perform change_feed.begin_file('002-recorder.sql', 1);
end
$$;

-- The columns of a table's primary key, in its order.
--   as_text   their output function makes the key, not to_jsonb: all but built-in types (oid < 16384), because it calls no
--             cast; and int8 and numeric, which are strings then, as node-postgres gives int8
--   settings  their text follows settings of the session, or may
create function change_feed.key_column(target regclass) returns table (place bigint, name name, type regtype, as_text boolean, settings boolean)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select k.place, a.attname, a.atttypid,
    t.oid::int8 >= 16384 or t.oid = any ('{int8,numeric,int8[],numeric[]}'::regtype[]),
    t.typtype <> 'e' and t.oid <> all ('{bool,int2,int4,int8,numeric,text,varchar,bpchar,uuid,date,timestamp}'::regtype[])
  from pg_index i
  cross join unnest(i.indkey::int2[]) with ordinality as k (attnum, place)
  join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
  join pg_type t on t.oid = a.atttypid
  where i.indrelid = target and i.indisprimary and k.place <= i.indnkeyatts
$$;
revoke execute on function change_feed.key_column(regclass) from public;

-- Functions that cost a writer nothing: Postgres calls them, or inlines them, when it plans a recorder's statement, and
-- removes the parts that the result excludes. A removed part cannot fail, while a CASE that is decided at run time still fails
-- on a cast that the recorder may not call. Postgres plans a statement over a transition table anew after each change of its
-- table, so the results are never old.

-- The type of an expression: `case when false then x end`, so that it is a constant.
create function change_feed.type_of(value anyelement) returns oid
language sql immutable as $$
  select pg_catalog.pg_typeof(value)::pg_catalog.oid
$$;
revoke execute on function change_feed.type_of(anyelement) from public;

-- A value as one of the type that it is known to have: for the parser an int, whatever the column has become, and at run
-- time the value itself, because Postgres inlines the body.
create function change_feed.known_as(value anyelement, type anycompatible) returns anycompatible
language sql immutable as $$
  select $1
$$;
revoke execute on function change_feed.known_as(anyelement, anycompatible) from public;

-- A value of the expected type; null where it has another one.
create function change_feed.as_expected(value anyelement, type anycompatible) returns anycompatible
language sql immutable as $$
  select case when change_feed.type_of(case when false then $1 end) operator(pg_catalog.=) change_feed.type_of(case when false then $2 end)
    then change_feed.known_as($1, $2) end
$$;
revoke execute on function change_feed.as_expected(anyelement, anycompatible) from public;

-- The tables that a recorder is the trigger function of.
create function change_feed.tables_of(recorder name) returns setof oid
language sql stable set search_path = pg_catalog, pg_temp as $$
  select t.tgrelid
  from pg_proc p
  join pg_depend d on d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid and d.classid = 'pg_trigger'::regclass
  join pg_trigger t on t.oid = d.objid
  where p.pronamespace = 'change_feed'::regnamespace and p.proname = recorder
$$;
revoke execute on function change_feed.tables_of(name) from public;

-- True while the tables of a recorder store these columns. A virtual generated column (PostgreSQL 18) is not in a transition
-- table, and to read it there is an error.
create function change_feed.is_stored(recorder name, columns name[]) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select coalesce(bool_and(a.attgenerated <> 'v'), false)
  from change_feed.tables_of(recorder) t
  join pg_attribute a on a.attrelid = t and a.attname = any (columns)
$$;
revoke execute on function change_feed.is_stored(name, name[]) from public;

-- True while no two rows of a table can have the same values of these columns when a statement begins: it has a unique
-- index of them, or of some, that is checked at once, and no table inherits from it.
create function change_feed.is_unique_in(target oid, columns name[]) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (
      select from pg_index i
      where i.indrelid = target and i.indisunique and i.indimmediate and i.indisvalid and i.indexprs is null and i.indpred is null
        and not exists (
          select from unnest(i.indkey::int2[]) with ordinality as k (attnum, place)
          join pg_attribute a on a.attrelid = target and a.attnum = k.attnum
          where k.place <= i.indnkeyatts and a.attname <> all (columns)))
    and not exists (
      select from pg_class c join pg_inherits h on h.inhparent = c.oid where c.oid = target and c.relkind <> 'p')
$$;
revoke execute on function change_feed.is_unique_in(oid, name[]) from public;

-- The same of all tables of a recorder.
create function change_feed.is_unique(recorder name, columns name[]) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select coalesce(bool_and(change_feed.is_unique_in(t, columns)), false) from change_feed.tables_of(recorder) t
$$;
revoke execute on function change_feed.is_unique(name, name[]) from public;

-- True while the current user may insert into a table and look at a sequence, by rights of its own: Postgres would not notice
-- the end of rights that it has as a member of another role. And while nobody has added to the table what could fail an INSERT:
-- a constraint, NOT NULL, a trigger, a rule, an index that computes. Because the call names the two, Postgres asks again after
-- each change of them.
create function change_feed.may_record(log regclass, idle regclass) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select coalesce(bool_and(r.rolsuper or c.relowner = r.oid and exists (
    select from aclexplode(coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner))) a
    where a.grantee = r.oid and a.privilege_type = case c.relkind when 'S' then 'SELECT' else 'INSERT' end)), false)
    and bool_and(c.relchecks = 0)
    and not exists (select from pg_rewrite w where w.ev_class = log)
    and not exists (select from pg_trigger t where t.tgrelid = log and t.tgname <> 'emptied')
    and not exists (select from pg_index i where i.indrelid = log
      and (i.indisunique or i.indisexclusion or i.indexprs is not null or i.indpred is not null))
    and not exists (select from pg_attribute a where a.attrelid = log and a.attnum > 0 and not a.attisdropped
      and (a.attnotnull or a.attidentity <> '' or a.atthasdef and a.attname <> all ('{xid,lsn,at}')))
  from pg_class c, pg_roles r
  where c.oid in (log, idle) and r.rolname = current_user
$$;
revoke execute on function change_feed.may_record(regclass, regclass) from public;

-- The text of the function that records one operation on a table. Made for each table and operation, because static SQL
-- costs the writer least, and so does each condition that it leaves out. Key and scope columns only, and by name: whole
-- rows are never converted (that would call casts of the table's owner with our rights), and positions would name the
-- wrong column after DROP COLUMN.
--
-- Every write waits for it, so:
-- - A pinned search_path would cost each call about as much as the row in the log. Instead it qualifies every function,
--   operator and type: otherwise the writer's search_path would decide what runs with our rights. (Postgres looks up `=`
--   there, and so IS DISTINCT FROM, NULLIF, IN and CASE x WHEN.)
-- - Where the log has another owner, or a right on it was revoked, the write does not fail, and repair() ends the epoch.
--   It checks twice: only a role that may use the schema can read the name of the log, and the other rights are checked at
--   planning.
-- - A statement that changed one row, and not its key or scopes, takes the short way: see 017-recorder-short.sql.
-- - All others, and all while the leader is idle, take the long way: see 018-recorder-long.sql.
-- - `return new` is null here, and Postgres has no expression to prepare for it.
--
--   operation  INSERT, UPDATE, DELETE or TRUNCATE
--   scopes     as parse_scopes() gives them
--   recorder   the name of the function that is to have it
create function change_feed.recorder_source(
  target regclass, resource text, operation text, keys boolean, scopes jsonb, recorder name) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $source$
declare
  -- Two transactions may change one deferrable key without waiting for each other's statements: the log can have the new
  -- row before the deletion of the old one. So the log has the deletion as a change without operation.
  logged_operation constant text := case
    when operation = 'DELETE' and keys and exists (
      select from pg_index i where i.indrelid = target and i.indisprimary and not i.indimmediate) then 'change'
    else lower(operation collate "C") end;
  short constant text := change_feed.short_source(target, resource, operation, logged_operation, keys, scopes, recorder);
  may_record constant text :=
    $sql$change_feed.may_record('change_feed.change'::pg_catalog.regclass, 'change_feed.leader_idle'::pg_catalog.regclass)$sql$;
begin
  return format($sql$
#variable_conflict use_column
begin
  if pg_catalog.has_schema_privilege('change_feed'::pg_catalog.regnamespace, 'USAGE') then%1$s
    if %2$s then%3$s
      return new;
    end if;
  end if;
  raise warning using
    message = 'a change was not recorded, because the recorder may not write the log',
    hint = 'As a superuser: select change_feed.repair()';
  return new;
end
$sql$,
    case when short is not null then format($sql$
    if %s and pg_catalog.pg_sequence_last_value('change_feed.leader_idle'::pg_catalog.regclass) is null then%s
      if found then
        return new;
      end if;
    end if;$sql$, may_record, short) end,
    may_record,
    change_feed.long_source(target, resource, operation, logged_operation, keys, scopes, recorder));
end
$source$;
revoke execute on function change_feed.recorder_source(regclass, text, text, boolean, jsonb, name) from public;

do $$
begin
  perform change_feed.end_file('002-recorder.sql');
end
$$;
