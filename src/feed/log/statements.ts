// Statements over the log and over what is noted of it.

/**
 * A batch of more changes than this is summed up in SQL, not shipped row by row: a client is told of no more than 100 by
 * name, and under writers at full speed each row that is shipped takes 15 µs of CPU from them, in Postgres and here.
 */
export const MAX_CHANGES = 200;
/** The same where the read before found more than this, too: one writer at full speed makes 100 to 200 between two reads. */
export const MAX_CHANGES_AGAIN = 100;

/** The epoch in force, e; null where none is. */
export const EPOCH_OR_NONE = '(select) as always_a_row left join change_feed.epoch_in_force e on true';
/**
 * What has committed since the snapshot $1. Of a transaction that is still open nothing can be seen, and it may have
 * written hundreds of thousands of rows: so the transaction ids from $1's xmax on are read as the ranges between those
 * that are open, and of those which were open then, only those that have ended. Each is an index scan of what is new;
 * `in (select …)` would scan the whole log. The new snapshot, the epoch and the horizon come from the same statement, and
 * so from the same moment, as the rows. $3: the id of the epoch that the reader knows.
 */
export const NEWER = `
    select c.*, c.cmin as command from (
      select b.above, coalesce(lead(b.above) over (order by b.above), pg_snapshot_xmax(pg_current_snapshot())) as below
      from (
        select (pg_snapshot_xmax($1::pg_snapshot)::text::int8 - 1)::text::xid8 as above
        union all
        select open from pg_snapshot_xip(pg_current_snapshot()) open where open >= pg_snapshot_xmax($1::pg_snapshot)
      ) b
    ) between_open
    join change_feed.change c on c.xid > between_open.above and c.xid < between_open.below
    where $2::text[] is null or change_feed.readable_name(c.resource) = any ($2)
    union all
    select c.*, c.cmin as command from change_feed.change c
    where c.xid = any (array(
        select pg_snapshot_xip($1::pg_snapshot) except select pg_snapshot_xip(pg_current_snapshot())))
      and ($2::text[] is null or change_feed.readable_name(c.resource) = any ($2))`;
const readWith = (more: string) => `
  select ${more} pg_current_snapshot()::text as snapshot, e.id as epoch, case when e.id <> $3 then e.earlier end as earlier,
    (select h.snapshot::text from change_feed.horizon h) as horizon,
    c.xid::text as xid, change_feed.readable_name(c.resource) as resource, c.details[1] as operation,
    case when c.details[1] <> 'emit' then change_feed.readable(c.keys) end as keys,
    case when c.details[1] = 'emit' then change_feed.readable(c.keys) end as data,
    change_feed.readable(c.details[5]) as scopes, change_feed.readable_origin(c.details) as origin,
    c.details[6] is not null as rang, c.command::text::float8 as command,
    (1000 * extract(epoch from clock_timestamp() - c.at))::float8 as age_ms, 1 as made
  from ${EPOCH_OR_NONE}
  left join lateral (
    -- not in their order: to sort a day's changes for the first thousand would take as long as to read them
    ${NEWER} limit ${MAX_CHANGES + 1}
  ) c on true
  order by c.lsn, c.at`;
export const READ = readWith('');
/**
 * The same, asks for the lead, thoroughly where $4, and for orders to all servers, of which the notification may be lost: all
 * that a server asks while nothing happens.
 */
export const READ_AND_BEAT = readWith(
  '(select change_feed.beat($4)) as beat, (select change_feed.has_orders()) as orders,',
);
export const READ_SUMMED_UP = `
  select pg_current_snapshot()::text as snapshot, e.id as epoch, case when e.id <> $3 then e.earlier end as earlier,
    (select h.snapshot::text from change_feed.horizon h) as horizon,
    null as xid, change_feed.readable_name(c.resource) as resource, null as operation, null as keys, null as data,
    null as scopes, null as origin,
    (1000 * extract(epoch from clock_timestamp() - c.at))::float8 as age_ms, c.made
  from ${EPOCH_OR_NONE}
  left join lateral (
    select n.resource, max(n.lsn) as lsn, min(n.at) as at, count(*)::float8 as made
    from (${NEWER} limit $4) n
    group by n.resource
  ) c on true
  order by c.lsn`;
export const NOW = `
  select e.id as epoch, e.earlier, pg_current_snapshot()::text as snapshot from ${EPOCH_OR_NONE}`;
export const POSITION_BEFORE = `
  (select e.id as epoch, e.earlier, t.snapshot::text as snapshot, null::timestamptz as "firstAt"
    from change_feed.tick t, change_feed.epoch_in_force e
    where t.at <= clock_timestamp() - $1 * interval '1 s' order by t.id desc limit 1)
  union all
  (select e.id, e.earlier, format('%1$s:%1$s:', c.xid), c.at
    from change_feed.change c, change_feed.epoch_in_force e
    where c.at > clock_timestamp() - $1 * interval '1 s' order by c.xid limit 1)
  limit 1`;
/** The watched tables. A scope stays in a trigger's arguments when one of its columns is dropped or renamed. */
export const WATCHED_TABLES = `
  select change_feed.readable_name(w.relation::text) as relation, change_feed.readable_name(w.resource) as resource, w.keys,
    coalesce((
      select jsonb_agg(s.scope order by s.place) from jsonb_array_elements(w.scopes) with ordinality s (scope, place)
      where not exists (
        select from jsonb_array_elements_text(s.scope -> 'columns') c (name)
        where not exists (select from pg_attribute a where a.attrelid = w.relation and a.attname = c.name and a.attnum > 0)
      )), '[]') as scopes
  from change_feed.watched_table w`;
/** The names of all changes in the log: noted each minute, and of those since. */
export const LOGGED_RESOURCES = `
  with last as (select t.snapshot from change_feed.tick t order by t.id desc limit 1)
  select change_feed.readable_name(l.resource) as resource
  from (
    select unnest(t.resources) as resource from change_feed.tick t
    union
    select c.resource from change_feed.change c
      where c.xid >= coalesce((select pg_snapshot_xmax(snapshot) from last), '0')
    union
    select c.resource from change_feed.change c
      where c.xid = any (array(select pg_snapshot_xip(snapshot) from last))
  ) l`;
