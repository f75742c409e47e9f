import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
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

const look = async (session = psql) => (await session.query('select change_feed.note_ddl() as found')).rows[0].found;
/** What the next look of a server records after these statements. */
const noticed = async (statements: string) => {
  await psql.query(statements);
  return recorded('select change_feed.note_ddl()');
};
const coarse = (resource: string) => change(resource, 'change', null);

beforeEach(async () => {
  await psql.query(`drop table if exists t, t_old, t_new, m, m_1, m_2, parent, child cascade;
    create table t (id int primary key, n int); insert into t values (1, 1);
    create table m (id int, part int) partition by list (part); create table m_1 partition of m for values in (1);
    create table m_2 (id int, part int); create table parent (id int primary key); create table child () inherits (parent);
    select change_feed.watch('t'), change_feed.watch('m'), change_feed.watch('parent')`);
  await look();
});

describe('watch()', () => {
  test('that makes or changes triggers records one change without operation, and that does nothing records none', async () => {
    await psql.query('create table t_new (id int primary key); insert into t_new values (1)');
    expect(await recorded(`select change_feed.watch('t_new')`)).toEqual([coarse('t_new')]);
    expect(await recorded(`select change_feed.watch('t_new')`)).toEqual([]);
    expect(await recorded(`select change_feed.watch('t_new', keys => false)`)).toEqual([coarse('t_new')]);
    expect(await recorded(`select change_feed.watch('t_new', 'other')`)).toEqual([coarse('other')]);
    expect(await recorded(`drop table t; create table t (id int primary key); select change_feed.watch('t')`)).toEqual([
      coarse('t'),
    ]);
    expect(await look()).toBe(0);
    expect(await recorded(`select change_feed.unwatch('t')`)).toEqual([]);
    expect(await look()).toBe(0);
  });

  test('of a new table without rows records none: nobody can have missed one', async () => {
    expect(await recorded(`create table t_new (id int primary key); select change_feed.watch('t_new')`)).toEqual([]);
    expect(await look()).toBe(0);
  });
});

describe('a look records one change of the resource after', () => {
  test.each<[string, string, string[]]>([
    ['nothing', 'select 1', []],
    ['writes', 'insert into t values (2); update t set n = 2; delete from t', []],
    ['TRUNCATE, which is recorded itself', 'truncate t, m', []],
    [
      'TRUNCATE in a transaction with others',
      'begin; insert into t values (7); truncate t; insert into t values (8); commit',
      [],
    ],
    [
      'DDL that moves no row',
      'alter table t add c int, add d text default $$x$$; create index on t (n); analyze t',
      [],
    ],
    ['DROP TABLE', 'drop table t', ['t']],
    ['DROP and CREATE without watch()', 'drop table t; create table t (id int primary key)', ['t']],
    [
      'an exchange by rename',
      'create table t_new (id int primary key); alter table t rename to t_old; alter table t_new rename to t',
      ['t'],
    ],
    [
      'a move to another schema',
      'create schema if not exists elsewhere; alter table t set schema elsewhere; alter table elsewhere.t set schema public; alter table t rename to t_old',
      ['t'],
    ],
    ['ALTER TYPE with USING', 'alter table t alter n type text using $$x$$', ['t']],
    ['a column that is filled row by row', 'alter table t add at timestamptz default clock_timestamp()', ['t']],
    ['ATTACH', 'alter table m attach partition m_2 for values in (2)', ['m']],
    ['a new partition', 'create table m_3 partition of m for values in (3)', ['m']],
    ['DETACH', 'alter table m detach partition m_1', ['m']],
    ['DETACH CONCURRENTLY', 'alter table m detach partition m_1 concurrently', ['m']],
    ['DROP of a partition', 'drop table m_1', ['m']],
    ['a rewritten partition', 'alter table m alter id type text using $$x$$', ['m']],
    ['NO INHERIT', 'alter table child no inherit parent', ['parent']],
    ['a rewritten child', 'alter table parent add at timestamptz default clock_timestamp()', ['parent']],
    ['triggers that are gone', 'drop trigger change_feed_update on t', ['t']],
    ['triggers that are disabled', 'alter table t disable trigger user', ['t']],
    ['two tables', 'drop table t, parent cascade', ['parent', 't']],
  ])('%s', async (_name, ddl, resources) => {
    const changes = await noticed(ddl);
    expect(changes.sort((a, b) => (a.resource < b.resource ? -1 : 1))).toEqual(resources.map(coarse));
    expect(await look()).toBe(0);
  });

  test('triggers that were disabled, and enabled again', async () => {
    expect(await noticed('alter table t disable trigger user')).toEqual([coarse('t')]);
    expect(await noticed('alter table t enable trigger user')).toEqual([coarse('t')]);
  });
});

