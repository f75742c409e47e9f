-- The recorder: the trigger function that writes what a statement changed into the log, generated for each watched table.

do $$
begin
  perform change_feed.begin_file('002-recorder.sql', 1);
end
$$;

-- The columns of a table's primary key, in its order.
--   as_text   their output function makes the key, not to_jsonb: all but built-in types (oid < 16384), for it calls no
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

-- Three functions that cost a writer nothing: Postgres calls them, or puts their bodies in their place, when it plans a
-- recorder's statement, and cuts away what the answer forbids. What is cut away cannot fail, while a CASE that is decided
-- at run time still fails on a cast that the recorder may not call. A statement over a transition table is planned anew
-- after each change of its table, so the answers are never old.

-- The type of an expression: `case when false then x end`, so that it is a constant.
create function change_feed.type_of(value anyelement) returns oid
language sql immutable as $$
  select pg_catalog.pg_typeof(value)::pg_catalog.oid
$$;
revoke execute on function change_feed.type_of(anyelement) from public;

-- True while the tables that a recorder is the trigger function of store these columns. A virtual generated column
-- (PostgreSQL 18) is not in a transition table, and to read it there is an error.
create function change_feed.is_stored(recorder name, columns name[]) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select coalesce(bool_and(a.attgenerated <> 'v'), false)
  from pg_proc p
  join pg_depend d on d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid and d.classid = 'pg_trigger'::regclass
  join pg_trigger t on t.oid = d.objid
  join pg_attribute a on a.attrelid = t.tgrelid and a.attname = any (columns)
  where p.pronamespace = 'change_feed'::regnamespace and p.proname = recorder
$$;
revoke execute on function change_feed.is_stored(name, name[]) from public;

-- A value as one of the type that it is known to have: for the parser an int, whatever the column has become, and at run
-- time the value itself, for Postgres puts the body in the call's place.
create function change_feed.known_as(value anyelement, type anycompatible) returns anycompatible
language sql immutable as $$
  select $1
$$;
revoke execute on function change_feed.known_as(anyelement, anycompatible) from public;

