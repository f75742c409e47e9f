-- Positions: where a reader stands, as an epoch and a snapshot. PgQ's model: a snapshot says exactly which
-- transactions a reader has seen, which no sequence number can.

do $$
begin
  perform change_feed.begin_file('004-position.sql', 1);
end
$$;

-- After a crash Postgres reuses transaction ids whose WAL was not flushed, so an old position could look valid and lose
-- changes. An UNLOGGED table is empty after each crash recovery and promotion, and only then. A dump carries its row
-- along, so the row names its cluster and database.
create unlogged table change_feed.epoch (
  id text primary key,
  system_identifier bigint not null,
  database oid not null
);

-- No row when a crash, a promotion or a restored dump has ended the epoch and no reader has begun the next. Each read asks
-- for it, so it is a view, whose plan is kept with the read's; a function took a quarter of the read's time.
create view change_feed.epoch_in_force as
  select e.id
  from change_feed.epoch e
  where e.system_identifier = (select s.system_identifier from pg_catalog.pg_control_system() s)
    and e.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database());
comment on view change_feed.epoch_in_force is 'The epoch in which positions hold now';

-- Begins a new epoch unless one is in force, and returns the one in force.
create function change_feed.ensure_epoch() returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  lock table change_feed.epoch in share row exclusive mode; -- two servers may come back at once
  if not exists (select from change_feed.epoch_in_force) then
    delete from change_feed.epoch;
    -- Snapshots of another epoch say nothing about the ids of this one. Nor do the ids of a log that a dump has carried
    -- into a younger cluster: they would be new to every reader, for ever. No position of before holds, so none misses them.
    delete from change_feed.tick;
    delete from change_feed.horizon;
    delete from change_feed.change where xid >= pg_snapshot_xmax(pg_current_snapshot());
    insert into change_feed.epoch
    select left(replace(gen_random_uuid()::text, '-', ''), 12), s.system_identifier, d.oid
    from pg_control_system() s, pg_database d
    where d.datname = current_database();
  end if;
  return (select e.id from change_feed.epoch_in_force e);
end
$$;
revoke execute on function change_feed.ensure_epoch() from public;

-- The position of the statement that calls this: fetch rows with it or after it, then read the feed from there, with no
-- gap. Null when no epoch is in force: see ensure_epoch(). STABLE, for a VOLATILE function takes a later snapshot than
-- its statement's rows, and what lies between would be lost.
create function change_feed.position() returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  if pg_is_in_recovery() then
    raise object_not_in_prerequisite_state using
      message = 'a standby has no position in the feed',
      hint = 'Its snapshots do not list open transactions. Ask the primary.';
  end if;
  if pg_current_xact_id_if_assigned() is not null then
    raise active_sql_transaction using
      message = 'this transaction has written, and a position would leave its own changes out',
      hint = 'Ask for the position before the first write, or after the commit.';
  end if;
  return (select e.id from change_feed.epoch_in_force e) || '.' || pg_current_snapshot();
end
$$;
comment on function change_feed.position() is 'The position in the change feed of the statement that calls this';
revoke execute on function change_feed.position() from public;

do $$
begin
  perform change_feed.end_file('004-position.sql');
end
$$;
