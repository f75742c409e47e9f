-- The schema change_feed: its owner, its version, which files were applied, and the repair of owners. Postgres 14 and later.
--
-- Apply the files of sql/ in the order of their names, in one transaction or statement by statement, as a superuser, a
-- role with CREATEROLE, or a member of change_feed_owner. No file changes the role or a setting of the session.

-- The role change_feed_owner owns everything in the schema and has no other rights. So a SECURITY DEFINER function of the
-- schema can do nothing but write the log. The role that applies the files becomes its member, because watch() needs that.
-- If nobody may make roles, set change_feed.without_role to on before: then everything belongs to the user who applies
-- the files, and the functions run with all rights of that user.
-- One statement makes the schema and checks the role: without the role, the statements below make nothing.
do $do$
begin
  -- It may exist and be empty: the migrating user may lack the right to make it.
  if exists (
    select from pg_catalog.pg_namespace n where n.nspname = 'change_feed'
      and (exists (select from pg_catalog.pg_class c where c.relnamespace = n.oid)
        or exists (select from pg_catalog.pg_proc p where p.pronamespace = n.oid)))
  then
    raise duplicate_schema using
      message = 'the database has a schema change_feed already',
      hint = 'To bring it to the version of this package run: pg-change-feed migrate';
  end if;
  if not exists (select from pg_catalog.pg_namespace where nspname = 'change_feed') then
    execute 'create schema change_feed';
  end if;
  if current_setting('change_feed.without_role', true) = 'on' and (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) then
    raise invalid_parameter_value using
      message = 'change_feed.without_role is not for a superuser, as whom every recorder would run',
      hint = 'Reset it: a superuser can make the role change_feed_owner.';
  end if;
  execute format($sql$
    create function change_feed.feed_owner() returns name
    language sql immutable parallel safe as %L
  $sql$, format('select %L::pg_catalog.name',
    case when current_setting('change_feed.without_role', true) = 'on' then current_user else 'change_feed_owner' end));
  execute $sql$
    create function change_feed.acts_as_owner() returns boolean
    language sql stable set search_path = pg_catalog, pg_temp as $body$
      select coalesce((
        select pg_has_role(oid, 'USAGE') and case when current_setting('server_version_num')::int >= 160000
          then pg_has_role(oid, 'SET') else true end
        from pg_roles where rolname = change_feed.feed_owner()), false)
    $body$
  $sql$;
  execute $sql$
    create function change_feed.ensure_owner() returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $body$
    begin
      if change_feed.feed_owner() <> 'change_feed_owner' then
        if not change_feed.acts_as_owner() then
          raise insufficient_privilege using
            message = format('the schema change_feed belongs to %I, and %I has not its rights', change_feed.feed_owner(), current_user),
            hint = format('Do this as %I', change_feed.feed_owner());
        end if;
        return;
      end if;
      if not exists (select from pg_roles where rolname = 'change_feed_owner') then
        begin
          create role change_feed_owner nologin;
        exception when duplicate_object or unique_violation then
          null; -- another database of this cluster is being migrated at the same moment
        end;
      end if;
      if not change_feed.acts_as_owner() then
        execute format('grant change_feed_owner to %I', current_user);
      end if;
      if not change_feed.acts_as_owner() then
        raise insufficient_privilege; -- a member without INHERIT
      end if;
    exception when insufficient_privilege then
      if change_feed.feed_owner() <> 'change_feed_owner' then
        raise;
      end if;
      raise insufficient_privilege using
        message = format('%I may not make the role change_feed_owner, or is no member of it', current_user),
        hint = format('As a superuser: create role change_feed_owner; grant change_feed_owner to %I%s', current_user,
          case when current_setting('server_version_num')::int >= 160000 then ' with inherit true, set true'
            when not (select rolinherit from pg_roles where rolname = current_user)
              then format('; alter role %I inherit', current_user) end);
    end
    $body$
  $sql$;
  perform change_feed.ensure_owner();
end
$do$;

comment on schema change_feed is 'pg-change-feed: the log of changes, and the functions that watch tables';
comment on function change_feed.feed_owner() is 'The role that owns everything in the schema: change_feed_owner, or with change_feed.without_role the user who applied the files';
comment on function change_feed.acts_as_owner() is 'Tells whether the current user has the rights of feed_owner() and may hand objects over to it';
comment on function change_feed.ensure_owner() is 'Makes the role change_feed_owner and the current user its member';
revoke execute on function change_feed.feed_owner() from public;
revoke execute on function change_feed.acts_as_owner() from public;
revoke execute on function change_feed.ensure_owner() from public;

-- The version of the schema: raised with each release that changes a file of sql/.
create function change_feed.schema_version() returns integer
language sql immutable as $$ select 1 $$;
revoke execute on function change_feed.schema_version() from public;
comment on function change_feed.schema_version() is 'The version of the schema change_feed';

