-- The key of the messages by which the leader tells the other servers what it has read. Anybody may LISTEN, so they are
-- encrypted. And the question that each server asks every two seconds.

do $$
begin
  perform change_feed.begin_file('019-message.sql', 1);
end
$$;

-- UNLOGGED: after a crash there is no leader either, and the next one makes another key.
create unlogged table change_feed.message_key (
  term text primary key default left(replace(gen_random_uuid()::text, '-', ''), 16),
  key bytea not null default sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'))
) with (vacuum_truncate = false, toast.vacuum_truncate = false);
comment on table change_feed.message_key is 'The key of the messages of the leader; only servers may read it';

-- Makes another key for the calling session, in place of the one before, and returns it; no row where the session does not
-- lead. The key is made here, so it stands in no log of statements and parameters.
create function change_feed.new_message_key() returns table (term text, key bytea, pid integer)
language sql security definer set search_path = pg_catalog, pg_temp as $$
  delete from change_feed.message_key
  where exists (select from change_feed.current_leader l where l.pid = pg_backend_pid());
  insert into change_feed.message_key
  select from change_feed.current_leader l where l.pid = pg_backend_pid()
  returning message_key.term, message_key.key, pg_backend_pid();
$$;
revoke execute on function change_feed.new_message_key() from public;

-- Makes the calling session the leader unless another leads. Where it leads, and is idle, it renews the idle time. Returns
-- 'follows', 'leads' or 'idle'. Each server calls it every 2 to 2.5 s. It never waits. Most of its cost is the list of all locks
-- of the cluster. So unless thorough it assumes that the leader is there while anybody has its lock, and that may be somebody
-- who has taken the lock since.
create function change_feed.beat(thorough boolean default true) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  named change_feed.leader;
  leads boolean := false;
begin
  if not thorough then
    select l.* into named from change_feed.leader l;
    leads := named.pid = pg_backend_pid();
    if not leads and not pg_try_advisory_lock_shared(named.lock) then
      return 'follows';
    end if;
    if not leads then
      perform pg_advisory_unlock_shared(named.lock);
    end if;
  end if;
  if leads is not true and not change_feed.lead() then
    return 'follows';
  end if;
  if not change_feed.is_recent(pg_sequence_last_value('change_feed.leader_idle'::regclass)) then
    return 'leads';
  end if;
  perform setval('change_feed.leader_idle', greatest(extract(epoch from clock_timestamp())::bigint, 1));
  return 'idle';
end
$$;
revoke execute on function change_feed.beat(boolean) from public;

-- Tells whether there is an order of the last minute to all servers: a server whose notifications are lost learns of it so.
-- PL/pgSQL keeps its plan; as an SQL function it would be planned by each beat.
create function change_feed.has_orders() returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  return exists (select from change_feed.call c where c.server = '*' and c.at > clock_timestamp() - interval '1 min');
end
$$;
revoke execute on function change_feed.has_orders() from public;

do $$
begin
  perform change_feed.end_file('019-message.sql');
end
$$;
