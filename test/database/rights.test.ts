import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type pg from 'pg';
import { runAsAdmin } from '../test-database.js';
import { change, createWatchedDatabase, type WatchedDatabase } from '../watched-database.js';

let database: WatchedDatabase;
let psql: pg.Client;
let recorded: WatchedDatabase['recorded'];
let watch: WatchedDatabase['watch'];

beforeAll(async () => {
  database = await createWatchedDatabase();
  ({ psql, recorded, watch } = database);
});

afterAll(() => database.drop());

/** A plain user, who owns a schema, and a session of theirs. */
let mallory: pg.Client;

beforeAll(async () => {
  await runAsAdmin(
    `do $$ begin create role mallory login password 'mallory'; exception when duplicate_object then null; end $$`,
  );
  await psql.query('create schema mallory authorization mallory');
  mallory = await database.session('mallory');
  await mallory.query('set search_path = mallory');
});

/** Casts to json and text that would give mallory what the role has that calls them. */
const hostileCasts = (type: string) =>
  ['json', 'jsonb', 'text', 'int']
    .map(
      (target) => `create function gib_${target}(${type}) returns ${target} language plpgsql as
      $$ begin insert into mallory.beute values (current_user); return '1'; end $$;
    create cast (${type} as ${target}) with function gib_${target}(${type}) ${target === 'text' ? 'as implicit' : ''};`,
    )
    .join('');

/** Whom the casts were called by. */
async function taken(): Promise<string[]> {
  return (await psql.query('select wer from mallory.beute')).rows.map(({ wer }) => wer);
}

test.each([
  ['an enum', "as enum ('(1)')"],
  ['a composite type', 'as (n int)'],
])('the owner of a table must not get our rights by a cast of the key, %s: it is never called', async (name, is) => {
  const type = name.replaceAll(' ', '_');
  await mallory.query(`create table if not exists beute (wer text); create type ${type} ${is}; ${hostileCasts(type)}
    create table falle_${type} (id ${type} primary key)`);
  await psql.query(
    'delete from mallory.beute; grant insert on mallory.beute to public; grant usage on schema mallory to public',
  );
  await watch(`mallory.falle_${type}`);
  expect(await recorded(`insert into mallory.falle_${type} values ('(1)')`)).toEqual([
    change(`falle_${type}`, 'insert', ['(1)']),
  ]);
  expect(await taken()).toEqual([]);
  // The casts would tell.
  await psql.query(`select id::json from mallory.falle_${type}`);
  expect(await taken()).toEqual([database.user]);
});

test.each([
  ['gets another type', 'alter table wandel alter id type hase using null'],
  ['is replaced by another', 'alter table wandel drop id, add id hase'],
  [
    'changes places with another',
    'alter table wandel add x hase; alter table wandel rename id to y; alter table wandel rename x to id',
  ],
])('nor when the key %s after the table was watched', async (_name, alter) => {
  await mallory.query(`drop type if exists hase cascade; drop table if exists wandel, beute; create table beute (wer text);
    create type hase as enum ('ich'); ${hostileCasts('hase')} create table wandel (id int primary key)`);
  await psql.query('grant insert on mallory.beute to public; grant usage on schema mallory to public');
  await watch('mallory.wandel');
  await mallory.query(`alter table wandel drop constraint wandel_pkey, alter id drop not null; ${alter}`);
  expect(await recorded(`insert into wandel (id) values ('ich')`, mallory)).toEqual([
    change('wandel', 'insert', ['ich']),
  ]);
  expect(await taken()).toEqual([]);
});

test('nobody forges events by attaching our trigger function to a table of theirs', async () => {
  await psql.query(`create table w (id int primary key); select change_feed.watch('w');
    grant usage on schema change_feed to mallory`);
  await mallory.query('create table eigene (id int)');
  await expect(
    mallory.query(`create trigger t after insert on eigene execute function change_feed.record_w_insert('w')`),
  ).rejects.toThrow(/permission denied for function .*record_w_insert/);
  await expect(
    mallory.query(
      `create trigger change_feed_insert after insert on eigene execute function change_feed.notify_at_commit()`,
    ),
  ).rejects.toThrow(/permission denied for function .*notify_at_commit/);
});

test.each([
  `select change_feed.watch('mallory.meine')`,
  `select change_feed.unwatch('mallory.meine')`,
  'select * from change_feed.change',
  `insert into change_feed.change (resource, details) values ('veranstaltung', '{delete}')`,
  `select change_feed.emit('veranstaltung')`,
  `select change_feed.prune('0', 0)`,
  'select change_feed.ensure_epoch()',
])('a plain user may not: %s', async (call) => {
  await mallory.query('create table if not exists meine (id int)');
  await expect(mallory.query(call)).rejects.toThrow('permission denied');
});

test('a writer needs no right on the log, nor on the schema it stands in', async () => {
  await psql.query(`revoke all on schema change_feed from mallory;
    create table x (id int primary key); select change_feed.watch('x'); grant insert on x to mallory`);
  expect(await recorded('insert into public.x values (1)', mallory)).toEqual([change('x', 'insert', [1])]);
});

