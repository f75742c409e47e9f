-- Scopes: which columns part a table's rows for subscribers and rights, and how a value is written.

do $$
begin
  perform change_feed.begin_file('010-scope.sql', 1);
end
$$;

-- A name as JavaScript's encodeURIComponent() writes it, so that it can stand in a list with & and =.
create function change_feed.encode_component(name text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select string_agg(
    case when c.letter collate "C" ~ '^[A-Za-z0-9_.!~*''()-]$' then c.letter
      else (select string_agg('%' || translate(encode(substring(c.bytes from byte for 1), 'hex'), 'abcdef', 'ABCDEF'), '' order by byte)
        from generate_series(1, octet_length(c.bytes)) as byte) end,
    '' order by c.place)
  from (
    select letter, place, convert_to(letter, 'UTF8') as bytes
    from unnest(string_to_array(name, null)) with ordinality as split (letter, place)
  ) c
$$;
revoke execute on function change_feed.encode_component(text) from public;

-- The name that encode_component() has written as this text. Raises invalid_parameter_value where a % is not followed by two
-- hexadecimal digits, or the bytes are no UTF-8.
create function change_feed.decode_component(component text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  parts constant text[] := string_to_array(component, '%');
  bytes bytea := convert_to(coalesce(parts[1], ''), 'UTF8');
  part text;
begin
  foreach part in array parts[2 : ] loop
    if part collate "C" !~ '^[0-9A-Fa-f]{2}' then
      raise invalid_parameter_value;
    end if;
    bytes := bytes || decode(left(part, 2), 'hex') || convert_to(substr(part, 3), 'UTF8');
  end loop;
  return convert_from(bytes, 'UTF8');
exception when invalid_parameter_value or character_not_in_repertoire or untranslatable_character then
  raise invalid_parameter_value using
    message = format('%L is not a column name as encodeURIComponent() writes it', component),
    hint = 'A percent sign is written as %25, an ampersand as %26.';
end
$$;
revoke execute on function change_feed.decode_component(text) from public;

-- The type by which a column's values are compared and written: bool, int2, int4, int8, uuid, text (also for varchar), enum;
-- of a domain that of its base. Null for any other, which no scope can have.
create function change_feed.scope_type(column_type regtype) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  with recursive base (type) as (
    select column_type::oid
    union
    select t.typbasetype from base join pg_type t on t.oid = base.type where t.typtype = 'd'
  )
  select case when t.typtype = 'e' then 'enum' when t.oid = 'varchar'::regtype then 'text' else t.typname end
  from base join pg_type t on t.oid = base.type
  where t.typtype = 'e' or t.oid = any ('{bool,int2,int4,int8,uuid,text,varchar}'::regtype[])
$$;
revoke execute on function change_feed.scope_type(regtype) from public;

-- The columns of a scope as text: sorted, each encoded, joined with &.
create function change_feed.scope_spec(columns jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select string_agg(change_feed.encode_component(name), '&' order by name collate "C") from jsonb_array_elements_text(columns) as name
$$;
revoke execute on function change_feed.scope_spec(jsonb) from public;

-- The scopes of watched_table as watch() takes them.
create function change_feed.scope_names(scopes jsonb) returns text[]
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select coalesce(array_agg(change_feed.scope_spec(scope -> 'columns')), '{}') from jsonb_array_elements(scopes) as scope
$$;
revoke execute on function change_feed.scope_names(jsonb) from public;

-- The scopes given to watch(), checked against the table: an array of {"columns": [...], "types": [...]}, sorted.
-- Raises where one is malformed, or names a column that no scope can have.
create function change_feed.parse_scopes(target regclass, scopes text[]) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  max_scopes constant integer := 8;
  max_columns constant integer := 4;
  spec text;
  names text[];
  types text[];
  parsed jsonb := '{}';
  unfit record;
begin
  foreach spec in array coalesce(scopes, '{}') loop
    names := array(select change_feed.decode_component(part) from unnest(string_to_array(spec, '&')) as part order by change_feed.decode_component(part) collate "C");
    if cardinality(names) not between 1 and max_columns then
      raise invalid_parameter_value using
        message = format('%L cannot be a scope', spec),
        hint = format('A scope is of 1 to %s columns, joined with an ampersand.', max_columns);
    end if;
    select n.name, a.attname is null as missing, a.attgenerated = 'v' as is_virtual, format_type(a.atttypid, a.atttypmod) as type,
        count(*) over (partition by n.name) > 1 as twice
      into unfit
      from unnest(names) as n (name)
      left join pg_attribute a on a.attrelid = target and a.attname::text = n.name and a.attnum > 0 and not a.attisdropped
      where a.attname is null or a.attgenerated = 'v' or change_feed.scope_type(a.atttypid) is null
        or (select count(*) from unnest(names) as other where other = n.name) > 1
      limit 1;
    if found then
      raise invalid_parameter_value using
        message = format('%L cannot be a scope of %s: %s', spec, target,
          case when unfit.missing then format('there is no column %I', unfit.name)
            when unfit.twice then format('%I is named twice', unfit.name)
            when unfit.is_virtual then format('%I is generated and not stored', unfit.name)
            else format('%I is of type %s', unfit.name, unfit.type) end),
        hint = 'A scope''s columns are of bool, smallint, int, bigint, uuid, text, varchar, an enum, or a domain over one of these.';
    end if;
    types := array(
      select change_feed.scope_type(a.atttypid) from unnest(names) with ordinality as n (name, place)
      join pg_attribute a on a.attrelid = target and a.attname::text = n.name and not a.attisdropped order by n.place);
    parsed := parsed || jsonb_build_object(change_feed.scope_spec(to_jsonb(names)),
      jsonb_build_object('columns', names, 'types', types));
  end loop;
  if (select count(*) from jsonb_object_keys(parsed)) > max_scopes then
    raise program_limit_exceeded using message = format('a table has at most %s scopes', max_scopes);
  end if;
  return coalesce((select jsonb_agg(s.value order by s.key collate "C") from jsonb_each(parsed) s), '[]');
end
$$;
revoke execute on function change_feed.parse_scopes(regclass, text[]) from public;

-- Raises where another table has the same resource with other scopes: a subscriber names the resource alone.
create function change_feed.check_same_scopes(target regclass, resource text, scopes jsonb) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  other record;
begin
  select w.relation, w.scopes into other from change_feed.watched_table w
    where w.resource = check_same_scopes.resource and w.relation <> target and w.scopes <> check_same_scopes.scopes limit 1;
  if found then
    raise invalid_parameter_value using
      message = format('%s is watched as %L with other scopes', other.relation, resource),
      hint = 'All tables of one resource have the same scopes: unwatch() the other first, then watch both.';
  end if;
end
$$;
revoke execute on function change_feed.check_same_scopes(regclass, text, jsonb) from public;

-- True for the one text that a value of a scope has in the log and in URLs. type: as scope_type() says it.
create function change_feed.is_canonical(type text, value text) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if octet_length(value) > 200 then
    return false;
  end if;
  case type
    when 'bool' then
      return value in ('true', 'false');
    when 'int2', 'int4', 'int8' then
      if value collate "C" !~ '^(0|(-|)[1-9][0-9]{0,18})$' then
        return false;
      end if;
      return value::numeric between
        case type when 'int2' then -32768 when 'int4' then -2147483648 else -9223372036854775808 end
        and case type when 'int2' then 32767 when 'int4' then 2147483647 else 9223372036854775807 end;
    when 'uuid' then
      return value collate "C" ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';
    else
      return true;
  end case;
end
$$;
revoke execute on function change_feed.is_canonical(text, text) from public;

do $$
begin
  perform change_feed.end_file('010-scope.sql');
end
$$;
