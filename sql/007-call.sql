-- Calls from one server to another, through the one thing that they share: a request that reached the wrong server is
-- laid down here for the one that it is for, which is rung, takes it, and rings back.

do $$
begin
  perform change_feed.begin_file('007-call.sql', 1);
end
$$;

-- A table, not a payload: anyone can NOTIFY and LISTEN, and only servers may ask a server for something.
-- UNLOGGED, for a call that a crash has cut off is asked again.
create unlogged table change_feed.call (
  -- random, and known to nobody else: the answer names it
  id uuid primary key,
  server text not null,
  request jsonb not null,
  at timestamptz not null default clock_timestamp()
);
comment on table change_feed.call is 'Requests that one server passes on to another; each stands here for ms';

-- Lays a request down for a server, and rings it: with a comma, which no resource has in its name.
create function change_feed.call_server(id uuid, server text, request jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  -- what nobody came for: its server is gone, and so may be the one that asked
  delete from change_feed.call c where c.at < clock_timestamp() - interval '1 min';
  insert into change_feed.call (id, server, request) values (call_server.id, call_server.server, call_server.request);
  perform pg_notify('change_feed', 'call,' || call_server.server);
end
$$;
revoke execute on function change_feed.call_server(uuid, text, jsonb) from public;

-- What was laid down for a server; each call is taken once.
create function change_feed.take_calls(server text) returns table (id uuid, request jsonb)
language sql security definer set search_path = pg_catalog, pg_temp as $$
  delete from change_feed.call c where c.server = take_calls.server returning c.id, c.request
$$;
revoke execute on function change_feed.take_calls(text) from public;

-- Rings back. answer: a word.
create function change_feed.answer_call(id uuid, answer text) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  select pg_notify('change_feed', 'answer,' || id || ',' || answer)
$$;
revoke execute on function change_feed.answer_call(uuid, text) from public;

do $$
begin
  perform change_feed.end_file('007-call.sql');
end
$$;
