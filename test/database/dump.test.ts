import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { createRawDatabase, databaseUrl, runAsAdmin } from '../test-database.js';
import { change, createWatchedDatabase, type WatchedDatabase } from '../watched-database.js';

let database: WatchedDatabase;
let restored: pg.Client;
let usable: boolean;
let folder: string;
let dump: string;
const name = `kopie_${process.pid}`;

beforeAll(async () => {
  database = await createWatchedDatabase();
  const [, major] = /(\d+)/.exec(spawnSync('pg_dump', ['--version'], { encoding: 'utf8' }).stdout ?? '') ?? [];
  usable = Number(major) >= database.version;
  // CI installs the one of its server, and must not pass without.
  if (!usable && process.env.CI && database.version <= 15)
    throw new Error('pg_dump is missing: apt-get install postgresql-client');
  if (!usable) return console.warn(`Skipped: pg_dump ${major ?? ''} can not dump PostgreSQL ${database.version}`);
  folder = await mkdtemp(join(tmpdir(), 'dump-'));
  dump = join(folder, 'all.dump');
  await createRawDatabase(name);
  await database.psql.query(`create table t (id int primary key); select change_feed.watch('t'); insert into t values (1), (2);
    create table m (id int, j int) partition by list (j); create table m1 partition of m for values in (1);
    select change_feed.watch('m'); insert into m values (1, 1)`);
  run('pg_dump', ['-Fc', '-f', dump, database.url]);
});

afterAll(async () => {
  if (usable) {
    await restored?.end();
    await runAsAdmin(`drop database ${name} with (force)`);
    await rm(folder, { recursive: true });
  }
  await database.drop();
});

function run(command: string, args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

/** How our triggers of a table stand: `A` is ENABLE ALWAYS, `O` is plain. */
async function states(table: string): Promise<string> {
  const { rows } = await restored.query(
    `select string_agg(distinct tgenabled::text, '') as states from pg_trigger where tgrelid = $1::text::regclass and tgname like 'change%'`,
    [table],
  );
  return rows[0].states;
}

test('a restore into a fresh database makes no events of its rows, and watches what was watched', async () => {
  if (!usable) return;
  run('pg_restore', ['-d', databaseUrl(name), dump]);
  restored = new pg.Client({ connectionString: databaseUrl(name) });
  await restored.connect();
  const log = 'select resource, details[1] as operation, keys::json from change_feed.change order by xid, lsn';
  expect((await restored.query(log)).rows).toHaveLength(2); // those of the dump
  await restored.query('insert into t values (3); insert into m1 values (3, 1)');
  expect((await restored.query(log)).rows.slice(2)).toEqual([
    { resource: 't', operation: 'insert', keys: [3] },
    { resource: 'm', operation: 'insert', keys: 1 },
  ]);
  expect((await restored.query(`select change_feed.watch('t') as said`)).rows[0].said).toBe(
    "already watching public.t as 't'",
  );
});

test('a restore of data alone is told like any other write', async () => {
  if (!usable) return;
  await restored.query('truncate t, m');
  const { rows } = await restored.query('select pg_current_snapshot() as before');
  run('pg_restore', ['--data-only', '-t', 't', '-d', databaseUrl(name), dump]);
  const told = await restored.query(
    'select details[1] as operation, keys::json from change_feed.change where not pg_visible_in_snapshot(xid, $1)',
    [rows[0].before],
  );
  expect(told.rows).toEqual([{ operation: 'insert', keys: [1, 2] }]);
});

test('--disable-triggers tells nothing, and leaves the triggers weaker than they were: watch() mends that', async () => {
  if (!usable) return;
  await restored.query('truncate t, m');
  const { rows } = await restored.query('select pg_current_snapshot() as before');
  run('pg_restore', ['--data-only', '--disable-triggers', '-t', 't', '-d', databaseUrl(name), dump]);
  expect(
    (await restored.query('select from change_feed.change where not pg_visible_in_snapshot(xid, $1)', [rows[0].before]))
      .rows,
  ).toEqual([]);
  expect(await states('t')).toBe('O');
  await restored.query(`select change_feed.watch('t')`);
  expect(await states('t')).toBe('A');
});

test('a restore without owners is refused by watch() until repair() has handed everything over', async () => {
  if (!usable) return;
  const other = `${name}_owned`;
  await createRawDatabase(other);
  run('pg_restore', ['--no-owner', '-d', databaseUrl(other), dump]);
  const client = new pg.Client({ connectionString: databaseUrl(other) });
  await client.connect();
  await client.query('insert into t values (4)');
  await expect(client.query(`select change_feed.watch('t')`)).rejects.toMatchObject({
    message: expect.stringMatching(/^changes cannot be recorded: the schema change_feed belongs to /),
    hint: 'As its owner, or as a superuser: select change_feed.repair()',
  });
  await client.query('select change_feed.repair()');
  await client.query(`select change_feed.watch('t'); insert into t values (5)`);
  expect((await client.query('select keys from change_feed.change order by xid desc, lsn desc limit 1')).rows).toEqual([
    { keys: '[5]' },
  ]);
  await client.end();
  await runAsAdmin(`drop database ${other}`);
});

test('the feed of the dumped database goes on', async () => {
  expect(await database.recorded(`select change_feed.emit('weiter')`)).toEqual([change('weiter', 'emit', null)]);
});
