-- Pruning the log, exactly: only what is visible in a snapshot H that was noted long enough ago, and H is kept, so that
-- a reader knows whether everything after its position is still there. ("The highest pruned transaction" would lose
-- changes of transactions that stay open for long.)

do $$
begin
  perform change_feed.begin_file('005-prune.sql', 1);
end
$$;

create table change_feed.tick (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  snapshot pg_snapshot not null default pg_current_snapshot(),
  -- how many were in the log with the first tick, and have been recorded since
  changes bigint not null,
  -- of what: the names of those since the tick before
  resources text[] not null default '{}'
) with (vacuum_truncate = false, toast.vacuum_truncate = false);
comment on table change_feed.tick is 'Which transactions had ended at a time: noted each minute, for pruning';

create table change_feed.horizon (
  one boolean primary key default true check (one),
  tick bigint not null,
  snapshot pg_snapshot not null
) with (vacuum_truncate = false, toast.vacuum_truncate = false);
comment on table change_feed.horizon is 'What is visible in this snapshot may have been pruned';

-- Notes a tick unless there is one of the last 50 seconds, another session is just noting one, or no epoch is in force.
-- It does all other work of each minute, too.
create function change_feed.note_tick() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  -- A lock on a table needs a right on it. With an advisory lock, which anybody may take, anybody could keep others from this work.
  begin
    lock table change_feed.tick in share update exclusive mode nowait;
  exception when lock_not_available then
    return;
  end;
  if not exists (select from change_feed.tick where at > clock_timestamp() - interval '50 s' and at <= clock_timestamp())
  then
    insert into change_feed.tick (changes, resources)
    select coalesce(last.changes, 0) + coalesce(sum(n.changes), 0),
      coalesce(array_agg(distinct n.resource) filter (where n.resource is not null), '{}')
    from (select) as always_a_row
    left join (select t.changes, t.snapshot from change_feed.tick t order by t.id desc limit 1) last on true
    left join lateral (
      select c.resource, count(*) as changes from change_feed.change c
        where c.xid >= coalesce(pg_snapshot_xmax(last.snapshot), '0') group by c.resource
      union all
      select c.resource, count(*) from change_feed.change c
        where c.xid = any (array(select pg_snapshot_xip(last.snapshot))) group by c.resource
    ) n on true
    where exists (select from change_feed.epoch_in_force)
    group by last.changes;
    delete from change_feed.pending_notification; -- those that have ended
  end if;
end
$$;
revoke execute on function change_feed.note_tick() from public;

-- Deletes at most batch changes that are older than retention, or that were before the last max_rows at the last tick.
-- Returns their number: call it again, in a transaction of its own, while that is batch. It never waits for writers, and they
-- never wait for it; while another session prunes it returns 0.
create function change_feed.prune(retention interval, max_rows bigint, batch integer default 10000) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  upto change_feed.tick;
  deleted integer;
begin
  if not exists (select from change_feed.epoch_in_force) then
    return 0;
  end if;
  begin
    lock table change_feed.horizon in share update exclusive mode nowait; -- as in note_tick()
  exception when lock_not_available then
    return 0;
  end;
  select t.* into upto from change_feed.tick t
    where t.at < clock_timestamp() - retention
      or t.changes < (select last.changes from change_feed.tick last order by last.id desc limit 1) - max_rows
    order by t.id desc limit 1;
  if not found then
    return 0;
  end if;
  insert into change_feed.horizon as h (tick, snapshot) values (upto.id, upto.snapshot)
    on conflict (one) do update set tick = excluded.tick, snapshot = excluded.snapshot where h.tick < excluded.tick;
  delete from change_feed.change c where c.ctid = any (array(
    select p.ctid from change_feed.change p
    where p.xid < pg_snapshot_xmax(upto.snapshot)
      and p.xid <> all (array(select pg_snapshot_xip(upto.snapshot)))
    limit batch));
  get diagnostics deleted = row_count;
  delete from change_feed.tick t where t.id < upto.id;
  return deleted;
end
$$;
revoke execute on function change_feed.prune(interval, bigint, integer) from public;

do $$
begin
  perform change_feed.end_file('005-prune.sql');
end
$$;