create table change_feed.sql_file (
  name text primary key,
  begun_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz
);
comment on table change_feed.sql_file is 'The files of sql/ that were applied; ended_at is null for one that was applied in part';

-- Begins a file of sql/. Raises where the file has been applied already, or is of another version than the schema.
create function change_feed.begin_file(file text, version integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if version <> change_feed.schema_version() then
    raise object_not_in_prerequisite_state using
      message = format('%s is of version %s, and the schema change_feed of version %s', file, version, change_feed.schema_version()),
      hint = 'To bring the schema to the version of this package run: pg-change-feed migrate';
  end if;
  insert into change_feed.sql_file (name) values (file);
exception when unique_violation then
  raise duplicate_object using
    message = format('%s has been applied already, wholly or in part', file),
    hint = 'To look at the schema run: pg-change-feed doctor. To complete it run: pg-change-feed migrate';
end
$$;
revoke execute on function change_feed.begin_file(text, integer) from public;

-- Ends a file of sql/: gives what it made to change_feed_owner.
create function change_feed.end_file(file text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform change_feed.repair();
  update change_feed.sql_file set ended_at = clock_timestamp() where name = file and ended_at is null;
  if not found then
    raise object_not_in_prerequisite_state using
      message = format('%s has not been begun, or was applied already', file);
  end if;
end
$$;
revoke execute on function change_feed.end_file(text) from public;

-- Finds what keeps a recorder from writing the log, each with the statement that repairs it: an object of the schema that
-- belongs to another role than change_feed_owner, a right that this role has lost on an object of its own, and a trigger
-- function that runs with the rights of the writer. A restore with --no-owner, REASSIGN OWNED, ALTER and REVOKE cause them.
-- And what somebody has added to the log that could fail a writer's INSERT: see may_record().
create view change_feed.owner_fault as
with feed_owner as materialized (
  -- one row always; null where the role is missing
  select (select r.oid from pg_catalog.pg_roles r where r.rolname = change_feed.feed_owner()) as oid
),
object as (
  select 1 as place, 'schema' as kind, 'change_feed' as name, n.oid, n.nspowner as owner, true as definer
  from pg_catalog.pg_namespace n where n.nspname = 'change_feed'
  union all
  select 2, case c.relkind when 'S' then 'sequence' else 'table' end, format('change_feed.%I', c.relname), c.oid, c.relowner, true
  from pg_catalog.pg_class c
  where c.relnamespace = 'change_feed'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S')
    -- the sequence of an identity column follows its table
    and not exists (select from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and c.relkind = 'S' and d.deptype in ('a', 'i'))
  union all
  select 3, 'routine', p.oid::regprocedure::text, p.oid, p.proowner, p.prosecdef or p.prorettype <> 'pg_catalog.trigger'::regtype
  from pg_catalog.pg_proc p
  where p.pronamespace = 'change_feed'::regnamespace
    and p.prorettype <> 'pg_catalog.event_trigger'::regtype -- of a superuser: see 016-watch-all.sql
  union all
  select 4, 'type', t.oid::regtype::text, t.oid, t.typowner, true
  from pg_catalog.pg_type t left join pg_catalog.pg_class c on c.oid = t.typrelid
  where t.typnamespace = 'change_feed'::regnamespace and (t.typtype in ('e', 'd', 'r') or c.relkind = 'c')
)
select o.place, format('the %s %s belongs to %I, not to %I', o.kind, o.name, pg_catalog.pg_get_userbyid(o.owner), change_feed.feed_owner()) as fault,
  format('alter %s %s owner to %I', o.kind, o.name, change_feed.feed_owner()) as cure
from object o, feed_owner w where o.owner is distinct from w.oid
union all
select o.place, format('%I has lost a right on the %s %s', change_feed.feed_owner(), o.kind, o.name),
  format('grant all on %s %s to %I', o.kind, o.name, change_feed.feed_owner())
from object o join feed_owner w on w.oid = o.owner
where not case o.kind
  when 'schema' then has_schema_privilege(w.oid, o.oid, 'USAGE') and has_schema_privilege(w.oid, o.oid, 'CREATE')
  when 'table' then has_table_privilege(w.oid, o.oid, 'SELECT') and has_table_privilege(w.oid, o.oid, 'INSERT')
    and has_table_privilege(w.oid, o.oid, 'UPDATE') and has_table_privilege(w.oid, o.oid, 'DELETE')
  when 'sequence' then has_sequence_privilege(w.oid, o.oid, 'USAGE') and has_sequence_privilege(w.oid, o.oid, 'SELECT')
    and has_sequence_privilege(w.oid, o.oid, 'UPDATE')
  when 'routine' then has_function_privilege(w.oid, o.oid, 'EXECUTE')
  else true end
union all
select o.place, format('the %s %s runs with the rights of the writer', o.kind, o.name),
  format('alter %s %s security definer', o.kind, o.name)
from object o where not o.definer
union all
select 5, format('the log has %s, which could fail a write', a.what), format('alter table change_feed.change %s', a.cure)
from (
  select format('the constraint %I', k.conname), format('drop constraint %I', k.conname)
  from pg_catalog.pg_constraint k where k.conrelid = to_regclass('change_feed.change') and k.contype <> 'n'
  union all
  select format('NOT NULL on %I', a.attname), format('alter %I drop not null', a.attname)
  from pg_catalog.pg_attribute a
  where a.attrelid = to_regclass('change_feed.change') and a.attnum > 0 and not a.attisdropped and a.attnotnull and a.attidentity = ''
  union all
  select format('the column %I', a.attname), format('drop column %I', a.attname)
  from pg_catalog.pg_attribute a
  where a.attrelid = to_regclass('change_feed.change') and a.attnum > 0 and not a.attisdropped
    and (a.attidentity <> '' or a.atthasdef and a.attname <> all ('{xid,lsn,at}'))
) a (what, cure)
union all
select 6, format('the log has the %s, which could fail a write', a.what), 'drop ' || a.cure
from (
  select format('trigger %I', t.tgname), format('trigger %I on change_feed.change', t.tgname)
  from pg_catalog.pg_trigger t where t.tgrelid = to_regclass('change_feed.change') and t.tgname <> 'emptied' and not t.tgisinternal
  union all
  select format('rule %I', r.rulename), format('rule %I on change_feed.change', r.rulename)
  from pg_catalog.pg_rewrite r where r.ev_class = to_regclass('change_feed.change')
  union all
  select format('index %I', c.relname), format('index change_feed.%I', c.relname)
  from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
  where i.indrelid = to_regclass('change_feed.change') and (i.indisunique or i.indexprs is not null or i.indpred is not null)
    and not exists (select from pg_catalog.pg_constraint k where k.conindid = c.oid and k.conrelid = i.indrelid)
) a (what, cure);
comment on view change_feed.owner_fault is 'What keeps changes from being recorded: change_feed.repair() mends it';

-- Raises where a recorder cannot write the log: watch() refuses then, because each write of the table would fail.
create function change_feed.check_owner() returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  found_fault constant text := (select f.fault from change_feed.owner_fault f order by f.place limit 1);
begin
  if not change_feed.acts_as_owner() then
    raise insufficient_privilege using
      message = format('%I may not hand a recorder over to %I', current_user, change_feed.feed_owner()),
      hint = format('As a superuser: grant %I to %I with inherit true, set true', change_feed.feed_owner(), current_user);
  end if;
  if found_fault is not null then
    raise insufficient_privilege using
      message = format('changes cannot be recorded: %s', found_fault),
      hint = 'As its owner, or as a superuser: select change_feed.repair()';
  end if;
end
$$;
revoke execute on function change_feed.check_owner() from public;

-- Gives the schema and everything in it to change_feed_owner, with the rights that it needs, and returns how much it
-- repaired. Ends the epoch if it repaired anything. Safe to call at any time: it locks nothing that is in order. Runs with the
-- rights of the caller: a superuser, or the owner of the objects.
create function change_feed.repair() returns text
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '5s' as $$
declare
  mended integer := 0;
  found_fault record;
  guarded regclass;
begin
  perform change_feed.ensure_owner();
  for pass in 1 .. 2 loop -- a lost right is found when the owner is the right one
    for found_fault in select f.fault, f.cure from change_feed.owner_fault f order by f.place loop
      begin
        execute found_fault.cure;
      exception when insufficient_privilege then
        raise insufficient_privilege using
          message = format('%s, and %I may not change that', found_fault.fault, current_user),
          hint = 'As its owner, or as a superuser: select change_feed.repair()';
      end;
      mended := mended + 1;
    end loop;
  end loop;
  -- FORCE ROW LEVEL SECURITY without a policy would fail each write of a watched table. Without row level security a
  -- policy has no effect. It names no role, so that a dump can be restored where the role is missing.
  for guarded in
    select c.oid from pg_class c
    where c.relnamespace = 'change_feed'::regnamespace and c.relkind in ('r', 'p')
      and not exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'feed_owner')
  loop
    execute format($policy$create policy feed_owner on %s using (current_user = %L)$policy$, guarded, change_feed.feed_owner());
  end loop;
  if mended > 0 and to_regclass('change_feed.epoch') is not null then
    delete from change_feed.epoch; -- changes may not have been recorded: every client has to refetch
  end if;
  return case mended when 0 then 'nothing to repair' else format('repaired %s', mended) end;
end
$$;
comment on function change_feed.repair() is 'Hands everything in the schema change_feed over to feed_owner()';
revoke execute on function change_feed.repair() from public;

do $$
begin
  perform change_feed.begin_file('000-schema.sql', 1);
end
$$;

do $$
begin
  perform change_feed.end_file('000-schema.sql');
end
$$;
