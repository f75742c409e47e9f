-- The short way of a recorder: one INSERT for a statement that changed one row.

do $$
begin
  perform change_feed.begin_file('017-recorder-short.sql', 1);
end
$$;

-- The operation and its writer, in the form of change_feed.details(). An array costs a writer 12 % less than a text that is
-- made of the three. To cut them here would cost 4 to 6 %, so readers cut them.
--   more  further elements of the column details, each after a comma
create function change_feed.details_source(operation text, more text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $source$
  select format($sql$array[%L, pg_catalog.current_setting('application_name'), pg_catalog.current_setting('change_feed.actor', true),
          pg_catalog.current_setting('change_feed.client', true)%s]$sql$, operation, more)
$source$;
revoke execute on function change_feed.details_source(text, text) from public;

-- The rows r of a transition table with these columns. `absent` takes the place of a column that is gone, so that Postgres
-- can parse what names it; no column of a key or scope is of its type.
--   conditions  of the rows; default: all
create function change_feed.rows_source(columns name[], transition_table text, conditions text[] default '{}') returns text
language sql immutable set search_path = pg_catalog, pg_temp as $source$
  select format('(select %s) as absent, lateral (select %s from %s%s) as r',
    string_agg(format('null::pg_catalog.name as %I', name), ', ' order by place), string_agg(format('%I', name), ', ' order by place),
    transition_table, ' where ' || nullif(array_to_string(conditions, ' and '), ''))
  from unnest(columns) with ordinality as named (name, place)
$source$;
revoke execute on function change_feed.rows_source(name[], text, text[]) from public;

-- The single INSERT that records a statement that changed one row, and not its key or scopes; it inserts nothing for any
-- other. Null where there is no short way: the key is of a type that is not common, or there is nothing to name.
--
-- It has as few plan nodes and function calls as possible, because their start takes most of its time. It cannot fail:
-- Postgres can parse it whatever the columns have become, and it uses of a column only what every type has. Where one is not
-- as expected, Postgres removes the rest when it plans, or a value is null, and nothing is inserted.
--
-- The comparison is in a SELECT of its own. Each time Postgres runs a SELECT with a subquery in one of its expressions, it
-- searches all of them (ScanQueryForLocks in plancache.c), and the log has many columns. The SELECT names its columns without
-- their table, so that one that is gone comes from `absent`.
create function change_feed.short_source(
  target regclass, resource text, operation text, logged_operation text, keys boolean, scopes jsonb, recorder name)
returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $source$
declare
  key record; -- of a row r, and of a row whose columns have no prefix
  own_key record;
  names name[];
  conditions text[];
  scopes_of_row text := '';
  transition_table constant text := case operation when 'DELETE' then 'old_rows' else 'new_rows' end;
begin
  select * into key from change_feed.recorded_key(target, 'r.', recorder) where keys;
  select * into own_key from change_feed.recorded_key(target, '', recorder) where keys;
  if operation = 'TRUNCATE' or (key is null and scopes = '[]') or (key is null and keys and exists (select from change_feed.key_column(target))) then
    return null;
  end if;

  if scopes <> '[]' then
    conditions := conditions || array(select s.fits from change_feed.recorded_scope(target, scopes, '', recorder) s order by s.place);
    scopes_of_row := E',\n          ' || change_feed.scopes_of_row(target, scopes, key.template, key.arguments, recorder);
  end if;
  names := array(
    select k.name from change_feed.key_column(target) k where key is not null
    union select unnest(s.columns) from change_feed.recorded_scope(target, scopes, '', recorder) s order by 1);
  -- Within a CASE it is a condition of the row. Alone it would be a node of the plan and cost 3 % more.
  conditions := conditions || concat(own_key.stored, case operation when 'UPDATE'
    then change_feed.unchanged_source(target, names, own_key.present, recorder)
    else format('case when %s then not exists (select from %s offset 1) end', coalesce(own_key.present, 'true'), transition_table) end);
  return format($sql$
      insert into change_feed.change (resource, keys, details)
      select %L, %s,
        %s
      from %s;$sql$,
    resource,
    -- or the number of rows
    case when key is null then $$'1'$$ else format('pg_catalog.format(%L, %s)', '[' || key.template || ']', key.arguments) end,
    change_feed.details_source(logged_operation, scopes_of_row),
    change_feed.rows_source(names, transition_table, conditions));
end
$source$;
revoke execute on function change_feed.short_source(regclass, text, text, text, boolean, jsonb, name) from public;

-- True for the new row of an UPDATE of one row that has left these columns as they were, byte for byte. A comparison of arrays
-- also shows that it was one row. Where no two rows can have the same values, the comparison of a single value costs 1.4 %
-- less: it equals the first two old ones only if there is one. NULL then equals none, so no condition excludes it, which saves
-- another 1.1 %.
create function change_feed.unchanged_source(target regclass, columns name[], present text, recorder name) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $source$
declare
  column_count constant integer := cardinality(columns);
  is_unique constant boolean := change_feed.is_unique_in(target, columns);
  alike boolean; -- of types that one array can have
  elements text;
  known text;
  compared text;
begin
  select
    bool_and(r.known is not null and r.base in ('bool', 'int2', 'int4', 'int8')) or bool_and(r.known is not null and r.base = 'uuid'),
    string_agg(r.known || case r.base when 'bool' then '::pg_catalog.int4' else '' end, ', ' order by n.place),
    min(r.known) filter (where r.quoted),
    -- one text of all, in which NULL is no empty text
    format('pg_catalog.format(%L, %s) collate pg_catalog."C"', string_agg(case when r.quoted then '%s' else '%L' end, ' ' order by n.place),
      string_agg(coalesce(r.known, quote_ident(n.name)), ', ' order by n.place))
    into alike, elements, known, compared
    from unnest(columns) with ordinality as n (name, place)
    join pg_attribute a on a.attrelid = target and a.attname = n.name and not a.attisdropped
    cross join change_feed.recorded_column('', n.name, a.atttypid) r;
  if alike and column_count > 1 then
    return concat(present || ' and ', format('array[array[%s]] operator(pg_catalog.=) array(select array[%1$s] from old_rows limit 2)', elements));
  end if;
  if column_count = 1 then
    compared := coalesce(known, compared);
  end if;
  if not is_unique then
    return concat(present || ' and ', format('array[%s] operator(pg_catalog.=) array(select %1$s from old_rows limit 2)', compared));
  end if;
  return concat(case when compared is distinct from known then present || ' and ' end,
    format('change_feed.is_unique(%L, %L) and %s operator(pg_catalog.=) all (array(select %3$s from old_rows limit 2))', recorder, columns, compared));
end
$source$;
revoke execute on function change_feed.unchanged_source(regclass, name[], text, name) from public;

-- The scopes of a row r as JSON: with the row's key, or, where there is none, the values alone.
create function change_feed.scopes_of_row(
  target regclass, scopes jsonb, key_template text, key_arguments text, recorder name) returns text
language sql stable set search_path = pg_catalog, pg_temp as $source$
  select case count(*) when 1 then min(format('case when %s then pg_catalog.format(%L, %s) else %L end', s.present,
        format('{"%s":%s}', replace(s.spec, '%', '%%'), s.member), s.arguments, format('{"%s":%s}', s.spec, s.nobody)))
    else format('pg_catalog.format(%L, %s)', '{' || string_agg('"' || replace(s.spec, '%', '%%') || '":%s', ',' order by s.place) || '}',
      string_agg(format('case when %s then pg_catalog.format(%L, %s) else %L end', s.present, s.member, s.arguments, s.nobody), ', ' order by s.place)) end
  from (
    select r.place, r.spec, r.present, concat_ws(', ', r.arguments, key_arguments) as arguments,
      case when key_template is null then format('[%s]', r.template) else format('{ %s: [%s]}', r.template, key_template) end as member,
      case when key_template is null then '[]' else '{}' end as nobody
    from change_feed.recorded_scope(target, scopes, 'r.', recorder) r
  ) s
$source$;
revoke execute on function change_feed.scopes_of_row(regclass, jsonb, text, text, name) from public;

do $$
begin
  perform change_feed.end_file('017-recorder-short.sql');
end
$$;
