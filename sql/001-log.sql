-- The log: what changed, one row for each statement that changed rows, and the notification at commit.

do $$
begin
  perform change_feed.begin_file('001-log.sql', 1);
end
$$;

-- Each column costs every writer 1.1 to 1.7 % of what recording costs, also where it is null: so several texts share one. NOT
-- NULL would cost 0.7 % in all. Rows come from the functions of this schema alone, and only keys and details may be null.
create table change_feed.change (
  xid xid8 default pg_current_xact_id(),
  -- The end of the WAL: behind the row that the same transaction recorded before, so the changes of a transaction have the
  -- order in which it made them. A sequence would change what lastval() returns to the writer.
  lsn pg_lsn default pg_current_wal_insert_lsn(),
  resource text,
  keys text,
  details text[],
  at timestamptz default clock_timestamp()
) with (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200000,
  -- To give space back VACUUM takes an ACCESS EXCLUSIVE lock, and a writer with a lock_timeout may fail on it.
  vacuum_truncate = false, toast.vacuum_truncate = false
);
-- With a second column, or unique, it would cost a writer 2.5 % more. A search for duplicates in each full page would cost
-- another 0.9 %: only transactions of many changes have any.
create index change_xid on change_feed.change (xid) with (deduplicate_items = off);
-- Pruning deletes, which would fail while a publication of all tables contains this one.
alter table change_feed.change replica identity full;

comment on table change_feed.change is 'One row for each statement that changed rows of a watched table';
comment on column change_feed.change.xid is 'The transaction that made the change';
comment on column change_feed.change.lsn is 'The end of the WAL: the order of the changes of one transaction';
comment on column change_feed.change.resource is 'What changed: the name of the table, unless watch() was given another';
comment on column change_feed.change.keys is 'JSON: primary keys of the changed rows; when there are over 100, over 8 kB, or none to name, the number of rows, or null where that is not known. Of emit: what it was given. Row contents never enter the log';
comment on column change_feed.change.details is '1: the operation, insert, update, delete, truncate, emit (an application''s own event), or change: readers receive no operation. 2 to 4: the writer, application_name and the settings change_feed.actor and change_feed.client. 5: the scopes as JSON, for each the values that the changed rows have or had, with their keys, {"tenant": {"7": [1, 2]}}, or alone, {"tenant": ["7"]}; of a scope that is missing, and of all where this is null, the values are not known. 6: not null where the recorder has also written to pending_notification';

-- Text for sessions in UTF-8. In a database of another encoding, SQL_ASCII for example, a text may hold bytes that are no
-- character of UTF-8, and one such row would fail every read of the log. A database in UTF-8 has none: there these functions
-- return their argument, and the planner leaves them out.
do $do$
begin
  if getdatabaseencoding() = 'UTF8' then
    execute $sql$
      create function change_feed.readable(value text) returns text
      language sql immutable parallel safe as 'select $1'
    $sql$;
    execute $sql$
      create function change_feed.readable_name(name text) returns text
      language sql immutable parallel safe as 'select $1'
    $sql$;
    execute $sql$
      create function change_feed.readable_origin(details text[]) returns text
      language sql stable parallel safe as
        'select pg_catalog.json_build_array(pg_catalog.left($1[2], 200), pg_catalog.left($1[3], 200), pg_catalog.left($1[4], 200))::pg_catalog.text'
    $sql$;
  else
    execute $sql$
      create function change_feed.readable(value text) returns text
      language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $body$
      begin
        perform convert_to(value, 'UTF8');
        return value;
      exception when character_not_in_repertoire or untranslatable_character then
        return null;
      end
      $body$
    $sql$;
    execute $sql$
      create function change_feed.readable_name(name text) returns text
      language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $body$
        select coalesce(change_feed.readable(name), encode(convert_to(name, getdatabaseencoding()::name), 'escape'))
      $body$
    $sql$;
    execute $sql$
      create function change_feed.readable_origin(details text[]) returns text
      language sql stable parallel safe set search_path = pg_catalog, pg_temp as $body$
        select json_agg(change_feed.readable_name(left(part, 200)) order by place)::text
        from unnest(array[details[2], details[3], details[4]]) with ordinality as split (part, place)
      $body$
    $sql$;
  end if;