-- The text of the function that records a table's changes. Made for each table, because static SQL costs the writer
-- least; the resource stands in it, for to take it from the trigger's arguments costs about as much as a column of the
-- log. Key columns only, and by name: whole rows are never converted (that would call casts of the table's owner with
-- our rights), and positions would name the wrong column after DROP COLUMN.
--
-- Every write waits for it, so:
-- - To pin search_path would cost each call about as much as the row in the log. Instead every function, operator and
--   type is qualified: else the writer's search_path would decide what runs with our rights. (`=` is looked up there,
--   and with it IS DISTINCT FROM, NULLIF, IN and CASE x WHEN.)
-- - A statement that changed one row, and not its key, which is of common types, is recorded by a single INSERT with as few
--   plan nodes as can be, for most of its time goes into their start. It cannot fail, for it can be parsed whatever the
--   key's columns have become: `absent` stands in for one that is gone, and all that is asked of a column is what every
--   type has. Where the key is not as expected, Postgres cuts the rest away when it plans, and nothing is inserted.
-- - All others go the long way: what might fail stands in a block, and the INSERT behind it, for in the block it would
--   take a transaction id of its own.
--
-- scopes: as parse_scopes() gives them. recorder: the name of the function that is to have it.
create function change_feed.recorder_source(target regclass, resource text, keys boolean, scopes jsonb, recorder name) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $source$
declare
  -- Their values are short, and always become JSON.
  common_types constant regtype[] := array['int2', 'int4', 'int8', 'uuid'];
  virtual_columns constant boolean := current_setting('server_version_num')::int >= 180000;
  key_of_row text; -- of a row r, as jsonb; null where a column is, which no key's is
  known_key text; -- the same as text of JSON, where the key is as expected: to_jsonb is a tenth of what recording costs
  compared text; -- what is the same where the key is, of a type that has arrays
  key_columns text;
  absent_columns text;
  as_expected text;
  all_common boolean;
  rows_of text;
  -- Two transactions may change one deferrable key without waiting for each other's statements: the log can have the new
  -- row before the deletion of the old one. So the deletion is told as a change that says no more.
  deletion constant text := case when keys and exists (
    select from pg_index i where i.indrelid = target and i.indisprimary and not i.indimmediate) then 'change' else 'delete' end;
  operation constant text := case deletion when 'delete' then 'pg_catalog.lower(tg_op collate pg_catalog."C")'
    else $sql$case when tg_op operator(pg_catalog.=) 'DELETE' then 'change' else pg_catalog.lower(tg_op collate pg_catalog."C") end$sql$ end;
  name_keys text := '';
  record_one text := $sql$
  end if;$sql$;
  -- as change_feed.writer() says it
  who constant text := $sql$pg_catalog.current_setting('application_name') operator(pg_catalog.||) E'\n'
    operator(pg_catalog.||) coalesce(pg_catalog.translate(pg_catalog.left(pg_catalog.current_setting('change_feed.client', true), 200), E'\n', ' '), '')
    operator(pg_catalog.||) E'\n' operator(pg_catalog.||) coalesce(pg_catalog.left(pg_catalog.current_setting('change_feed.actor', true), 200), '')$sql$;
  idle_since constant text := $sql$pg_catalog.pg_sequence_last_value('change_feed.leader_idle'::pg_catalog.regclass)$sql$;
  insert_change constant text :=
    'insert into change_feed.change (resource, operation, keys, origin)';
  beginning constant text := format($sql$
#variable_conflict use_column
declare
  changed pg_catalog.int8;
  named pg_catalog.jsonb;
  scoped pg_catalog.jsonb;
  leader_idle pg_catalog.bool;
begin
  -- Where the log was given to another owner, or a right on it was revoked, the write goes on, and repair() ends the epoch.
  -- Two looks, for the name of the log can be read by who may use the schema only.
  if not pg_catalog.has_schema_privilege('change_feed', 'USAGE') then
    %1$s
  elsif not (pg_catalog.has_table_privilege('change_feed.change'::pg_catalog.regclass, 'INSERT')%2$s) then
    %1$s
  end if;
  if %3$s is not null then
    leader_idle := true; -- and the long way, which notes that it wrote to pending_notification$sql$, $sql$raise warning using
      message = 'a change was not recorded, because the recorder may not write the log',
      hint = 'As a superuser: select change_feed.repair()';
    return null;$sql$,
    -- later versions answer null to who may not look at a sequence
    case when current_setting('server_version_num')::int < 180000 then
      $sql$ and pg_catalog.has_sequence_privilege('change_feed.leader_idle'::pg_catalog.regclass, 'SELECT')$sql$ end,
    idle_since);
  record_any constant text := format($sql$
    %s
    values (%L, %s, coalesce(named::pg_catalog.text, changed::pg_catalog.text),
    %s, scoped::pg_catalog.text, case when leader_idle then 'true'::pg_catalog.jsonb end);$sql$,
    -- Readers count the commands between two changes: see src/feed/log/uncertain-order.ts.
    replace(insert_change, 'origin)', 'origin, scopes, data)'), resource, operation, who);
  ending constant text := $sql$
  if tg_op operator(pg_catalog.=) 'TRUNCATE' then
    begin
      perform change_feed.see_truncate(tg_relid);
    exception when others then
      null; -- It costs one more change: see 009-ddl.sql.
    end;
  end if;
  if leader_idle then
    begin
      insert into change_feed.pending_notification default values on conflict do nothing;
    exception when others then
      null; -- Within a "security-restricted operation" no trigger can wait for the commit: the periodic read takes over.
    end;
  end if;
  return null;
