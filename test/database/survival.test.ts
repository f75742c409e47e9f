import { expect, test } from '@jest/globals';
import { change, useWatchedDatabase } from '../watched-database.js';

const database = useWatchedDatabase();

/** What is done to the table or the session, the write, and the keys that its event names; no number: null. */
const survives: [string, string, string, (number | string)[] | null][] = [
  ['a renamed key column', 'alter table t rename id to nummer', 'insert into t (nummer) values (7)', null],
  ['a dropped key column', 'alter table t drop column id', 'insert into t (wert) values (1)', null],
  ['a dropped primary key', 'alter table t drop constraint t_pkey', 'insert into t values (7)', [7]],
  ['a column dropped before the key', 'alter table t drop column wert', 'insert into t values (7)', [7]],
  ['a column added', 'alter table t add column neu text', `insert into t values (7, 1, 'x')`, [7]],
  ['a key that became a bigint', 'alter table t alter column id type bigint', 'insert into t values (7)', ['7']],
  ['a key that became a text', 'alter table t alter column id type text', `insert into t values ('a')`, ['a']],
  ['a renamed table', 'alter table t rename to t_neu', 'insert into t_neu values (7)', [7]],
  ['a table in another schema', 'create schema ort; alter table t set schema ort', 'insert into ort.t values (7)', [7]],
  ['session_replication_role = replica', 'set session_replication_role = replica', 'insert into t values (7)', [7]],
  [
    'extra checks of PL/pgSQL',
    `set plpgsql.extra_errors = 'all'; set plpgsql.variable_conflict = 'error'`,
    'insert into t values (7)',
    [7],
  ],
  [
    'a hostile search_path',
    `create schema boese; create function boese.lower(text) returns text language plpgsql as $$ begin raise 'boese'; end $$;
    create operator boese.= (leftarg = bigint, rightarg = int, function = int84eq); set search_path = boese, public, pg_catalog`,
    'insert into public.t values (7)',
    [7],
  ],
  ['no search_path', `set search_path = ''`, 'insert into public.t values (7)', [7]],
  [
    'temporary things with our names',
    `create temp table new_rows (id text); create temp table change (a int); create temp table pg_trigger (a int);
    create function pg_temp.lower(text) returns text language plpgsql as $$ begin raise 'boese'; end $$`,
    'insert into t values (7)',
    [7],
  ],
  [
    'columns with our names',
    'alter table t add changed int default 0, add named int, add key int, add r int, add tg_op text, add new_rows int',
    'insert into t values (7)',
    [7],
  ],
  [
    'a key named like a variable of ours',
    `alter table t rename id to named; select change_feed.watch('t')`,
    'insert into t values (7)',
    [7],
  ],
  ['set constraints all immediate', 'begin; set constraints all immediate', 'insert into t values (7); commit', [7]],
  [
    'row level security',
    'alter table t enable row level security; alter table t force row level security; set row_security = off',
    'insert into t values (7)',
    [7],
  ],
  ['old rules for strings', 'set standard_conforming_strings = off', 'insert into t values (7)', [7]],
  ['SERIALIZABLE', 'begin isolation level serializable', 'insert into t values (7); commit', [7]],
  ['a read-only end', 'begin', 'insert into t values (7); set transaction read only; commit', [7]],
  [
    'a savepoint that is rolled back to',
    'begin',
    'savepoint s; insert into t values (1); rollback to s; insert into t values (7); commit',
    [7],
  ],
  ['a tight lock_timeout', `set lock_timeout = '1ms'`, 'insert into t values (7)', [7]],
  [
    'parallel plans forced',
    'set parallel_setup_cost = 0; set min_parallel_table_scan_size = 0',
    'insert into t values (7)',
    [7],
  ],
  [
    'settings as long as you like',
    `select set_config('change_feed.actor', repeat('ü', 100000), false), set_config('change_feed.client', repeat('x', 100000), false)`,
    'insert into t values (7)',
    [7],
  ],
  [
    'keys of 10 kB',
    'alter table t alter column id type text',
    `insert into t values (repeat('x', 2000) || md5('a')), (repeat('y', 2000)), (repeat('z', 2000)), (repeat('w', 2000)), (repeat('v', 2000))`,
    null,
  ],
];

test.each(survives)('%s does not fail a write', async (_name, setUp, write, keys) => {
  await database.psql.query('drop table if exists t, t_neu; drop schema if exists boese, ort cascade');
  await database.psql.query(`create table t (id int primary key, wert int); select change_feed.watch('t')`);
  const session = await database.session();
  await session.query('insert into t values (0)'); // its plan stays in the session
  await session.query(setUp);
  expect(await database.recorded(write, session)).toMatchObject([{ resource: 't', operation: 'insert', keys }]);
});

test('a write that its statement_timeout cancels leaves nothing in the log, and the next one is recorded', async () => {
  await database.psql.query(`create table langsam (id int primary key); select change_feed.watch('langsam')`);
  const session = await database.session();
  await session.query(`set statement_timeout = '100ms'`);
  await expect(session.query('insert into langsam select 1 from pg_sleep(5)')).rejects.toThrow(
    'canceling statement due to statement timeout',
  );
  await session.query('reset statement_timeout');
  expect(await database.recorded('insert into langsam values (2)', session)).toEqual([
    change('langsam', 'insert', [2]),
  ]);
});

test('a read-only transaction writes nothing, and reads of a watched table stay allowed in it', async () => {
  await database.psql.query(`create table lies (id int primary key); select change_feed.watch('lies')`);
  expect(await database.recorded('begin read only; select * from lies; commit')).toEqual([]);
  await expect(database.psql.query('begin read only; insert into lies values (1)')).rejects.toThrow(
    'cannot execute INSERT in a read-only transaction',
  );
  await database.psql.query('rollback');
});

test('SERIALIZABLE writers of different tables do not fail each other', async () => {
  await database.psql.query(`create table ser1 (id int primary key); create table ser2 (id int primary key);
    select change_feed.watch('ser1'), change_feed.watch('ser2')`);
  const one = await database.session();
  const two = await database.session();
  for (let id = 0; id < 20; id++) {
    await one.query('begin isolation level serializable; select count(*) from ser1');
    await two.query('begin isolation level serializable; select count(*) from ser2');
    await one.query(`insert into ser1 values (${id})`);
    await two.query(`insert into ser2 values (${id})`);
    await one.query('commit');
    await two.query('commit');
  }
  const { rows } = await database.psql.query(
    `select count(*)::int as n from change_feed.change where resource like 'ser_'`,
  );
  expect(rows).toEqual([{ n: 40 }]);
});

test("a writer's lastval() stays its own: drivers ask it for the key that a serial column has given", async () => {
  await database.psql.query(
    `create table seriell (id bigserial primary key, n int); select change_feed.watch('seriell')`,
  );
  await database.psql.query('insert into seriell (n) values (1), (2)');
  await database.psql.query(`update seriell set n = 3; delete from seriell; select change_feed.emit('x')`);
  expect((await database.psql.query('select lastval()::int')).rows).toEqual([{ lastval: 2 }]);
});
