-- Rows that come and go without a write: tables that are dropped and made again, exchanged by a rename, attached, detached,
-- rewritten or restored. No trigger fires then, so the servers compare the catalog with what was last seen.

do $$
begin
  perform change_feed.begin_file('009-ddl.sql', 1);
end
$$;

-- Each table whose rows are rows of a resource, as last seen: watched tables, their partitions, and what inherits from
-- them. relation is an oid and no regclass: a dump carries the number of before, and shows that the table is another.
create table change_feed.seen_relation (
  relation oid,
  resource text,
  name text not null,
  filenode oid not null,
  parents text,
  triggers text,
  primary key (relation, resource)
);
comment on table change_feed.seen_relation is 'The tables behind each resource, as the servers saw them last: see note_ddl()';

-- The same as of now, for these resources, or for all of them where it is null. It reads the catalog alone and locks no
-- table, so it waits for no DDL and delays none.
create function change_feed.relations_now(resources text[])
returns table (relation oid, resource text, name text, filenode oid, parents text, triggers text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  with recursive own (relation, resource, triggers) as (
    select r.relation::oid, r.resource, string_agg(r.trigger::text || r.tgenabled::text, ' ' order by r.trigger)
    from change_feed.recorder_trigger r
    where resources is null or r.resource = any (resources)
    group by 1, 2
  ),
  tree (relation, resource) as (
    select own.relation, own.resource from own
    union
    select i.inhrelid, tree.resource from tree
    join pg_inherits i on i.inhparent = tree.relation and not i.inhdetachpending
  )
  select tree.relation, tree.resource, format('%I.%I', n.nspname, c.relname), c.relfilenode,
    (select string_agg(i.inhparent::text, ' ' order by i.inhparent) from pg_inherits i
      where i.inhrelid = tree.relation and not i.inhdetachpending),
    own.triggers
  from tree
  join pg_class c on c.oid = tree.relation
  join pg_namespace n on n.oid = c.relnamespace
  left join own on own.relation = tree.relation and own.resource = tree.resource
$$;
revoke execute on function change_feed.relations_now(text[]) from public;
comment on function change_feed.relations_now(text[]) is 'The tables behind each resource, as they are now';

-- Records that a resource changed, without operation and keys.
create function change_feed.note_change(resource text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into change_feed.change (resource, details) values (note_change.resource, '{change}');
  perform change_feed.await_commit();
end
$$;
revoke execute on function change_feed.note_change(text) from public;

-- Takes the tables of these resources as seen.
create function change_feed.see_relations(resources text[]) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  delete from change_feed.seen_relation s where s.resource = any (resources);
  insert into change_feed.seen_relation select * from change_feed.relations_now(resources);
$$;
revoke execute on function change_feed.see_relations(text[]) from public;

-- Called by watch() when it has made or changed triggers. Records one change, because what was written before is not in the
-- log; not for a new resource without a row, which nobody can have missed.
create function change_feed.see_watched(target regclass, resources text[], named text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  known constant boolean := cardinality(resources) > 1
    or exists (select from change_feed.seen_relation s where s.resource = named)
    or exists (select from change_feed.member(target) m where m.kind = 'f' or m.kind = 'r' and pg_relation_size(m.relation) > 0);
begin
  perform change_feed.see_relations(resources);
  if known then
    perform change_feed.note_change(named);
  end if;
end
$$;
revoke execute on function change_feed.see_watched(regclass, text[], text) from public;

-- Takes the new file of a table that TRUNCATE has emptied as seen, because TRUNCATE is recorded itself. Waits for nobody.
create function change_feed.see_truncate(target oid) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  update change_feed.seen_relation s set filenode = (select c.relfilenode from pg_class c where c.oid = target)
  where s.ctid = any (array(select o.ctid from change_feed.seen_relation o where o.relation = target for update skip locked))
$$;
revoke execute on function change_feed.see_truncate(oid) from public;

-- Compares the tables behind each resource with what was last seen, and records one change for each resource of which one
-- is new, gone, renamed, rewritten, attached, detached, or has other triggers. VACUUM FULL and CLUSTER rewrite, too.
-- Called by the servers every few seconds. Returns how many resources it recorded a change for. Does nothing while
-- another session does the same, or while watch() is at work on the same tables: the next call sees it.
create function change_feed.note_ddl() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
  changed text[];
begin
  -- A rough comparison first, at a tenth of the cost: it neither looks up the triggers' functions nor reads their arguments.
  if not exists (
    select from change_feed.seen_relation s left join pg_class c on c.oid = s.relation
    where c.relfilenode is distinct from s.filenode or s.name <> format('%s.%I', c.relnamespace::regnamespace, c.relname)
      or s.parents is distinct from (select string_agg(i.inhparent::text, ' ' order by i.inhparent) from pg_inherits i
        where i.inhrelid = s.relation and not i.inhdetachpending)
  ) and not exists (
    select from change_feed.seen_relation s join pg_inherits i on i.inhparent = s.relation and not i.inhdetachpending
    where not exists (select from change_feed.seen_relation h where h.relation = i.inhrelid and h.resource = s.resource)
  ) and not exists (
    select from (
      select t.tgrelid as relation, string_agg(t.oid::text || t.tgenabled::text, ' ' order by t.oid) as triggers
      from pg_trigger t where starts_with(t.tgname, 'change_feed_') and not t.tgisinternal group by 1
    ) n
    full join (select * from change_feed.seen_relation where triggers is not null) s on s.relation = n.relation
    where n.triggers is distinct from s.triggers
  ) then
    return 0;
  end if;
  -- One session at a time, and none that writes into the table waits for it.
  lock table change_feed.seen_relation in share update exclusive mode nowait;
  changed := array(
    select distinct coalesce(n.resource, s.resource) from change_feed.relations_now(null) n
    full join change_feed.seen_relation s on s.relation = n.relation and s.resource = n.resource
    where (n.name, n.filenode, n.parents, n.triggers) is distinct from (s.name, s.filenode, s.parents, s.triggers));
  perform change_feed.see_relations(changed);
  perform change_feed.note_change(resource) from unnest(changed) as resource;
  return cardinality(changed);
exception when lock_not_available or unique_violation then
  return 0;
end
$$;
comment on function change_feed.note_ddl() is 'Records a change for each resource whose tables were exchanged, rewritten, attached or detached';
revoke execute on function change_feed.note_ddl() from public;

do $$
begin
  perform change_feed.end_file('009-ddl.sql');
end
$$;
