-- Calls from one server to another, through the database that they share: a server stores a request that belongs to another
-- server here and notifies that server, which takes the request and stores its answer.

do $$
begin
  perform change_feed.begin_file('007-call.sql', 1);
end
$$;

-- Requests and answers are rows, not payloads: anybody can NOTIFY and LISTEN, and only servers may read and write here. A
-- notification carries a random id without meaning. UNLOGGED, because a call that a crash has cut off is made again.
create unlogged table change_feed.call (
  id uuid primary key,
  server text not null,
  request jsonb not null,
  taken boolean not null default false,
  answer text,
  at timestamptz not null default clock_timestamp()
) with (vacuum_truncate = false, toast.vacuum_truncate = false);
comment on table change_feed.call is 'Requests that one server passes on to another, and their answers; each stays for ms';

-- Stores a request for a server, and notifies it with its id. id: random, and known to the caller alone.
create function change_feed.call_server(id uuid, server text, request jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  -- those that nobody took, and answers that nobody waited for
  delete from change_feed.call c where c.at < clock_timestamp() - interval '1 min';
  insert into change_feed.call (id, server, request) values (call_server.id, call_server.server, call_server.request);
  perform pg_notify('change_feed', call_server.server);
end
$$;
revoke execute on function change_feed.call_server(uuid, text, jsonb) from public;

-- Returns the requests stored for a server; each is taken once.
create function change_feed.take_calls(server text) returns table (id uuid, request jsonb)
language sql security definer set search_path = pg_catalog, pg_temp as $$
  update change_feed.call c set taken = true where c.server = take_calls.server and not c.taken returning c.id, c.request
$$;
revoke execute on function change_feed.take_calls(text) from public;

-- Stores the answer of a call, a word, and notifies the caller with the call's id.
create function change_feed.answer_call(id uuid, answer text) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  update change_feed.call c set answer = answer_call.answer where c.id = answer_call.id;
  select pg_notify('change_feed', answer_call.id::text);
$$;
revoke execute on function change_feed.answer_call(uuid, text) from public;

-- Returns the answers that there are to calls, each once. The ids prove that the caller made them.
create function change_feed.take_answers(ids uuid[]) returns table (id uuid, answer text)
language sql security definer set search_path = pg_catalog, pg_temp as $$
  delete from change_feed.call c where c.id = any (ids) and c.answer is not null returning c.id, c.answer
$$;
revoke execute on function change_feed.take_answers(uuid[]) from public;

do $$
begin
  perform change_feed.end_file('007-call.sql');
end
$$;
