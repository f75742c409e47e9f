-- Ending the streams of a subject at every server, because its rights were withdrawn: select change_feed.end_streams('ada').

do $$
begin
  perform change_feed.begin_file('012-end-streams.sql', 1);
end
$$;

-- Stores an order for all servers and notifies them, when the transaction commits. The order stays for a minute, for a server
-- that listens again after an interruption, and the next call after that deletes it. It names no server, because one that
-- cannot report at the moment has streams, too. Returns the number of servers that report.
create function change_feed.end_streams(subject text) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if coalesce(length(end_streams.subject), 0) not between 1 and 200 then
    raise invalid_parameter_value using message = 'subject: expected text of 1 to 200 characters';
  end if;
  perform change_feed.call_server(gen_random_uuid(), '*', jsonb_build_object('subject', end_streams.subject));
  return (select count(*) from change_feed.status s where s.what = 'server');
end
$$;
comment on function change_feed.end_streams(text) is 'Ends all streams of a subject, at every server';
revoke execute on function change_feed.end_streams(text) from public;

-- Returns the orders of the last minute. Each server remembers which of them it has carried out.
create function change_feed.ended_streams() returns table (id uuid, subject text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select c.id, c.request ->> 'subject' from change_feed.call c
  where c.server = '*' and c.at > clock_timestamp() - interval '1 min'
$$;
revoke execute on function change_feed.ended_streams() from public;

do $$
begin
  perform change_feed.end_file('012-end-streams.sql');
end
$$;
