-- The long way of a recorder: SELECTs that store what a statement has changed in the variables named and scoped.

do $$
begin
  perform change_feed.begin_file('018-recorder-long.sql', 1);
end
$$;

-- Takes the keys, and the scopes with their keys, of at most 100 changed rows. Each row's versions count, before and after
-- the change.
--   key     the key of a row r as JSON text; null where it has none
--   tables  the transition tables
create function change_feed.names_source(
  key text, tables text[], columns name[], target regclass, scopes jsonb, recorder name) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $source$
declare
  scope record;
  scope_columns text := '';
  parts text[];
  -- A row that is the same before and after the change is in one of two tables twice.
  distinctly constant text := case when cardinality(tables) > 1 then 'distinct ' else '' end;
begin
  for scope in select * from change_feed.recorded_scope(target, scopes, 'r.', recorder) loop
    scope_columns := scope_columns || format(', case when %s and %s then %s end as v%s, %1$s as fits%4$s',
      scope.fits, scope.present, scope.value, scope.place);
    parts := parts || format($sql$
            select case when (select pg_catalog.bool_and(v.fits%1$s) from version as v) then
              pg_catalog.format(%2$L, pg_catalog.string_agg(pg_catalog.format('%%s: [%%s]', pg_catalog.to_json(m.value), m.keys), ',')) end as part
            from (select v.v%1$s as value, pg_catalog.string_agg(%3$sv.key, ',') as keys
              from version as v where v.v%1$s is not null group by v.v%1$s) as m$sql$,
      scope.place, '"' || replace(scope.spec, '%', '%%') || '": { %s}', distinctly);
  end loop;
  return format($sql$
          with version as materialized (%s)
          select k.keys%s into named%s
          from (
            select case when pg_catalog.count(*) operator(pg_catalog.=) pg_catalog.count(d.key) and pg_catalog.count(*) operator(pg_catalog.<=) 100
              then pg_catalog.format('[%%s]', pg_catalog.string_agg(d.key, ','%s)) end as keys
            from (select %sv.key from version as v) as d
          ) as k%s;$sql$,
    (select string_agg(format(E'\n            select %s collate pg_catalog."C" as key%s from %s', key, scope_columns,
      change_feed.rows_source(columns, t.name)), ' union' order by t.place) from unnest(tables) with ordinality as t (name, place)),
    case when parts is not null then ', s.scopes' end, case when parts is not null then ', scoped' end,
    -- numbers in their order
    case when distinctly <> '' then ' order by pg_catalog.octet_length(d.key), d.key' end, distinctly,
    case when parts is not null then format($sql$, (
            select '{' operator(pg_catalog.||) pg_catalog.string_agg(p.part, ',') operator(pg_catalog.||) '}' as scopes from (%s
            ) as p
          ) as s$sql$, array_to_string(parts, ' union all')) end);
end
$source$;
revoke execute on function change_feed.names_source(text, text[], name[], regclass, jsonb, name) from public;

-- Takes the values alone of all scopes, of any number of changed rows; none of a scope that has over 1,000.
create function change_feed.values_source(tables text[], target regclass, scopes jsonb, recorder name) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $source$
declare
  scope record;
  grouped text; -- the values of a row r, as they are compared
  groups text;
  value text; -- the text of a group g
  parts text[];
begin
  for scope in select * from change_feed.recorded_scope(target, scopes, 'r.', recorder) loop
    select string_agg(format('%s as v%s', case when r.quoted then coalesce(r.known, r.plain) else r.plain || ' collate pg_catalog."C"' end, n.place), ', ' order by n.place),
      string_agg('g.v' || n.place, ', ' order by n.place),
      string_agg(case when r.known is null or not r.quoted then 'g.v' || n.place
        when a.atttypid = 'bool'::regtype then format($sql$case when g.v%s then 'true' else 'false' end$sql$, n.place)
        else format($sql$pg_catalog.format('%%s', g.v%s)$sql$, n.place) end, ', ' order by n.place)
      into grouped, groups, value
      from unnest(scope.columns) with ordinality as n (name, place)
      left join pg_attribute a on a.attrelid = target and a.attname = n.name and not a.attisdropped
      cross join change_feed.recorded_column('r.', n.name, coalesce(a.atttypid, 'text'::regtype)) r;
    parts := parts || format($sql$
          select case when pg_catalog.count(*) operator(pg_catalog.<=) 1000 and exists (select from %s where %s)
            then pg_catalog.format(%L, pg_catalog.string_agg(pg_catalog.to_json(m.value)::pg_catalog.text, ',')) end as part
          from (select %s as value from (%s
          ) as g group by %s limit 1001) as m$sql$,
      change_feed.rows_source(scope.columns, tables[1]), scope.fits, '"' || replace(scope.spec, '%', '%%') || '": [%s]',
      case cardinality(scope.columns) when 1 then value else format('pg_catalog.jsonb_build_array(%s)::pg_catalog.text', value) end,
      (select string_agg(format(E'\n            select %s from %s where %s and %s', grouped, change_feed.rows_source(scope.columns, t.name),
        scope.fits, scope.present), ' union all') from unnest(tables) as t (name)),
      groups);
  end loop;
  return format($sql$
          select '{' operator(pg_catalog.||) pg_catalog.string_agg(p.part, ',') operator(pg_catalog.||) '}' into scoped from (%s
          ) as p;$sql$, array_to_string(parts, ' union all'));
