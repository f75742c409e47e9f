-- Positions: how far a reader has read, as an epoch and a snapshot. PgQ's model: a snapshot says exactly which
-- transactions a reader has seen, which no sequence number can.

do $$
begin
  perform change_feed.begin_file('004-position.sql', 1);
end
$$;

-- The time in which positions are valid, since the last start of Postgres. All that puts older data in place ends it:
-- - After a crash Postgres reuses transaction ids whose WAL was not flushed. An UNLOGGED table is empty after each crash
--   recovery and promotion, and only then.
-- - A dump carries the row along. The row names the cluster, the database, the table of the log, and the transaction that
--   made the row, which a copy cannot share.
-- - A data folder that was copied while Postgres was stopped carries it along, too. So each start of Postgres has an epoch
--   of its own, with a random id. After a clean restart positions of the epochs before stay valid, up to the end of each;
--   a folder that was put back does not know the epochs since its copy.
create unlogged table change_feed.epoch (
  id text primary key default left(replace(gen_random_uuid()::text, '-', ''), 12),
  started_at timestamptz not null default pg_postmaster_start_time(),
  system_identifier bigint not null default (pg_control_system()).system_identifier,
  database oid not null,
  log oid not null,
  made_by xid8 not null default pg_current_xact_id(),
  -- ids of epochs whose positions hold in this one, and the xmax up to which they do
  earlier jsonb not null default '{}'
) with (vacuum_truncate = false);
comment on table change_feed.epoch is 'The time in which positions hold';

-- Rows that were made here, and not restored.
create view change_feed.own_epoch as
  select e.id, e.started_at, e.system_identifier, e.earlier
  from change_feed.epoch e
  where e.made_by::xid = e.xmin and e.log = 'change_feed.change'::regclass
    and e.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database());

-- No row where something has ended the epoch, or Postgres was started anew, and no reader has begun the next one. Each read
-- needs it. It is a view, because its plan is kept with that of the read; a function took a quarter of the read's time.
create view change_feed.epoch_in_force as
  select e.id, e.earlier from change_feed.own_epoch e where e.started_at = pg_catalog.pg_postmaster_start_time();
comment on view change_feed.epoch_in_force is 'The epoch in which positions hold now, and those before whose positions hold in it';

-- Returns whether the schema is whole: pg_restore makes triggers and policies after all data, while readers may look.
create function change_feed.is_whole() returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (select from pg_trigger t where t.tgrelid = 'change_feed.pending_notification'::regclass and t.tgname = 'notify_at_commit')
    and exists (select from pg_policy p where p.polrelid = 'change_feed.change'::regclass and p.polname = 'feed_owner')
    -- With several jobs it makes them in any order. A role that may restore the schema is a member of its owner.
    and not exists (select from pg_stat_activity a
      where a.datname = current_database() and a.application_name = 'pg_restore' and pg_has_role(a.usesysid, change_feed.feed_owner(), 'MEMBER'))
$$;
revoke execute on function change_feed.is_whole() from public;

-- Begins a new epoch unless one is in force, and returns the one in force.
create function change_feed.ensure_epoch() returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  here constant oid := (select d.oid from pg_database d where d.datname = current_database());
  kept constant integer := 100;
  last record;
begin
  lock table change_feed.epoch in share row exclusive mode; -- two servers may come back at once
  if exists (select from change_feed.epoch_in_force) then
    return (select e.id from change_feed.epoch_in_force e);
  end if;
  select e.id, e.earlier into last from change_feed.own_epoch e
    where e.system_identifier = (select s.system_identifier from pg_control_system() s);
  if found then
    -- A restart. What the horizon has passed is lost anyway.
    select coalesce(jsonb_object_agg(k.key, k.value), '{}') into last.earlier
    from (
      select e.key, e.value
      from jsonb_each_text(last.earlier || jsonb_build_object(last.id, pg_snapshot_xmax(pg_current_snapshot())::text)) e
      where e.value::xid8 >= coalesce((select pg_snapshot_xmin(h.snapshot) from change_feed.horizon h), '0')
      order by e.value::xid8 desc limit kept
    ) k;
  else
    if not change_feed.is_whole() then
      raise object_not_in_prerequisite_state using
        message = 'the schema change_feed is being restored, or is not whole',
        hint = 'If no restore is under way run: pg-change-feed doctor';
    end if;
    -- Snapshots of another epoch say nothing about the ids of this one. Nor do the ids of a log that a dump has carried
    -- into a younger cluster: they would be new to every reader, for ever. No position of before holds, so none misses them.
    delete from change_feed.tick;
    delete from change_feed.horizon;
    delete from change_feed.change where xid >= pg_snapshot_xmax(pg_current_snapshot());
  end if;
  delete from change_feed.epoch;
  insert into change_feed.epoch (database, log, earlier)
  values (here, 'change_feed.change'::regclass, coalesce(last.earlier, '{}'));
  return (select e.id from change_feed.epoch_in_force e);
end
$$;
revoke execute on function change_feed.ensure_epoch() from public;

-- Ends the epoch, so that every client refetches: for what the database cannot see, such as a snapshot of a virtual machine
-- that was put back. The next read begins another.
--   instead_of  ends only this one
create function change_feed.new_epoch(instead_of text default null) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  lock table change_feed.epoch in share row exclusive mode;
  if instead_of is null or exists (select from change_feed.epoch e where e.id = instead_of) then
    delete from change_feed.epoch;
    perform pg_notify('change_feed', '');
  end if;
end
$$;
comment on function change_feed.new_epoch(text) is 'Ends the epoch, so that every client refetches';
revoke execute on function change_feed.new_epoch(text) from public;

-- A log that was emptied cannot tell what stood in it.
create function change_feed.end_epoch() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  delete from change_feed.epoch;
  return null;
end
$$;
revoke execute on function change_feed.end_epoch() from public;

create trigger emptied after truncate on change_feed.change for each statement execute function change_feed.end_epoch();
alter table change_feed.change enable always trigger emptied;

-- The position of the statement that calls this: fetch rows with it or after it, then read the feed from there, with no
-- gap. Null when no epoch is in force: see ensure_epoch(). STABLE, because a VOLATILE function takes a later snapshot than
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
