-- The servers that run and the last changes, for psql: select * from change_feed.status.

do $$
begin
  perform change_feed.begin_file('006-status.sql', 1);
end
$$;

-- UNLOGGED: after a crash the servers report again.
create unlogged table change_feed.server_report (
  id text primary key,
  host text not null,
  pid integer not null,
  version text not null,
  streams integer not null,
  leads boolean not null,
  listens boolean not null,
  -- when it last read the log, at its position of then
  read_at timestamptz,
  started_at timestamptz not null default clock_timestamp(),
  reported_at timestamptz not null default clock_timestamp()
) with (vacuum_truncate = false);
comment on table change_feed.server_report is 'What each server says of itself every 10 s';

-- Called by each server every 10 s. read_ago: how long ago it read the log, in ms; null: it can't.
create function change_feed.report_server(
  id text, host text, pid integer, version text, streams integer, leads boolean, listens boolean, read_ago double precision
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  delete from change_feed.server_report r where r.reported_at < clock_timestamp() - interval '1 min';
  insert into change_feed.server_report as r (id, host, pid, version, streams, leads, listens, read_at)
  values (report_server.id, left(report_server.host, 200), report_server.pid, left(report_server.version, 50),
    report_server.streams, report_server.leads, report_server.listens,
    clock_timestamp() - report_server.read_ago * interval '1 ms')
  on conflict (id) do update set streams = excluded.streams, leads = excluded.leads,
    listens = excluded.listens, read_at = excluded.read_at, reported_at = clock_timestamp();
end
$$;
revoke execute on function change_feed.report_server(text, text, integer, text, integer, boolean, boolean, double precision)
  from public;

-- Called by a server that stops.
create function change_feed.forget_server(id text) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  delete from change_feed.server_report r where r.id = forget_server.id
$$;
revoke execute on function change_feed.forget_server(text) from public;

-- A server that has not reported for 30 s is gone. The last changes are looked for among the newest 10,000: by the index,
-- and in no other order, because it must not scan a log, or a transaction, of ten million.
create view change_feed.status as
  with newest as materialized (
    select distinct on (c.resource) c.resource, c.details, c.at
    from (select * from change_feed.change order by xid desc limit 10000) c
    order by c.resource, c.xid desc, c.lsn desc
  )
  select 'server' as what, r.id as name, r.reported_at as at,
    format('%s streams, %s, %s, %s, version %s, %s:%s', r.streams,
      case when r.leads then 'leads' else 'follows' end,
      case when r.listens then 'listens' else 'deaf: it reads every two seconds' end,
      case when r.read_at is null then 'can not read the log'
        else format('read the log %s ms before', round(1000 * extract(epoch from r.reported_at - r.read_at))) end,
      r.version, r.host, r.pid) as state
  from change_feed.server_report r
  where r.reported_at > clock_timestamp() - interval '30 s'
  union all
  select 'resource', change_feed.readable_name(coalesce(w.resource, n.resource)), n.at,
    concat_ws(', ',
      case when n.resource is null then 'not among the last 10,000 changes'
        else concat_ws(' ', n.details[1], 'via ' || nullif(change_feed.readable_origin(n.details)::json ->> 0, ''),
          'by ' || nullif(change_feed.readable_origin(n.details)::json ->> 1, '')) end,
      case when w.resource is null then 'no table is watched as it' end)
  from (select distinct resource from change_feed.watched_table) w full join newest n on n.resource = w.resource
  union all
  select 'log', 'change_feed.change', (select c.at from change_feed.change c order by c.xid limit 1),
    format('%s, %s',
      case when few.changes = 0 then 'no changes'
        when few.changes = 1 then 'since then, 1 change'
        when few.changes <= 10000 then format('since then, %s changes', few.changes)
        -- Before the first ANALYZE Postgres knows no number, and says -1.
        when k.reltuples > few.changes then format('since then, about %s changes', k.reltuples::int8)
        else 'since then, more than 10000 changes' end,
      pg_size_pretty(pg_total_relation_size(k.oid)))
  from pg_class k
  cross join (select count(*) as changes from (select from change_feed.change limit 10001) c) few
  where k.oid = 'change_feed.change'::regclass;
comment on view change_feed.status is 'Servers that report, the last change of each resource, and the size of the log';

do $$
begin
  perform change_feed.end_file('006-status.sql');
end
$$;
