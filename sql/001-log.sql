-- The log: what changed, one row for each statement that changed rows, and the bell that says so at commit.

do $$
begin
  perform change_feed.begin_file('001-log.sql', 1);
end
$$;

create table change_feed.change (
  xid xid8 not null default pg_current_xact_id(),
  -- Where the WAL stands: behind the row that the same transaction recorded before, so its changes stand in the order in
  -- which they were made. A sequence would change what lastval() tells the writer.
  lsn pg_lsn not null default pg_current_wal_insert_lsn(),
  resource text not null,
  operation text not null,
  keys text,
  row_count bigint,
  data jsonb,
  db_user text not null default session_user,
  application text,
  actor text,
  client text,
  at timestamptz not null default clock_timestamp(),
  -- With wal_level = minimal the transaction that makes this table writes no WAL between two changes; at sets them apart.
  primary key (xid, lsn, at)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200000);

comment on table change_feed.change is 'One row for each statement that changed rows of a watched table';
comment on column change_feed.change.xid is 'The transaction that made the change';
comment on column change_feed.change.lsn is 'Where the WAL stood: the order of the changes of one transaction';
comment on column change_feed.change.resource is 'What changed: the table''s name unless watch() was told another';
comment on column change_feed.change.operation is 'insert, update, delete, truncate, or emit (an application''s own event)';
comment on column change_feed.change.keys is 'JSON: primary keys of the changed rows; null when there are over 100, over 8 kB, or none to name';
comment on column change_feed.change.row_count is 'How many rows the statement changed; null where that is not known';
comment on column change_feed.change.data is 'Only for emit: row contents never enter the log';
comment on column change_feed.change.actor is 'The setting change_feed.actor of the writing transaction; null or empty when it has none';
comment on column change_feed.change.client is 'The setting change_feed.client of the writing transaction; null or empty when it has none';

-- The bell. A transaction that has called NOTIFY commits under one global lock, so that writers queue up: they ring only
-- for a sleeper. Of the servers one leads, and asleep has a value while it sleeps. A sequence, for what is set in it is seen
-- at once and by all, and who has asked it stands in pg_locks until its transaction has ended. UNLOGGED (since Postgres
-- 15), so that it costs no WAL, and nobody sleeps after a crash.
do $$
begin
  execute format('create %s sequence change_feed.asleep',
    case when current_setting('server_version_num')::int >= 150000 then 'unlogged' end);
end
$$;

-- Which transactions ring when they commit, each once for a resource; emptied each minute. Were the trigger one of the log,
-- each transaction would pay for it, also while nobody sleeps: a twentieth of what it takes with all that is recorded.
create unlogged table change_feed.wake_up (
  xid xid8 default pg_current_xact_id(),
  resource text,
  primary key (xid, resource)
);
comment on table change_feed.wake_up is 'Which transactions ring when they commit';

-- Rings at commit. The lead holds this advisory lock whenever asleep has a value; the same numbers stand in
-- src/feed/lead.ts. Who gets the lock, shared, until its commit is visible need not ring: the lead has woken up meanwhile,
-- and reads once more before it sleeps. Or it is gone, and none may sleep before this transaction has ended.
-- A notification says "look now", never what changed: so no length of anything can fail the commit.
create function change_feed.ring() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if pg_try_advisory_xact_lock_shared(1346847558, 1) then
    perform setval('change_feed.asleep', 1, false);
    return null;
  end if;
  -- A queue that some idle listener has let fill up fails the COMMIT; the servers' periodic read takes over.
  -- PREPARE TRANSACTION fails after NOTIFY; where it can happen nobody rings, and the servers read at short intervals.
  if pg_notification_queue_usage() < 0.5 and current_setting('max_prepared_transactions') = '0' then
    -- NOTIFY waits for one global lock at commit, and the writer's own lock_timeout would fail it there.
    perform set_config('lock_timeout', '0', true);
    perform pg_notify('change_feed', new.resource);
  end if;
  return null;
end
$$;
revoke execute on function change_feed.ring() from public;

create constraint trigger ring after insert on change_feed.wake_up
  deferrable initially deferred for each row execute function change_feed.ring();
-- Not ENABLE ALWAYS: what a subscription copies needs no ring, the periodic read takes over.

-- Who has asked whether the lead sleeps, and may have been told that it does not. Its lock ends after its commit is visible.
create view change_feed.asked as
select l.virtualtransaction
from pg_catalog.pg_locks l
where l.locktype = 'relation' and l.relation = 'change_feed.asleep'::regclass and l.pid <> pg_catalog.pg_backend_pid()
  and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database());
comment on view change_feed.asked is 'Open transactions that have asked whether the lead sleeps';

-- Called by the lead, which holds the lock: from now on who writes rings. Returns the open transactions that may not.
create function change_feed.begin_sleep() returns text[]
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform setval('change_feed.asleep', 1);
  return array(select a.virtualtransaction from change_feed.asked a);
end
$$;
revoke execute on function change_feed.begin_sleep() from public;

-- Called by the lead when it wakes up, and when it becomes the lead.
create function change_feed.end_sleep() returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  select setval('change_feed.asleep', 1, false)
$$;
revoke execute on function change_feed.end_sleep() from public;

-- Raises invalid_parameter_value unless the text can name a resource. Names appear in URLs, in lists with commas and in
-- SSE fields: 1 to 200 bytes, no comma, question mark, asterisk or control character.
create function change_feed.check_resource(resource text) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  -- Written with chr(): runners of SQL take a question mark, or a colon before a name, for a parameter.
  unfit constant text := format('[,*%s%s-%s%s%s]', chr(63), chr(1), chr(31), chr(127),
    case when getdatabaseencoding() = 'UTF8' then chr(128) || '-' || chr(159) end);
begin
  if resource is null or octet_length(resource) not between 1 and 200 or resource ~ unfit then
    raise invalid_parameter_value using
      message = format('%L cannot name a resource', resource),
      hint = format('A resource has 1 to 200 bytes, and none of , %s * or control characters.', chr(63));
  end if;
end
$$;
revoke execute on function change_feed.check_resource(text) from public;

-- Who writes, from the session: the application's name and the two settings that an application may set.
-- Cut to 200 characters, for a setting of any length must not cost the log's readers.
create function change_feed.setting(name text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select nullif(left(current_setting(name, true), 200), '')
$$;
revoke execute on function change_feed.setting(text) from public;

-- Records an application's own event. It commits with its transaction. data: at most 64 kB as text.
create function change_feed.emit(resource text, data jsonb default null) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform change_feed.check_resource(resource);
  if octet_length(data::text) > 65536 then
    raise program_limit_exceeded using message = format(
      'the data of an event has at most 65536 bytes, these are %s', octet_length(data::text));
  end if;
  insert into change_feed.change (resource, operation, data, application, actor, client)
  values (emit.resource, 'emit', emit.data, change_feed.setting('application_name'),
    change_feed.setting('change_feed.actor'), change_feed.setting('change_feed.client'));
  if pg_sequence_last_value('change_feed.asleep'::regclass) is not null then
    begin
      insert into change_feed.wake_up (resource) values (emit.resource) on conflict do nothing;
    exception when others then
      null; -- as in the functions that record: see 002-recorder.sql
    end;
  end if;
end
$$;
revoke execute on function change_feed.emit(text, jsonb) from public;

do $$
begin
  perform change_feed.end_file('001-log.sql');
end
$$;