end
$sql$;
begin
  if not keys and scopes = '[]' then
    return beginning || record_one || record_any || ending;
  end if;

  -- Only of the type that was expected: a table's owner may have given the column another since, with a cast that to_jsonb
  -- would call with our rights.
  select
    case when count(*) > 0 then format('case when pg_catalog.num_nulls(%s) operator(pg_catalog.=) 0 then %s end',
      string_agg(format('r.%I', name), ', ' order by place),
      case count(*) when 1 then min(part)
        else format('pg_catalog.jsonb_build_array(%s)', string_agg(part, ', ' order by place)) end) end,
    string_agg(format('%I', name), ', ' order by place),
    string_agg(format('null::pg_catalog.%I as %I', type_name, name), ', ' order by place),
    format(case count(*) when 1 then 'pg_catalog.format(''[%s]'', %s)' else 'pg_catalog.format(''[[%s]]'', %s)' end,
      string_agg(json, ',' order by place), string_agg(format('r.%I', name), ', ' order by place)),
    case count(*) when 1 then min(format('change_feed.known_as(r.%I, null::pg_catalog.%I)', name, type_name))
      else string_agg(format('r.%I::pg_catalog.text', name), $sql$ operator(pg_catalog.||) ',' operator(pg_catalog.||) $sql$ order by place) end,
    case when virtual_columns then format('change_feed.is_stored(%L, %L) and ', recorder, array_agg(name order by place)) else '' end
      || string_agg(format('%s and r.%I is not null', is_expected, name), ' and ' order by place),
    bool_and(type = any (common_types))
  into key_of_row, key_columns, absent_columns, known_key, compared, as_expected, all_common
  from (
    select k.place, k.name, k.type, t.typname as type_name, is_expected,
      case when k.as_text or k.type = 'uuid'::regtype then '"%s"' else '%s' end as json,
      case when k.as_text then in_text
        else format('case when %s then pg_catalog.to_jsonb(r.%I) else %s end', is_expected, k.name, in_text) end as part
    from change_feed.key_column(target) k
    join pg_type t on t.oid = k.type
    cross join format('change_feed.type_of(case when false then r.%I end) operator(pg_catalog.=) %s', k.name, k.type::oid) is_expected
    cross join format('pg_catalog.to_jsonb(pg_catalog.format(''%%s'', r.%I))', k.name) in_text
  ) parts;

  if all_common and scopes = '[]' then
    -- followed by the name of a transition table: its rows r
    rows_of := format('from (select %s) as absent, lateral (select %s from', absent_columns, key_columns);
    -- The SELECT that compares the keys is one of its own: each time it runs Postgres searches all expressions of a SELECT
    -- that has a subquery in one of them (ScanQueryForLocks in plancache.c), and the columns of the log are many.
    record_one := format($sql$
  elsif tg_op operator(pg_catalog.=) 'UPDATE' then
    %1$s
    select %7$L, 'update', %3$s,
    %2$s
    from (select r.* %5$s new_rows limit 1) as r
      where case when %6$s then array[%4$s] operator(pg_catalog.=) array(select %4$s %5$s old_rows) as r limit 2) end) as r;
  elsif tg_op operator(pg_catalog.=) 'INSERT' then
    %1$s
    select %7$L, 'insert', %3$s,
    %2$s
    from (select r.* %5$s new_rows) as r
      where not exists (select from new_rows offset 1) and %6$s) as r;
  elsif tg_op operator(pg_catalog.=) 'DELETE' then
    %1$s
    select %7$L, %8$L, %3$s,
    %2$s
    from (select r.* %5$s old_rows) as r
      where not exists (select from old_rows offset 1) and %6$s) as r;
  end if;
  if found then
    return null;
  end if;
$sql$, insert_change, who, known_key, compared, rows_of, as_expected, resource, deletion);
  end if;

  if key_of_row is not null and keys then
    name_keys := format($sql$
    if changed operator(pg_catalog.<=) 100 then
      -- A key column that was renamed, dropped or given another type since must not fail the write.
      begin
        if tg_op operator(pg_catalog.=) 'INSERT' then
          select pg_catalog.jsonb_agg(%1$s) into named from new_rows as r;
        elsif tg_op operator(pg_catalog.=) 'DELETE' then
          select pg_catalog.jsonb_agg(%1$s) into named from old_rows as r;
        else
          select pg_catalog.jsonb_agg(distinct k.key) into named
          from (select %1$s as key from new_rows as r union all select %1$s from old_rows as r) as k;
        end if;
        if pg_catalog.jsonb_array_length(named) operator(pg_catalog.>) 100
          or pg_catalog.octet_length(named::pg_catalog.text) operator(pg_catalog.>) 8192
          or named operator(pg_catalog.@>) '[null]' then
          named := null;
        end if;
      exception when others then
        named := null;
      end;
    end if;$sql$, key_of_row);
  end if;
  if scopes <> '[]' then
    name_keys := name_keys || change_feed.scopes_source(scopes, case when keys then key_of_row end);
  end if;
  return beginning || record_one || $sql$
  if not found then
    if tg_op operator(pg_catalog.=) 'DELETE' then
      select pg_catalog.count(*) into changed from old_rows;
    elsif tg_op operator(pg_catalog.<>) 'TRUNCATE' then
      select pg_catalog.count(*) into changed from new_rows;
    end if;
    if changed operator(pg_catalog.=) 0 then
      return null;
    end if;$sql$ || name_keys || record_any || $sql$
  end if;$sql$ || ending;
end
$source$;
revoke execute on function change_feed.recorder_source(regclass, text, boolean, jsonb, name) from public;

do $$
begin
  perform change_feed.end_file('002-recorder.sql');
end
$$;
