-- The parts of a recorder's text that write the key and the scopes of a row.

do $$
begin
  perform change_feed.begin_file('016-recorded-columns.sql', 1);
end
$$;

-- True where a column's values are compared and written as this type: see scope_type(). Asked at planning: no type that a
-- table's owner has made, whose output function or cast might run with our rights, is one of a scope.
create function change_feed.has_scope_type(value anyelement, expected text) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select coalesce(change_feed.scope_type(pg_typeof(value)) = expected, false)
$$;
revoke execute on function change_feed.has_scope_type(anyelement, text) from public;

-- Stands before a condition that reads columns: true, at planning, while they are in a recorder's transition tables.
create function change_feed.stored_source(recorder name, columns name[]) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case when current_setting('server_version_num')::int >= 180000 and cardinality(columns) > 0
    then format('change_feed.is_stored(%L, %L) and ', recorder, columns) else '' end
$$;
revoke execute on function change_feed.stored_source(name, name[]) from public;

-- The expressions for a column of a recorder's rows.
--   prefix  what precedes its name: `r.`, or nothing
--   base    by which type it is compared and written: see scope_type(); null for any other
--   known   the value of the type that the column had; null where it has another now. Null for types that are not common
--   plain   the value as text, by calling nothing that the type's owner could have made but its output function
--   part_of_json  the value for a JSON text: with its quotes, or, where `quoted`, without the quotes that it may need
create function change_feed.recorded_column(
  prefix text, column_name name, column_type regtype, out base text, out known text, out plain text, out part_of_json text, out quoted boolean)
language plpgsql stable set search_path = pg_catalog, pg_temp as $source$
declare
  qualified constant text := prefix || quote_ident(column_name);
begin
  base := change_feed.scope_type(column_type);
  if column_type = any ('{bool,int2,int4,int8,uuid,text,varchar}'::regtype[]) then
    known := format('change_feed.as_expected(%s, null::pg_catalog.%s)', qualified, (select t.typname from pg_type t where t.oid = column_type));
  end if;
  plain := format($sql$pg_catalog.format('%%s', %s)$sql$, qualified);
  quoted := coalesce(base in ('bool', 'int2', 'int4', 'int8', 'uuid'), false);
  if base = 'bool' then
    plain := format($sql$case when %s then 'true' else 'false' end$sql$, coalesce(known, plain || $sql$ operator(pg_catalog.=) 't'$sql$));
    part_of_json := plain;
  elsif quoted then
    part_of_json := coalesce(known, plain);
  else
    plain := coalesce(known, plain);
    part_of_json := format('pg_catalog.to_json(%s)', plain);
  end if;
end
$source$;
revoke execute on function change_feed.recorded_column(text, name, regtype) from public;

-- The expressions for the key of a row: JSON, by format(template, arguments). No row where a column of the key is of a type
-- whose text may fail or follows settings of the session, and where there is no key.
--   stored   the condition under which the columns may be read: see stored_source()
--   present  true where the columns are of their types, and no value is null or too long
create function change_feed.recorded_key(target regclass, prefix text, recorder name)
returns table (template text, arguments text, stored text, present text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  -- Of 8 kB, and JSON may need six bytes for one.
  select case count(*) when 1 then min(c.part) else format('[%s]', string_agg(c.part, ',' order by c.place)) end,
    string_agg(c.part_of_json, ', ' order by c.place),
    change_feed.stored_source(recorder, array_agg(c.name order by c.place)),
    string_agg(case when c.long then format('coalesce(pg_catalog.octet_length(%s) operator(pg_catalog.<=) %s, false)', c.known, 1300 / c.columns)
      else format('%s is not null', c.known) end, ' and ' order by c.place)
  from (
    select k.place, k.name, r.known, r.part_of_json, not r.quoted as long, count(*) over () as columns,
      case when r.quoted and (k.as_text or k.type = 'uuid'::regtype) then '"%s"' else '%s' end as part
    from change_feed.key_column(target) k
    cross join change_feed.recorded_column(prefix, k.name, k.type) r
    where k.type = any ('{int2,int4,int8,uuid,text,varchar}'::regtype[])
  ) c
  having count(*) > 0 and count(*) = (select count(*) from change_feed.key_column(target))
$$;
revoke execute on function change_feed.recorded_key(regclass, text, name) from public;

-- The expressions for the scopes of a row, one row for each.
--   fits      true, at planning, while its columns are there and of their types
--   present   true where the row belongs to a scope: no column is null, nor too long
--   value     the value as text
--   template, arguments  the value as a string of JSON, by format(template, arguments)
create function change_feed.recorded_scope(target regclass, scopes jsonb, prefix text, recorder name)
returns table (place bigint, spec text, columns name[], fits text, present text, value text, template text, arguments text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select s.place, s.spec, c.columns, c.fits, c.present,
    case c.number when 1 then c.text else format('pg_catalog.jsonb_build_array(%s)::pg_catalog.text', c.text) end || ' collate pg_catalog."C"',
    case when not c.quoted then '%s' when c.number = 1 then '"%s"' else c.template end,
    case when c.quoted or c.number = 1 then c.part_of_json
      else format('pg_catalog.to_json(pg_catalog.jsonb_build_array(%s)::pg_catalog.text)', c.text) end
  from (
    select change_feed.scope_spec(scope -> 'columns') as spec, scope, place
    from jsonb_array_elements(scopes) with ordinality as declared (scope, place)
  ) s
  cross join lateral (
    select count(*) as number, array_agg(n.name::name order by n.place) as columns, bool_and(r.quoted) as quoted,
      change_feed.stored_source(recorder, array_agg(n.name::name order by n.place))
        || string_agg(case when r.known is not null and r.base = n.type
          then format('change_feed.type_of(case when false then %s%I end) operator(pg_catalog.=) %s', prefix, n.name, a.atttypid)
          else format('change_feed.has_scope_type(case when false then %s%I end, %L)', prefix, n.name, n.type) end, ' and ' order by n.place) as fits,
      string_agg(format('%s%I is not null', prefix, n.name)
        || case when n.type = 'text' then format(' and pg_catalog.octet_length(%s) operator(pg_catalog.<=) 200', r.plain) else '' end,
        ' and ' order by n.place) as present,
      string_agg(r.plain, ', ' order by n.place) as text,
      string_agg(r.part_of_json, ', ' order by n.place) as part_of_json,
      format('"[%s]"', string_agg(E'\\"%s\\"', ', ' order by n.place)) as template
    from rows from (jsonb_array_elements_text(s.scope -> 'columns'), jsonb_array_elements_text(s.scope -> 'types'))
      with ordinality as n (name, type, place)
    left join pg_attribute a on a.attrelid = target and a.attname::text = n.name and not a.attisdropped
    cross join change_feed.recorded_column(prefix, n.name::name, coalesce(a.atttypid, 'text'::regtype)) r
  ) c
  order by s.place
$$;
revoke execute on function change_feed.recorded_scope(regclass, jsonb, text, name) from public;

do $$
begin
  perform change_feed.end_file('016-recorded-columns.sql');
end
$$;
