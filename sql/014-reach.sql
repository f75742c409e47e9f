-- How far a change has come, by the answers of the servers: see 013-question.sql.

do $$
begin
  perform change_feed.begin_file('014-reach.sql', 1);
end
$$;

-- Tells whether a reader at one position has read all that a reader at another has.
create function change_feed.is_at_least(reader pg_snapshot, other pg_snapshot) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select pg_snapshot_xmax(reader) >= pg_snapshot_xmax(other)
    and not exists (select from pg_snapshot_xip(reader) x (xid) where pg_visible_in_snapshot(x.xid, other))
$$;
revoke execute on function change_feed.is_at_least(pg_snapshot, pg_snapshot) from public;

-- 1 person reads, 12 people read; null for nobody.
create function change_feed.people(number numeric, reads text, read text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when number = 1 then '1 person ' || reads when number > 1 then number || ' people ' || read end
$$;
revoke execute on function change_feed.people(numeric, text, text) from public;

-- Waits until all servers have answered a question, for at most a second, and returns how far a change has come.
--   change     its transaction; null: none is known, and only streams are counted
--   resources  the changed ones
--   seen       a position that the servers have to have reached, too
--   ends       the end of the wait, so that several calls in one statement together wait for a second
create function change_feed.reach(question bigint, change xid8, resources text[], seen pg_snapshot default null, ends timestamptz default null)
returns table (
  server text, resource text, has_read boolean, subscribed bigint, handed bigint, behind bigint, ms numeric, says text
) language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  wait_ends constant timestamptz := coalesce(ends, clock_timestamp() + interval '1 s');
begin
  while clock_timestamp() < wait_ends and exists (
    select from change_feed.running_server r
    where not exists (select from change_feed.server_answer a where a.server = r.id and a.question >= reach.question))
  loop
    perform pg_sleep(0.01);
  end loop;
  return query
  with answer as materialized (
    select coalesce(r.id, a.server) as id, r.place, a.state, case
      when a.state is null then false
      when a.state ->> 'epoch' is distinct from (select e.id from change_feed.epoch_in_force e) then false
      else (change is null or pg_visible_in_snapshot(change, (a.state ->> 'snapshot')::pg_snapshot))
        and (seen is null or change_feed.is_at_least((a.state ->> 'snapshot')::pg_snapshot, seen)) end as has_read
    from change_feed.running_server r
    full join (select * from change_feed.server_answer a where a.question >= reach.question) a on a.server = r.id
  ),
  line as materialized (
    select a.*, c.resource, (sent.streams ->> 0)::bigint as sent_to, (sent.streams ->> 1)::bigint as behind,
      (sent.streams ->> 2)::numeric as ms,
      case when a.state is not null then coalesce((a.state -> 'subscribed' ->> c.hex)::bigint, 0)
        + coalesce((a.state -> 'subscribed' ->> encode('*', 'hex'))::bigint, 0) end as subscribed_now
    from answer a
    cross join (
      select n.resource, encode(convert_to(change_feed.readable_name(n.resource), 'UTF8'), 'hex') as hex
      from unnest(case when cardinality(resources) > 0 then resources else array[null::text] end) as n (resource)
    ) c
    -- the first reading after which the server had seen the change
    left join lateral (
      select coalesce(s.reading -> 1 -> c.hex, '[0, 0, null]') as streams
      from jsonb_array_elements(a.state -> 'sent') with ordinality as s (reading, place)
      where a.has_read and not pg_visible_in_snapshot(change, (a.state ->> 'before')::pg_snapshot)
        and pg_visible_in_snapshot(change, (s.reading ->> 0)::pg_snapshot)
      order by s.place limit 1
    ) sent on true
  ),
  total as (
    select l.resource, count(l.id) as servers, bool_and(l.has_read) as has_read, sum(l.sent_to - l.behind) as handed,
      sum(l.behind) as behind, sum(coalesce(l.sent_to, l.subscribed_now)) as subscribed, max(l.ms) as ms,
      bool_or(l.has_read and l.sent_to is null) as forgotten,
      string_agg(format('the server %s (%s) does not answer', l.id, l.place), '; ') filter (where l.state is null) as silent,
      string_agg(format('the server %s has not read it yet', l.id), '; ')
        filter (where l.state is not null and not l.has_read) as reading,
      string_agg(format('the server %s is deaf', l.id), '; ') filter (where l.state ->> 'listens' = 'false') as deaf
    from (select) as always_a_row left join line l on true
    group by l.resource
  )
  (select 'all', t.resource, t.has_read, t.subscribed::bigint, t.handed::bigint, t.behind::bigint, t.ms,
    case when t.servers = 0 then 'no server runs' else concat_ws('; ',
      case
        when t.resource is null then null
        when t.handed > 0 or t.behind > 0 then concat_ws('; ', change_feed.people(t.handed, 'sees it', 'see it'),
          change_feed.people(t.behind, 'reads too slowly, and sees it later', 'read too slowly, and see it later'))
        when change is not null and t.forgotten then concat_ws(', ', 'sent longer ago than the servers remember',
          change_feed.people(t.subscribed, 'is subscribed now', 'are subscribed now'))
        when t.subscribed > 0 then change_feed.people(t.subscribed, 'is subscribed', 'are subscribed')
        when t.has_read then 'nobody is subscribed' end,
      t.silent, t.reading, t.deaf) end
  from total t order by t.resource)
  union all
  (select l.id, l.resource, l.has_read, coalesce(l.sent_to, l.subscribed_now), l.sent_to - l.behind, l.behind, l.ms,
    case when l.state is null then format('does not answer (%s)', l.place) else concat_ws(', ',
      case when l.state ->> 'leads' = 'true' then 'leads' end,
      case when l.state ->> 'listens' = 'false' then 'deaf: no notification arrives, and it reads every two seconds' end,
      case when l.state ->> 'read_ago_ms' is null then 'can not read the log'
        when not l.has_read then format('still reading: it has read the log %s ms before', l.state ->> 'read_ago_ms')
        when change is not null and l.sent_to is null then 'sent longer ago than it remembers' end) end
  from line l order by l.id, l.resource);
end
$$;
revoke execute on function change_feed.reach(bigint, xid8, text[], pg_snapshot, timestamptz) from public;

do $$
begin
  perform change_feed.end_file('014-reach.sql');
end
$$;