test('many servers that look at once record one change', async () => {
  const servers = await Promise.all(Array.from({ length: 8 }, () => database.session()));
  for (const server of servers) await look(server);
  await psql.query('drop table t');
  const changes = await recorded('select 1', await database.session());
  expect(changes).toEqual([]);
  const found = await Promise.all(servers.map(look));
  expect(found.reduce((sum, n) => sum + n, 0)).toBe(1);
});

test('a look waits for no DDL and no writer, and none waits for it', async () => {
  const [ddl, looker] = [await database.session(), await database.session()];
  await ddl.query('begin; alter table t add x int; lock table m in access exclusive mode');
  expect(await look(looker)).toBe(0);
  await looker.query('begin');
  await look(looker);
  expect(
    (
      await psql.query(`select from pg_locks where pid = $1 and relation = any ('{t,m,m_1,parent}'::regclass[])`, [
        (await looker.query('select pg_backend_pid() as pid')).rows[0].pid,
      ])
    ).rows,
  ).toEqual([]);
  await looker.query('rollback');
  await ddl.query('rollback');
  // While a look that found something has not committed
  await psql.query('alter table t alter n type text using $$y$$');
  await looker.query('begin');
  expect(await look(looker)).toBe(1);
  await psql.query(`set lock_timeout = '1s'; insert into t values (9); truncate t; reset lock_timeout`);
  expect(await look()).toBe(0);
  await looker.query('commit');
});

test('a look while watch() has not committed finds nothing of it', async () => {
  const other = await database.session();
  await other.query(`begin; drop table t; create table t (id int primary key); select change_feed.watch('t')`);
  expect(await look()).toBe(0);
  await other.query('commit');
  expect(await look()).toBe(0);
});

test('100 tables cost a fraction of a millisecond of the server when nothing changed', async () => {
  await psql.query(`do $$ begin for i in 1..100 loop execute format('create table many_%s (id int primary key)', i);
    perform change_feed.watch(format('many_%s', i)::regclass); end loop; end $$`);
  expect(await look()).toBe(0);
  const { rows } = await psql.query('explain (analyze, buffers, format json) select change_feed.note_ddl()');
  const buffers = rows[0]['QUERY PLAN'][0].Plan['Shared Hit Blocks'];
  // Not time, which a busy machine stretches: each table costs a few pages that are in memory.
  expect(buffers).toBeLessThan(3000);
});

test('pg_restore of the schema, and of one table, over a running database', async () => {
  const [, major] = /(\d+)/.exec(spawnSync('pg_dump', ['--version'], { encoding: 'utf8' }).stdout ?? '') ?? [];
  if (!(Number(major) >= database.version)) return console.warn('Skipped: no pg_dump of this version');
  const folder = await mkdtemp(join(tmpdir(), 'ddl-'));
  const dump = join(folder, 'dump');
  const run = (command: string, args: string[]) => {
    const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  };
  run('pg_dump', ['-Fc', '-n', 'public', '-f', dump, database.url]);
  await psql.query('insert into t values (2, 2)');
  run('pg_restore', ['--clean', '--if-exists', '-t', 't', '-d', database.url, dump]);
  expect((await psql.query('select count(*)::int as n from t')).rows).toEqual([{ n: 1 }]);
  expect(await recorded('select change_feed.note_ddl()')).toEqual([coarse('t')]);
  expect(await look()).toBe(0);
  await watch('t');
  run('pg_restore', ['--clean', '--if-exists', '-d', database.url, dump]);
  const found = await recorded('select change_feed.note_ddl()');
  expect(found.map(({ resource }) => resource)).toEqual(expect.arrayContaining(['t', 'm', 'parent']));
  expect(await look()).toBe(0);
  await rm(folder, { recursive: true });
});
