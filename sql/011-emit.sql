-- Events that an application makes itself, and who writes.

do $$
begin
  perform change_feed.begin_file('011-emit.sql', 1);
end
$$;

-- Raises invalid_parameter_value unless the text can name a resource. Names appear in URLs, in lists with commas and in
-- SSE fields: 1 to 200 bytes, no comma, question mark, asterisk or control character.
create function change_feed.check_resource(resource text) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  -- Written with chr(): runners of SQL take a question mark, or a colon before a name, for a parameter.
  unfit text := format('[,*%s%s-%s%s]', chr(63), chr(1), chr(31), chr(127));
begin
  -- No CASE: its branches are computed when it is planned, and in other encodings of several bytes chr(128) raises.
  if getdatabaseencoding() = 'UTF8' then
    unfit := format('[,*%s%s-%s%s%s-%s]', chr(63), chr(1), chr(31), chr(127), chr(128), chr(159));
  end if;
  if resource is null or octet_length(resource) not between 1 and 200 or resource ~ unfit then
    raise invalid_parameter_value using
      message = format('%L cannot name a resource', resource),
      hint = format('A resource has 1 to 200 bytes, and none of , %s * or control characters.', chr(63));
  end if;
end
$$;
revoke execute on function change_feed.check_resource(text) from public;

-- The operation and its writer, as the column details has them: the same as in the recorders.
create function change_feed.details(operation text) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select array[operation, current_setting('application_name'), current_setting('change_feed.actor', true), current_setting('change_feed.client', true)]
$$;
revoke execute on function change_feed.details(text) from public;

-- The scopes of an application's own event: the values alone, one of each scope whose columns are all given.
--   scope  column -> string, number or boolean; null: the event is for all scopes
-- Of a watched resource only its own scopes count. A resource that no table has takes any columns, up to four.
create function change_feed.event_scopes(resource text, scope jsonb) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  max_columns constant integer := 4;
  declared jsonb;
  names text[];
  found_column record;
begin
  if scope is null then
    return null;
  end if;
  if jsonb_typeof(scope) <> 'object' or scope = '{}' or exists (
    select from jsonb_each(scope) s where jsonb_typeof(s.value) not in ('string', 'number', 'boolean') or s.key = '')
  then
    raise invalid_parameter_value using
      message = format('%s cannot be the scope of an event', left(scope::text, 200)),
      hint = 'A scope is an object of columns with strings, numbers or booleans.';
  end if;
  select w.scopes into declared from change_feed.watched_table w where w.resource = event_scopes.resource limit 1;
  if not found then
    names := array(select s.key from jsonb_each(scope) s order by s.key collate "C");
    if cardinality(names) > max_columns then
      raise invalid_parameter_value using message = format('the scope of an event is of at most %s columns', max_columns);
    end if;
    select jsonb_agg(jsonb_build_object('columns', subset.columns)) into declared
    from (
      select array_agg(n.name order by n.place) as columns
      from generate_series(1, (1 << cardinality(names)) - 1) as bits
      join unnest(names) with ordinality as n (name, place) on bits & (1 << (n.place::int4 - 1)) <> 0
      group by bits
    ) subset;
  end if;
  select s.key as name, s.value, t.type into found_column
    from jsonb_each_text(scope) s
    left join lateral (
      select coalesce(d.element -> 'types' ->> (c.place::int4 - 1), 'text') as type
      from jsonb_array_elements(declared) as d (element), jsonb_array_elements_text(d.element -> 'columns') with ordinality as c (name, place)
      where c.name = s.key limit 1
    ) t on true
    where t.type is null or not change_feed.is_canonical(t.type, s.value) or octet_length(s.key) > 200
    limit 1;
  if found and found_column.type is null then
    raise invalid_parameter_value using
      message = format('%I is in no scope of %s', found_column.name, resource),
      hint = format('Declare one: select change_feed.watch(..., scopes => %L)', array[change_feed.encode_component(found_column.name)]);
  elsif found then
    raise invalid_parameter_value using
      message = format('%L is not how a value of the scope %I is written', left(found_column.value, 200), found_column.name),
      hint = format('Its type is %s. A value has at most 200 bytes.', found_column.type);
  end if;
  return coalesce((
    select jsonb_object_agg(change_feed.scope_spec(d.element -> 'columns'), jsonb_build_array(v.value))
    from jsonb_array_elements(declared) as d (element)
    cross join lateral (
      select case count(*) when 1 then min(scope ->> c.name) else jsonb_agg(scope ->> c.name order by c.place)::text end as value,
        bool_and(scope ->> c.name is not null) as given
      from jsonb_array_elements_text(d.element -> 'columns') with ordinality as c (name, place)
    ) v
    where v.given), '{}')::text;
end
$$;
revoke execute on function change_feed.event_scopes(text, jsonb) from public;

-- Records an application's own event. It commits with its transaction.
--   data   at most 64 kB as text
--   scope  the scope that it concerns: subscribers of other scopes do not receive it. Default: all receive it
create function change_feed.emit(resource text, data jsonb default null, scope jsonb default null) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform change_feed.check_resource(resource);
  if octet_length(data::text) > 65536 then
    raise program_limit_exceeded using message = format(
      'the data of an event has at most 65536 bytes, these are %s', octet_length(data::text));
  end if;
  insert into change_feed.change (resource, keys, details)
  values (emit.resource, emit.data::text, array_append(change_feed.details('emit'), change_feed.event_scopes(emit.resource, emit.scope)));
  perform change_feed.await_commit();
end
$$;
revoke execute on function change_feed.emit(text, jsonb, jsonb) from public;

do $$
begin
  perform change_feed.end_file('011-emit.sql');
end
$$;