end
$source$;
revoke execute on function change_feed.values_source(text[], regclass, jsonb, name) from public;

-- The key of a row r as JSON text, whatever the types of its columns are; null where there is no key. It may fail.
create function change_feed.any_key_source(target regclass) returns text
language sql stable set search_path = pg_catalog, pg_temp as $source$
  -- to_jsonb only of the type that was expected: a table's owner may have given the column another since, with a cast that
  -- to_jsonb would call with our rights.
  select format('case when pg_catalog.num_nulls(%s) operator(pg_catalog.=) 0 then %s::pg_catalog.text end',
      string_agg(format('r.%I', k.name), ', ' order by k.place),
      case count(*) when 1 then min(k.json) else format('pg_catalog.jsonb_build_array(%s)', string_agg(k.json, ', ' order by k.place)) end)
  from (
    select k.place, k.name, case when k.as_text then t.text
      else format('case when change_feed.type_of(case when false then r.%1$I end) operator(pg_catalog.=) %2$s then pg_catalog.to_jsonb(r.%1$I) else %3$s end',
        k.name, k.type::oid, t.text) end as json
    from change_feed.key_column(target) k
    cross join lateral (select format('pg_catalog.to_jsonb(pg_catalog.format(''%%s'', r.%I))', k.name) as text) t
  ) k
  having count(*) > 0
$source$;
revoke execute on function change_feed.any_key_source(regclass) from public;

-- The body of a recorder where it does not take the short way. What might fail is in a block. The INSERT follows the block,
-- because inside it would take a transaction id of its own.
create function change_feed.long_source(
  target regclass, resource text, operation text, logged_operation text, keys boolean, scopes jsonb, recorder name) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $source$
declare
  tables constant text[] := case operation when 'INSERT' then '{new_rows}' when 'DELETE' then '{old_rows}'
    when 'UPDATE' then '{new_rows, old_rows}' else '{}' end;
  with_rows constant boolean := cardinality(tables) > 0 and (keys or scopes <> '[]');
  common_key constant text := (
    select format('case when %s%s then pg_catalog.format(%L, %s) end', k.stored, k.present, k.template, k.arguments)
    from change_feed.recorded_key(target, 'r.', recorder) k where keys);
  any_key constant text := case when keys then change_feed.any_key_source(target) end;
  columns constant name[] := array(
    select k.name from change_feed.key_column(target) k where keys
    union select unnest(s.columns) from change_feed.recorded_scope(target, scopes, 'r.', recorder) s order by 1);
  names text := '';
  scope_values text := '';
begin
  if with_rows and any_key is not null then
    names := format($sql$
        if changed operator(pg_catalog.<=) 100 then%s
          %s -- A key column that was renamed, dropped or given another type since must not fail the write.
          begin%s
          exception when others then
            named := null;
          end;%s
          if pg_catalog.octet_length(named) operator(pg_catalog.>) 8192 then
            named := null;
          end if;
        end if;$sql$,
      case when common_key is not null then change_feed.names_source(common_key, tables, columns, target, scopes, recorder) end,
      case when common_key is not null then 'if named is null then' end,
      change_feed.names_source(any_key, tables, columns, target, scopes, recorder),
      case when common_key is not null then E'\n          end if;' end);
  end if;
  if with_rows and scopes <> '[]' then
    scope_values := format($sql$
        if named is null then
          begin -- It may need more temporary files than the writer is allowed.%s
          exception when others then
            scoped := null;
          end;
        end if;
        if pg_catalog.octet_length(scoped) operator(pg_catalog.>) 65536 then
          scoped := null;
        end if;$sql$, change_feed.values_source(tables, target, scopes, recorder));
  end if;
  return format($sql$
      declare
        changed pg_catalog.int8;
        named pg_catalog.text;
        scoped pg_catalog.text;
        leader_idle constant pg_catalog.bool := pg_catalog.pg_sequence_last_value('change_feed.leader_idle'::pg_catalog.regclass) is not null;
      begin%s%s%s
        insert into change_feed.change (resource, keys, details)
        values (%L, coalesce(named, changed::pg_catalog.text),
          -- Readers count the commands between two changes: see src/feed/log/uncertain-order.ts.
          %s);%s
        if leader_idle then
          begin
            insert into change_feed.pending_notification default values on conflict do nothing;
          exception when others then
            null; -- Within a "security-restricted operation" no trigger can wait for the commit: the periodic read takes over.
          end;
        end if;
      end;$sql$,
    case when with_rows then format($sql$
        select pg_catalog.count(*) into changed from %s;
        if changed operator(pg_catalog.=) 0 then
          return new;
        end if;$sql$, tables[1]) end,
    names, scope_values, resource, change_feed.details_source(logged_operation, ', scoped, case when leader_idle then ''notified'' end'),
    case when operation = 'TRUNCATE' then $sql$
        begin
          perform change_feed.see_truncate(tg_relid);
        exception when others then
          null; -- It costs one more change: see 009-ddl.sql.
        end;$sql$ end);
end
$source$;
revoke execute on function change_feed.long_source(regclass, text, text, text, boolean, jsonb, name) from public;

do $$
begin
  perform change_feed.end_file('018-recorder-long.sql');
end
$$;