end
$do$;
revoke execute on function change_feed.readable(text), change_feed.readable_name(text),
  change_feed.readable_origin(text[]) from public;
comment on function change_feed.readable(text) is 'The text; null where it cannot be sent in UTF-8';
comment on function change_feed.readable_name(text) is 'The name; with its bytes in octal where it cannot be sent in UTF-8';
comment on function change_feed.readable_origin(text[]) is 'JSON: the application, the actor and the client, each cut to 200 characters; with its bytes in octal where it cannot be sent in UTF-8';

-- Notifying. A transaction that has called NOTIFY commits under one lock of the whole cluster, so that writers would queue:
-- they notify only while the leader is idle. One of the servers leads. While it is idle, idle_since has a value: when it last
-- said so, in seconds since 1970. A sequence, because everybody sees at once what is set in it, and pg_locks shows who has
-- looked at it until that transaction has ended. UNLOGGED (since Postgres 15), so that it costs no WAL and has no value
-- after a crash.
do $$
begin
  execute format('create %s sequence change_feed.leader_idle',
    case when current_setting('server_version_num')::int >= 150000 then 'unlogged' end);
end
$$;

-- The session that leads. It holds an advisory lock with a random number: with the session the lock ends. Anybody may take
-- any advisory lock, so the lock counts only where this row names its number and the session that holds it.
create unlogged table change_feed.leader (
  pid integer not null,
  lock bigint not null
) with (vacuum_truncate = false);
comment on table change_feed.leader is 'The session that leads, and the advisory lock that it holds';

create view change_feed.current_leader as
select l.pid
from change_feed.leader l
where exists (
  select from pg_catalog.pg_locks k
  where k.locktype = 'advisory' and k.pid = l.pid and k.granted and k.mode = 'ExclusiveLock' and k.objsubid = 1
    and (k.classid::int8 << 32 | k.objid::int8) = l.lock
    and k.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()));
comment on view change_feed.current_leader is 'The process id of the session that leads; no row while none does';

-- Makes the calling session the leader unless another leads. Returns whether it leads. Never waits. The session leads until
-- it ends or calls pg_advisory_unlock_all().
create function change_feed.lead() returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  number bigint;
begin
  if not exists (select from change_feed.current_leader) then
    begin
      lock table change_feed.leader in share row exclusive mode nowait;
    exception when lock_not_available then
      return false;
    end;
    if not exists (select from change_feed.current_leader) then
      -- Nobody can have taken it before.
      number := hashtextextended(gen_random_uuid()::text, 0);
      if not pg_try_advisory_lock(number) then
        return false;
      end if;
      delete from change_feed.leader;
      insert into change_feed.leader (pid, lock) values (pg_backend_pid(), number);
    end if;
  end if;
  return exists (select from change_feed.current_leader l where l.pid = pg_backend_pid());
end
$$;
revoke execute on function change_feed.lead() from public;

-- Which transactions notify when they commit; emptied each minute. Were the trigger one of the log, each transaction would
-- pay for it, also while the leader is awake: a twentieth of what it takes with all that is recorded.
create unlogged table change_feed.pending_notification (
  xid xid8 primary key default pg_current_xact_id()
) with (vacuum_truncate = false);
comment on table change_feed.pending_notification is 'Which transactions notify when they commit';

-- Tells whether a value of idle_since is of the last 30 seconds. An idle leader renews it every two seconds or so: an older
-- one is of a leader that is gone. One from the future is of before the clock was set back. Without a SET of its own it becomes
-- part of the caller's expression: with one, each commit would plan it again.
create function change_feed.is_recent(idle_since bigint) returns boolean
language sql volatile as $$
  select coalesce(pg_catalog.abs(extract(epoch from pg_catalog.clock_timestamp()) operator(pg_catalog.-) idle_since) operator(pg_catalog.<=) 30, false)
$$;
revoke execute on function change_feed.is_recent(bigint) from public;

