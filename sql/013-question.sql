-- Asking the servers: a session asks, and each server answers at once what it has read and sent. No server writes without a
-- question. See change_feed.reached() in 015-reached.sql.

do $$
begin
  perform change_feed.begin_file('013-question.sql', 1);
end
$$;

-- The number of the last question. A sequence, because everybody sees at once what is set in it: reached() is one statement,
-- and a row or a notification of it would be seen after its end. UNLOGGED (since Postgres 15), as leader_idle is.
do $$
begin
  execute format('create %s sequence change_feed.question',
    case when current_setting('server_version_num')::int >= 150000 then 'unlogged' end);
end
$$;

-- One row for each server. state: see src/feed/servers/server-answers.ts. Names in it are hexadecimal, so that a name which
-- the database's encoding lacks fails no answer.
create unlogged table change_feed.server_answer (
  server text primary key,
  question bigint not null,
  state jsonb not null,
  at timestamptz not null default clock_timestamp()
) with (vacuum_truncate = false, toast.vacuum_truncate = false);
comment on table change_feed.server_answer is 'What each server answered when it was last asked; emptied after 10 s';

-- A server that has not reported for 30 s is gone.
create view change_feed.running_server as
select r.id, format('%s:%s', r.host, r.pid) as place
from change_feed.server_report r where r.reported_at > clock_timestamp() - interval '30 s';
comment on view change_feed.running_server is 'The servers that answer questions';

-- Asks the servers with a notification, which is sent at commit. Returns the question's number.
create function change_feed.ask_servers() returns bigint
language sql security definer set search_path = pg_catalog, pg_temp as $$
  select pg_notify('change_feed', 'reached');
  select nextval('change_feed.question');
$$;
revoke execute on function change_feed.ask_servers() from public;

-- Returns the number of the last question if this server has not answered it. The leader asks every 400 ms: PL/pgSQL keeps the
-- plan, which an SQL function would make each time.
create function change_feed.open_question(server text) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  number bigint;
begin
  number := pg_sequence_last_value('change_feed.question'::regclass);
  if exists (select from change_feed.server_answer a where a.server = open_question.server and a.question = number) then
    return null;
  end if;
  return number;
end
$$;
revoke execute on function change_feed.open_question(text) from public;

-- Asks all other servers the question that this one has found: called by the leader.
create function change_feed.pass_on_question() returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  select pg_notify('change_feed', 'reached')
$$;
revoke execute on function change_feed.pass_on_question() from public;

-- Stores the answer of a server in the place of its last one, and then deletes those of servers that are gone.
create function change_feed.answer_question(server text, question bigint, state text) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  insert into change_feed.server_answer as a (server, question, state)
  values (answer_question.server, answer_question.question, answer_question.state::jsonb)
  on conflict on constraint server_answer_pkey do update set
    question = excluded.question, state = excluded.state, at = excluded.at;
  -- Two servers that waited for each other's rows would be a deadlock.
  delete from change_feed.server_answer a where a.server in (
    select old.server from change_feed.server_answer old
    where old.at < clock_timestamp() - interval '1 min' for update skip locked);
$$;
revoke execute on function change_feed.answer_question(text, bigint, text) from public;

-- Empties the answers to a question and to those before it, once its asker has read them.
create function change_feed.empty_answers(question bigint) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  update change_feed.server_answer a set state = '{}' where a.server in (
    select used.server from change_feed.server_answer used
    where used.question <= empty_answers.question and used.state <> '{}' for update skip locked)
$$;
revoke execute on function change_feed.empty_answers(bigint) from public;

do $$
begin
  perform change_feed.end_file('013-question.sql');
end
$$;
