-- The role of the server: all that `pg-change-feed serve` needs, and no more. Run it once as who migrates, and again after
-- each migration; it says nothing where nothing is new. Then give the server a user of its own:
--
--   create user feed password '…' in role change_feed_server;
--
-- It reads the log, listens, prunes, records events of the application, and reads and writes the application's tables.
-- It can't write the log by itself, watch or unwatch, switch off a trigger, or make anything.

do $$
begin
  create role change_feed_server nologin;
exception when duplicate_object or unique_violation then
  null; -- it is there, or another database of this cluster is making it at the same moment
end
$$;

grant usage on schema change_feed to change_feed_server;

-- Reading: what has changed, how far back that is known, and what is watched
grant select on
  change_feed.change, change_feed.tick, change_feed.horizon, change_feed.epoch_in_force, change_feed.watched_table,
  change_feed.asked
  to change_feed_server;
grant execute on function change_feed.ensure_epoch(), change_feed.position() to change_feed_server;

-- Leading: writers ring only while it sleeps
grant execute on function change_feed.begin_sleep(), change_feed.end_sleep() to change_feed_server;

-- Pruning
grant execute on function change_feed.note_tick(), change_feed.prune(interval, bigint, integer) to change_feed_server;

-- Events of the application: emitTableUpdate() and withSSENotification()
grant execute on function change_feed.emit(text, jsonb) to change_feed_server;

-- Passing a POST subscribe on to the server that has the stream
grant execute on function
  change_feed.call_server(uuid, text, jsonb), change_feed.take_calls(text), change_feed.answer_call(uuid, text)
  to change_feed_server;

-- Saying what it does, for change_feed.status
grant select on change_feed.status to change_feed_server;
grant execute on function
  change_feed.report_server(text, text, integer, text, integer, boolean, boolean, double precision),
  change_feed.forget_server(text)
  to change_feed_server;

-- REST: the application's tables; their triggers need no right of whoever writes
grant select, insert, update, delete on veranstaltung, anmeldung to change_feed_server;
