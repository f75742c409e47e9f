-- The role of the server: all that `pg-change-feed serve` needs, and no more. Run it in any database with the feed, once,
-- as a superuser or as the user who migrates. It may be run again. Then give the server a user of its own:
--
--   create user feed password '...' in role change_feed_server;
--
-- It reads the log, listens, prunes, and records events of the application. It can't write the log by itself, watch or
-- unwatch, switch off a trigger, or make anything.

do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'change_feed_server') then
    create role change_feed_server nologin;
  end if;
exception
  when duplicate_object or unique_violation then
    null; -- another database of this cluster is making it at the same moment
  when insufficient_privilege then
    raise insufficient_privilege using
      message = format('%I may not make the role change_feed_server', current_user),
      hint = 'As a superuser: create role change_feed_server. Then run this again.';
end
$$;

grant usage on schema change_feed to change_feed_server;

-- Comparing the schema with its own version
grant select on change_feed.sql_file to change_feed_server;
grant execute on function change_feed.schema_version() to change_feed_server;

-- Reading: what has changed, how far back that is known, and what is watched
grant select on
  change_feed.change, change_feed.tick, change_feed.horizon, change_feed.epoch_in_force, change_feed.watched_table
  to change_feed_server;
grant execute on function
  change_feed.ensure_epoch(), change_feed.new_epoch(text), change_feed.position(),
  change_feed.readable(text), change_feed.readable_name(text),
  change_feed.readable_origin(text[])
  to change_feed_server;

-- Leading: writers notify only while the leader is idle, and the leader tells the others what it has read
grant select on change_feed.current_leader, change_feed.message_key to change_feed_server;
grant execute on function
  change_feed.beat(boolean), change_feed.begin_idle(), change_feed.stay_idle(text[]), change_feed.end_idle(),
  change_feed.new_message_key(), change_feed.has_orders()
  to change_feed_server;

-- Noticing tables that were exchanged or rewritten
grant execute on function change_feed.note_ddl() to change_feed_server;

-- Pruning
grant execute on function change_feed.note_tick(), change_feed.prune(interval, bigint, integer) to change_feed_server;

-- Events of the application: emitTableUpdate() and withSSENotification()
grant execute on function change_feed.emit(text, jsonb, jsonb) to change_feed_server;

-- Passing a POST subscribe on to the server that has the stream
grant execute on function
  change_feed.call_server(uuid, text, jsonb), change_feed.take_calls(text), change_feed.answer_call(uuid, text),
  change_feed.take_answers(uuid[])
  to change_feed_server;

-- Ending the streams of a subject at all servers
grant execute on function change_feed.end_streams(text), change_feed.ended_streams() to change_feed_server;

-- Saying what it does, for change_feed.status
grant select on change_feed.status, change_feed.running_server to change_feed_server;
grant execute on function
  change_feed.report_server(text, text, integer, text, integer, boolean, boolean, double precision),
  change_feed.forget_server(text)
  to change_feed_server;

-- Asking all servers how far a change has come, and answering that: change_feed.reached(), pg-change-feed reached
grant select on change_feed.server_answer to change_feed_server;
grant execute on function
  change_feed.ask_servers(), change_feed.open_question(text), change_feed.pass_on_question(),
  change_feed.answer_question(text, bigint, text), change_feed.empty_answers(bigint),
  change_feed.find_change(text, text, text),
  change_feed.reach(bigint, xid8, text[], pg_snapshot, timestamptz), change_feed.reached(text, text)
  to change_feed_server;

-- Looking for faults, for pg-change-feed doctor
grant execute on function change_feed.feed_owner() to change_feed_server;
grant select on change_feed.owner_fault, change_feed.recorder_trigger to change_feed_server;
grant execute on function
  change_feed.trigger_argument(bytea, integer),
  change_feed.scope_names(jsonb), change_feed.scope_spec(jsonb), change_feed.encode_component(text)
  to change_feed_server;

-- REST of the registration system, where its tables are and belong to who runs this. Their triggers need no right of
-- whoever writes.
do $$
declare
  application_table regclass;
begin
  for application_table in
    select c.oid from pg_catalog.pg_class c
    where c.oid in (to_regclass('veranstaltung'), to_regclass('anmeldung')) and pg_catalog.pg_has_role(c.relowner, 'USAGE')
  loop
    execute format('grant select, insert, update, delete on %s to change_feed_server', application_table);
  end loop;
end
$$;