test('the owner of a table watches it as a member of change_feed_owner, and is told so', async () => {
  await psql.query(`grant usage on schema change_feed to mallory;
    grant execute on function change_feed.check_rights(regclass), change_feed.feed_owner() to mallory; create table fremde (id int)`);
  await mallory.query('create table if not exists meine (id int)');
  await expect(mallory.query(`select change_feed.check_rights('mallory.meine')`)).rejects.toMatchObject({
    message: 'mallory may not change what is watched',
    hint: 'As a superuser: grant change_feed_owner to mallory',
  });
  await psql.query('grant change_feed_owner to mallory');
  try {
    const { rows } = await mallory.query(`select change_feed.watch('mallory.meine') as said`);
    expect(rows[0].said).toBe("watching mallory.meine as 'meine'");
    for (const call of [`select change_feed.watch('public.fremde')`, `select change_feed.unwatch('public.w')`]) {
      await expect(mallory.query(call)).rejects.toThrow('only the owner of public.');
    }
    expect((await mallory.query(`select change_feed.unwatch('meine') as said`)).rows[0].said).toBe(
      'no longer watching mallory.meine',
    );
  } finally {
    await psql.query('revoke change_feed_owner from mallory');
  }
});

test('all that stands in the schema belongs to change_feed_owner, which can not log in', async () => {
  const { rows } = await psql.query(`
    select relname as name, relowner::regrole::text as owner from pg_class where relnamespace = 'change_feed'::regnamespace
    union select proname, proowner::regrole::text from pg_proc where pronamespace = 'change_feed'::regnamespace`);
  expect(rows.length).toBeGreaterThan(20);
  expect(rows.filter(({ owner }) => owner !== 'change_feed_owner')).toEqual([]);
  expect(
    (await psql.query(`select rolcanlogin, rolsuper from pg_roles where rolname = 'change_feed_owner'`)).rows,
  ).toEqual([{ rolcanlogin: false, rolsuper: false }]);
  const open =
    await psql.query(`select proname from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    where pronamespace = 'change_feed'::regnamespace and a.grantee = 0`);
  expect(open.rows).toEqual([]);
});

test("nothing that the writer's search_path offers runs with our rights", async () => {
  await psql.query(
    'create table eins (id int primary key, wert int); create table paar (a text, b int, primary key (a, b))',
  );
  await watch('eins');
  await watch('paar');
  // In front of pg_catalog, for each of its functions that ours call, and each comparison: one that raises.
  await psql.query(`
    create schema boese; grant usage on schema boese to public;
    do $$
    declare
      made record;
    begin
      for made in
        select p.oid, p.proname, pg_get_function_identity_arguments(p.oid) as arguments, p.prorettype::regtype as result
        from pg_proc p
        where p.pronamespace = 'pg_catalog'::regnamespace and p.prorettype not in ('internal'::regtype, '"any"'::regtype)
          and (p.oid in (select oprcode from pg_operator where oprname in ('=', '<>', '<', '>', '<=', '>=', '||'))
            or p.proname in (select (regexp_matches(prosrc, '(\\w+)\\(', 'g'))[1] from pg_proc
              where pronamespace = 'change_feed'::regnamespace and (prosecdef or prorettype = 'trigger'::regtype)))
      loop
        begin
          execute format('create function boese.%I(%s) returns %s language plpgsql as %L',
            made.proname, replace(made.arguments, 'VARIADIC', ''), made.result, 'begin raise exception ''boese''; end');
          execute (select coalesce(string_agg(format('create operator boese.%s (leftarg = %s, rightarg = %s, function = boese.%I)',
              oprname, oprleft::regtype, oprright::regtype, made.proname), ';'), 'select')
            from pg_operator where oprcode = made.oid);
        exception when others then
          null; -- of types that no function in PL/pgSQL can take
        end;
      end loop;
    end
    $$`);
  const { rows } = await psql.query(
    `select count(*)::int as operators, (select count(*)::int from pg_proc where pronamespace = 'boese'::regnamespace
      and proname in ('count', 'format', 'string_agg', 'to_json', 'to_jsonb', 'current_setting', 'pg_typeof')) as functions
      from pg_operator where oprnamespace = 'boese'::regnamespace`,
  );
  expect(rows[0].operators).toBeGreaterThan(200);
  expect(rows[0].functions).toBeGreaterThanOrEqual(7);
  const session = await database.session();
  await session.query(`set search_path = boese, pg_catalog, public; set change_feed.actor = 'grace'`);
  await expect(session.query(`select current_setting('application_name')`)).rejects.toThrow('boese');
  const writes = `insert into eins values (1, 1); update eins set wert = 2; insert into eins values (2, 2), (3, 3);
    update eins set wert = 4; delete from eins; insert into paar values ('a', 1); update paar set b = 2; delete from paar; truncate eins`;
  for (const write of writes.split(';')) await session.query(write);
  expect(
    (
      await psql.query(
        `select details[1] as operation, keys::json from change_feed.change where details[3] = 'grace' order by lsn`,
      )
    ).rows,
  ).toEqual([
    { operation: 'insert', keys: [1] },
    { operation: 'update', keys: [1] },
    { operation: 'insert', keys: [2, 3] },
    { operation: 'update', keys: [1, 2, 3] },
    { operation: 'delete', keys: [1, 2, 3] },
    { operation: 'insert', keys: [['a', 1]] },
    {
      operation: 'update',
      keys: expect.arrayContaining([
        ['a', 1],
        ['a', 2],
      ]),
    },
    { operation: 'delete', keys: [['a', 2]] },
    { operation: 'truncate', keys: null },
  ]);
  await psql.query('drop schema boese cascade');
});
