-- Tells whether a change has reached anyone: select * from change_feed.reached()

do $$
begin
  perform change_feed.begin_file('015-reached.sql', 1);
end
$$;

-- Finds the newest change among the last 10,000 of the log: of a resource, of an application, or in a position. Where there
-- is none, says tells why. Raises invalid_parameter_value for a text that is no position, or one of an epoch that has ended.
create function change_feed.find_change(
  at_position text, resource text, application text,
  out change xid8, out resources text[], out seen pg_snapshot, out says text
) language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  epoch constant text := split_part(at_position, '.', 1);
  newest record;
begin
  begin
    seen := substr(at_position, length(epoch) + 2)::pg_snapshot;
  exception when invalid_text_representation then
    raise invalid_parameter_value using message = format('%L is no position', at_position);
  end;
  if seen is not null and not exists (
    select from change_feed.epoch_in_force e where e.id = epoch or (e.earlier ->> epoch)::xid8 >= pg_snapshot_xmax(seen))
  then
    raise invalid_parameter_value using
      message = format('%L is of an epoch that has ended', at_position),
      hint = 'Clients that come back with it are told to refetch.';
  end if;
  select c.xid, c.details[1] as operation, c.details[2] as application, clock_timestamp() - c.at as age into newest
    from (select * from change_feed.change order by xid desc limit 10000) c
    where (find_change.resource is null or c.resource = find_change.resource)
      and (find_change.application is null or c.details[2] = find_change.application)
      and (seen is null or pg_visible_in_snapshot(c.xid, seen))
    order by c.xid desc, c.lsn desc limit 1;
  if found then
    change := newest.xid;
    resources := array(
      select distinct c.resource from change_feed.change c
      where c.xid = change and (find_change.resource is null or c.resource = find_change.resource) limit 20);
    says := format('%s%s, %s s ago',
      case when cardinality(resources) > 1 then 'several changes'
        else format('%s of %s', newest.operation, change_feed.readable_name(resources[1])) end,
      ' via ' || nullif(change_feed.readable_name(newest.application), ''), round(extract(epoch from newest.age)));
  elsif find_change.resource is not null then
    resources := array[find_change.resource];
    says := case when exists (select from change_feed.watched_table w where w.resource = find_change.resource)
      then format('no change of %s is among the last 10,000', change_feed.readable_name(find_change.resource))
      else format('%s is not watched, and no event of this name is among the last 10,000 changes',
        change_feed.readable_name(find_change.resource)) end;
  elsif seen is null then
    says := format('no change of %s is among the last 10,000: what it wrote is not watched, or not committed',
      coalesce(change_feed.readable_name(application), 'anybody'));
  end if;
end
$$;
revoke execute on function change_feed.find_change(text, text, text) from public;

-- Asks the servers who has received the newest change: of this session's application_name, of a resource, or in a position.
-- The first row is about all servers, the others each about one; subscribed are the streams to which the change was sent,
-- or the streams of now where handed is null. ms: the longest possible time from the commit until the last socket had it. It
-- waits for the answers, for at most a second, and names the servers that gave none. A browser counts as a person, because its
-- tabs share a stream.
create function change_feed.reached(at_position text default null, resource text default null)
returns table (
  server text, changed text, has_read boolean, subscribed bigint, handed bigint, behind bigint, ms numeric, says text
) language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  found_change record;
begin
  if pg_is_in_recovery() then
    raise object_not_in_prerequisite_state using
      message = 'a standby cannot ask the servers', hint = 'Ask on the primary.';
  elsif current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    raise object_not_in_prerequisite_state using
      message = format('in a transaction of isolation level %s no answer of a server can be seen', current_setting('transaction_isolation')),
      hint = 'Ask after its end, or in read committed.';
  elsif current_setting('transaction_read_only') = 'on' then
    raise object_not_in_prerequisite_state using
      message = 'a read-only transaction cannot ask the servers', hint = 'Ask after: set transaction read write.';
  end if;
  select * into found_change from change_feed.find_change(at_position, resource,
    case when at_position is null and resource is null then current_setting('application_name') end);
  if found_change.change = pg_current_xact_id_if_assigned() then
    return query select 'all'::text, c.name, false, null::bigint, null::bigint, null::bigint, null::numeric,
      found_change.says || ': not committed, and nobody sees it before COMMIT'
      from unnest(found_change.resources) as c (name);
    return;
  end if;
  return query
  select r.server, r.resource, r.has_read, r.subscribed, r.handed, r.behind, r.ms,
    case r.server when 'all' then concat_ws(': ', found_change.says, nullif(r.says, '')) else r.says end
  from change_feed.reach(nextval('change_feed.question'), found_change.change, found_change.resources, found_change.seen) r;
end
$$;
comment on function change_feed.reached(text, text) is 'Whether a change has reached anyone: asks the servers who has received it';
revoke execute on function change_feed.reached(text, text) from public;

do $$
begin
  perform change_feed.end_file('015-reached.sql');
end
$$;