-- Notifies at commit. It runs within the writer's COMMIT, so nothing in it may raise, wait, or change a setting.
-- A leader that has woken up meanwhile reads once more before it is idle again, and looks until then for this transaction.
-- The notification says "look now" and carries nothing: anybody may listen.
create function change_feed.notify_at_commit() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  idle_since bigint;
begin
  -- Not where it is declared: what raises there is not caught.
  idle_since := pg_sequence_last_value('change_feed.leader_idle'::regclass);
  if idle_since is null then
    return null;
  elsif not change_feed.is_recent(idle_since) then
    -- No server runs: those that write next need not come here. In a read-only transaction setval() raises.
    if current_setting('transaction_read_only') = 'off' then
      perform setval('change_feed.leader_idle', 1, false);
    end if;
  -- Where one of these is not so, COMMIT could fail; the servers' periodic read takes over:
  -- - An idle listener may have let the queue fill up.
  -- - PREPARE TRANSACTION fails after NOTIFY.
  -- - NOTIFY waits for one lock of the whole cluster after the last trigger has run, under the writer's own limits.
  elsif pg_notification_queue_usage() < 0.5
    and current_setting('max_prepared_transactions') = '0'
    and current_setting('lock_timeout') = '0'
    and coalesce(current_setting('transaction_timeout', true), '0') = '0'
  then
    perform pg_notify('change_feed', '');
  end if;
  return null;
exception when others or query_canceled or assert_failure then
  return null;
end
$$;
revoke execute on function change_feed.notify_at_commit() from public;

create constraint trigger notify_at_commit after insert on change_feed.pending_notification
  deferrable initially deferred for each row execute function change_feed.notify_at_commit();
-- Not ENABLE ALWAYS: what a subscription copies needs no notification, the periodic read takes over.

-- Lets this transaction notify when it commits, if the leader is idle. The functions that record have it in their own text: a
-- writer would pay for the call.
create function change_feed.await_commit() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if pg_sequence_last_value('change_feed.leader_idle'::regclass) is not null then
    begin
      insert into change_feed.pending_notification default values on conflict do nothing;
    exception when others then
      null; -- Within a "security-restricted operation" no trigger can wait for the commit: the periodic read takes over.
    end;
  end if;
end
$$;
revoke execute on function change_feed.await_commit() from public;

-- Which transactions have looked whether the leader is idle, and may have found that it is not. Their lock ends after their
-- commit is visible.
create view change_feed.open_writer as
select l.virtualtransaction
from pg_catalog.pg_locks l
where l.locktype = 'relation' and l.relation = 'change_feed.leader_idle'::regclass and l.pid <> pg_catalog.pg_backend_pid()
  and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database());
comment on view change_feed.open_writer is 'Open transactions that have looked whether the leader is idle';

-- Begins the leader's idle time: who writes from now on notifies. Returns the open transactions that may not; null where
-- the calling session does not lead any more.
create function change_feed.begin_idle() returns text[]
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (select from change_feed.leader where pid = pg_backend_pid()) then
    return null;
  end if;
  perform setval('change_feed.leader_idle', greatest(extract(epoch from clock_timestamp())::bigint, 1));
  return array(select a.virtualtransaction from change_feed.open_writer a);
end
$$;
revoke execute on function change_feed.begin_idle() from public;

-- Renews the leader's idle time. Returns those of the transactions that are still open; null where writers did
-- not notify all the time, or the calling session does not lead any more: then the leader has to read.
create function change_feed.stay_idle(open text[]) returns text[]
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if not change_feed.is_recent(pg_sequence_last_value('change_feed.leader_idle'::regclass))
    or not exists (select from change_feed.leader where pid = pg_backend_pid()) then
    return null;
  end if;
  perform setval('change_feed.leader_idle', greatest(extract(epoch from clock_timestamp())::bigint, 1));
  return array(select a.virtualtransaction from change_feed.open_writer a where a.virtualtransaction = any (open));
end
$$;
revoke execute on function change_feed.stay_idle(text[]) from public;

-- Ends the leader's idle time; called, too, by a session that has just become the leader.
create function change_feed.end_idle() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if exists (select from change_feed.leader where pid = pg_backend_pid()) then
    perform setval('change_feed.leader_idle', 1, false);
  end if;
end
$$;
revoke execute on function change_feed.end_idle() from public;

do $$
begin
  perform change_feed.end_file('001-log.sql');
end
$$;
