import { EPOCH_OR_NONE, MAX_CHANGES, NEWER } from './statements.js';

/** More values than this, of one resource in one read, are not told apart: everyone subscribed to a scope of it is told. */
const MAX_VALUES = 10_000;

/** The same for the length of scopes in the log, in bytes: what Postgres takes apart for one read stays bounded. */
const MAX_SCOPES_BYTES = 16_000_000;

/**
 * Sums up a batch as READ_SUMMED_UP does, and tells scopes apart: each value that at most 200 changes have comes with these
 * one by one, and others once, without all else. So it depends on a scope's own changes alone what its subscribers are told.
 *
 * A row with `columns` is one value of one change. A row without is how many changes a resource had; they are counted by the
 * scopes of which it is known what they changed: `known` is their list, `"*"` of all, and null of none.
 */
export const READ_SUMMED_UP_BY_SCOPE = `
  select pg_current_snapshot()::text as snapshot, e.id as epoch, case when e.id <> $3 then e.earlier end as earlier,
    (select h.snapshot::text from change_feed.horizon h) as horizon,
    c.xid::text as xid, change_feed.readable_name(c.resource) as resource, c.operation, c.keys,
    change_feed.readable(c.data) as data, null as scopes, change_feed.readable_origin(c.details) as origin,
    (1000 * extract(epoch from clock_timestamp() - c.at))::float8 as age_ms, c.made, c.known, c.columns, c.value, c.several
  from ${EPOCH_OR_NONE}
  left join lateral (
    with newer as materialized (
      select n.xid, n.lsn, n.at, n.resource, n.details[1] as operation, change_feed.readable(n.details[5])::json as scopes,
        case when n.details[1] = 'emit' then n.keys end as data, n.details
      from (${NEWER} limit $4) n
    ),
    fitting as materialized (
      select n.resource from newer n group by n.resource having sum(octet_length(n.scopes::text)) <= ${MAX_SCOPES_BYTES}
    ),
    entry as (
      select n.*, s.columns, v.value, v.keys, v.several,
        count(*) over (partition by n.resource, s.columns, v.value) > ${MAX_CHANGES} as often,
        row_number() over (partition by n.resource, s.columns, v.value order by n.lsn, n.at) as place
      from newer n
      join fitting f on f.resource = n.resource
      cross join lateral json_each(n.scopes) s (columns, values)
      cross join lateral (
        select one.value, one.keys, count(*) over () > 1 as several
        from (
          select o.key as value, o.value::text as keys
          from json_each(case json_typeof(s.values) when 'object' then s.values end) o
          union all
          select a.value, null from json_array_elements_text(case json_typeof(s.values) when 'array' then s.values end) a
        ) one
      ) v
    ),
    told as materialized (select e.* from entry e where not e.often or e.place = 1),
    too_many as materialized (select t.resource from told t group by t.resource having count(*) > ${MAX_VALUES})
    select n.resource, max(n.lsn) as lsn, min(n.at) as at, count(*)::float8 as made,
      case
        when n.resource in (select m.resource from too_many m) or n.resource not in (select f.resource from fitting f) then null
        when n.operation = 'emit' and n.scopes is not null then '"*"'
        else (select json_agg(k.name)::text from json_object_keys(n.scopes) k (name))
      end as known,
      null as columns, null as value, null as several, null as xid, null as operation, null as keys, null as data, null::text[] as details
    from newer n
    group by n.resource, known
    union all
    select t.resource, t.lsn, t.at, 0, null, t.columns, t.value, t.several,
      case when not t.often then t.xid end, case when not t.often then t.operation end,
      case when not t.often then t.keys end, case when not t.often then t.data end, case when not t.often then t.details end
    from told t
    where t.resource not in (select m.resource from too_many m)
  ) c on true
  order by c.lsn, c.at`;
