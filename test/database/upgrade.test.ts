import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Kysely } from 'kysely';
import pg from 'pg';
import { createDatabase } from '../../src/app/database.js';
import { migrateApplication } from '../../src/app/migrate.js';
import { removeChangeFeed } from '../../src/database/install.js';
import { migrateChangeFeed } from '../../src/database/migrate.js';
import { schemaState } from '../../src/database/schema-state.js';
import { SCHEMA_VERSION } from '../../src/database/shipped-schema.js';
import { createChangeFeed } from '../../src/http/create-change-feed.js';
import { packageRoot } from '../../src/package-root.js';
import { createTestDatabase, runAsAdmin, type TestDatabase } from '../test-database.js';
import { until } from '../until.js';
import { makeUnversioned, makeVersion } from './earlier-schema.js';
import { sqlFiles } from './sql-statements.js';

const USER = `upgrader_${process.pid}`;
const READER = `reader_${process.pid}`;
const SERVER_ROLE = readFileSync(join(packageRoot, 'sql/roles/server.sql'), 'utf8');
let database: TestDatabase;
let admin: pg.Client;
// biome-ignore lint/suspicious/noExplicitAny: other tables than the application's
let db: Kysely<any>;

async function connect(user?: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: address(user) });
  client.on('error', () => {}); // dropping the database ends it
  await client.connect();
  return client;
}

function address(user?: string): string {
  const url = new URL(database.url);
  if (user) Object.assign(url, { username: user, password: user });
  return url.href;
}

beforeAll(async () => {
  await runAsAdmin(`create role ${USER} login password '${USER}' in role change_feed_owner`);
  await runAsAdmin(`create role ${READER} login password '${READER}'`);
});

beforeEach(async () => {
  database = await createTestDatabase();
  admin = await connect();
  await admin.query('drop table kysely_migration, kysely_migration_lock');
  db = createDatabase(database.url);
});

afterEach(async () => {
  await db.destroy();
  await admin.end();
  await database.drop();
});

afterAll(async () => {
  for (const role of [USER, READER]) await runAsAdmin(`drop role ${role}`);
});

const state = () => schemaState(async (text, values) => (await admin.query(text, values)).rows, { bodies: true });
const WATCHED =
  'select relation::regclass::text as relation, resource, keys from change_feed.watched_table order by 1, 2';

test('the version in the database is the one that the code knows', async () => {
  const { rows } = await admin.query('select change_feed.schema_version() as version');
  expect(rows).toEqual([{ version: SCHEMA_VERSION }]);
  expect(await state()).toEqual({ kind: 'current', differs: [] });
});

/** Ways in which a schema is not that of this build. */
const OTHERS: [string, (client: pg.Client) => Promise<unknown>, string][] = [
  ['without a version', makeUnversioned, 'unversioned'],
  ['of an older version', (client) => makeVersion(client, SCHEMA_VERSION - 1), 'older'],
  ['without its last file', (client) => client.query('drop table change_feed.call cascade'), 'partial'],
  [
    'with a file that was not ended',
    (client) => client.query(`update change_feed.sql_file set ended_at = null where name = '004-position.sql'`),
    'partial',
  ],
  [
    'with a view that is missing',
    (client) => client.query('drop view change_feed.watched_table, change_feed.recorder_trigger cascade'),
    'partial',
  ],
];

describe.each(OTHERS)('a schema %s', (_name, change, kind) => {
  test('is upgraded: the same tables are watched under the same names, with the same rights, in a new epoch', async () => {
    await admin.query(`
      create schema other; create table other."Gr, oß" (id int primary key); select change_feed.watch('other."Gr, oß"', 'big');
      create table parts (id int primary key) partition by range (id); create table part_1 partition of parts for values from (0) to (10);
      select change_feed.watch('parts', keys => false);
      create table child (id int primary key) inherits (other."Gr, oß"); select change_feed.watch('child', 'big');
      create table bare (n int); select change_feed.watch('bare')`);
    await admin.query(SERVER_ROLE);
    await admin.query(`grant select on change_feed.change to ${READER} with grant option`);
    const watched = (await admin.query(WATCHED)).rows;
    const { rows: before } = await admin.query('select change_feed.ensure_epoch() as epoch');
    await change(admin);
    expect((await state()).kind).toBe(kind);

    expect(await migrateChangeFeed(db)).toEqual(sqlFiles);
    expect(await state()).toEqual({ kind: 'current', differs: [] });
    expect((await admin.query(WATCHED)).rows).toEqual(watched);
    expect((await admin.query('select change_feed.ensure_epoch() as epoch')).rows).not.toEqual(before);
    await admin.query('truncate change_feed.change');
    await admin.query(
      `insert into other."Gr, oß" values (1); insert into part_1 values (2); insert into child values (3)`,
    );
    expect((await admin.query('select resource, keys from change_feed.change order by lsn')).rows).toEqual([
      { resource: 'big', keys: '[1]' },
      { resource: 'parts', keys: null },
      { resource: 'big', keys: '[3]' },
    ]);
    const { rows } = await admin.query(`select
      has_function_privilege('change_feed_server', 'change_feed.take_calls(text)', 'execute') as server,
      has_table_privilege('${READER}', 'change_feed.change', 'select with grant option') as other,
      has_table_privilege('${READER}', 'change_feed.tick', 'select with grant option') as more`);
    expect(rows).toEqual([{ server: true, other: true, more: false }]);
    expect(await migrateChangeFeed(db)).toEqual([]);
  });

  test('is not served: the start fails with one sentence that says what to run', async () => {
    await change(admin);
    await expect(createChangeFeed({ databaseUrl: database.url }).start()).rejects.toThrow(
      /^The schema change_feed [^:]*: run `pg-change-feed migrate`\.$/,
    );
  });
});

test('status and tail say it, too', async () => {
  await makeUnversioned(admin);
  for (const command of ['status', 'tail']) {
    const { status, stderr } = spawnSync(process.execPath, [join(packageRoot, 'dist/src/cli.js'), command], {
      env: { PATH: process.env.PATH, DATABASE_URL: database.url },
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: 'The schema change_feed was made by an earlier build of pg-change-feed: run `pg-change-feed migrate`.\n',
    });
  }
});

test('a function that somebody has changed is that of this build again after migrate', async () => {
  await admin.query(`create or replace function change_feed.note_tick() returns void language sql as 'select'`);
  expect(await state()).toEqual({ kind: 'current', differs: ['note_tick'] });
  await migrateChangeFeed(db);
  expect(await state()).toEqual({ kind: 'current', differs: [] });
});

test("the application's migrations upgrade the schema that an earlier build has installed", async () => {
  await admin.query('create table kysely_migration (name text primary key, timestamp text not null)');
  for (const name of ['0001-change-feed', '0002-veranstaltung', '0003-anmeldung']) {
    await admin.query('insert into kysely_migration values ($1, $2)', [name, '2030']);
  }
  await makeUnversioned(admin);
  expect(await migrateApplication(db)).toEqual(sqlFiles);
  expect(await state()).toEqual({ kind: 'current', differs: [] });
  expect((await admin.query(WATCHED)).rows).toHaveLength(2);
  expect(await migrateApplication(db)).toEqual([]);
});

test('a member of change_feed_owner who owns the tables upgrades, too', async () => {
  await admin.query(`alter table veranstaltung owner to ${USER}; alter table anmeldung owner to ${USER};
    grant create on schema public to ${USER}; grant create on database ${new URL(database.url).pathname.slice(1)} to ${USER}`);
  await makeUnversioned(admin);
  const own = createDatabase(address(USER));
  expect(await migrateChangeFeed(own)).toEqual(sqlFiles);
  await own.destroy();
  expect((await admin.query(WATCHED)).rows).toHaveLength(2);
  expect((await admin.query('select * from change_feed.owner_fault')).rows).toEqual([]);
});

describe('fails whole, with a sentence:', () => {
  const fails = async (message: string, upgrade = () => migrateChangeFeed(db)) => {
    const triggers = `select tgrelid::int, tgname from pg_trigger where starts_with(tgname, 'change_feed_') order by 1, 2`;
    const before = (await admin.query(triggers)).rows;
    await expect(upgrade()).rejects.toThrow(message);
    expect((await admin.query(triggers)).rows).toEqual(before);
    await admin.query(`update veranstaltung set ort = 'x'`);
  };

  test('a newer schema', async () => {
    await makeVersion(admin, SCHEMA_VERSION + 1);
    await fails(`is older than the schema change_feed, which is of version ${SCHEMA_VERSION + 1}`);
  });

  test('a table of another owner, for who is no superuser', async () => {
    await makeUnversioned(admin);
    const own = createDatabase(address(USER));
    await fails('Only the owner of public.anmeldung may change its triggers', () => migrateChangeFeed(own));
    await own.destroy();
  });

  test('a table that cannot be watched again', async () => {
    await admin.query(`create table parts (id int) partition by range (id); select change_feed.watch('parts');
      create foreign data wrapper nothing; create server nowhere foreign data wrapper nothing;
      create foreign table far partition of parts for values from (0) to (10) server nowhere`);
    await makeUnversioned(admin);
    await fails('public.parts has the foreign table public.far as a partition and cannot be watched');
  });

  test.each([
    ['view seen', 'create view seen as select * from change_feed.change'],
    ['table told', `create table told (id int default change_feed.prune('1 day', 1))`],
    [
      'table veranstaltung',
      'create trigger own after insert on veranstaltung for each statement execute function change_feed.record_anmeldung_insert()',
    ],
    [
      'function asking(change_feed.change)',
      `create function asking(change_feed.change) returns int language sql as 'select 1'`,
    ],
  ])('something that depends on it: %s', async (name, make) => {
    await admin.query(make);
    await makeUnversioned(admin);
    await fails(`drop the ${name}, which depends on it`);
  });

  test('a table of others in the schema', async () => {
    await admin.query('create table change_feed.notes (n int)');
    await makeUnversioned(admin);
    await fails('move change_feed.notes to another schema first');
  });
});

test('a schema of that name that is not ours is left alone, and an empty one is filled', async () => {
  await removeChangeFeed(db);
  await admin.query('create schema change_feed authorization change_feed_owner; create table change_feed.own (n int)');
  await expect(migrateChangeFeed(db)).rejects.toThrow('was not made by pg-change-feed: rename it');
  await admin.query('drop table change_feed.own');
  expect(await migrateChangeFeed(db)).toEqual(sqlFiles);
});

test('an upgrade waits for a writer without holding a lock, so that the writer ends in no deadlock', async () => {
  await makeUnversioned(admin);
  await admin.query(`insert into veranstaltung (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
    values ('a', '2030-01-01', '2030-01-01', now(), now(), 1, 0)`);
  const writer = await connect();
  await writer.query('begin');
  await writer.query(`update veranstaltung set ort = 'here'`);
  const upgrade = migrateChangeFeed(db);
  for (const table of ['anmeldung', 'veranstaltung']) {
    // Each attempt of the upgrade takes what it can get: it must have given that back.
    for (let round = 0; round < 10; round += 1) await writer.query(`update ${table} set id = default where false`);
  }
  await writer.query('commit');
  expect(await upgrade).toEqual(sqlFiles);
  await writer.end();
});

test('an upgrade gets its locks also where a table is never without an open transaction', async () => {
  await makeUnversioned(admin);
  let done = false;
  let [open, overlaps] = [0, 0];
  const writing = [1, 2].map(async () => {
    const writer = await connect();
    while (!done) {
      await writer.query('begin');
      await writer.query('delete from veranstaltung where false');
      open += 1;
      // This one ends when the other has begun, so that one is always open.
      for (let looks = 0; open < 2 && looks < 20 && !done; looks += 1) await writer.query('select');
      if (open === 2) overlaps += 1;
      await writer.query('delete from anmeldung where false');
      await writer.query('commit');
      open -= 1;
    }
    await writer.end();
  });
  await until(() => overlaps > 10, 'writers that overlap');
  try {
    expect(await migrateChangeFeed(db)).toEqual(sqlFiles);
  } finally {
    done = true;
  }
  await Promise.all(writing);
});

test.each([
  ['an earlier schema', () => makeUnversioned(admin)],
  ['none', () => removeChangeFeed(db)],
])('many who migrate at once, %s: one does it, the others find it done', async (_name, prepare) => {
  await prepare();
  const done = await Promise.all([1, 2, 3, 4].map(() => migrateChangeFeed(db)));
  expect(done.filter((files) => files.length > 0)).toEqual([sqlFiles]);
});

test('who holds advisory locks, and has no right on the feed, keeps nobody from migrating', async () => {
  await makeUnversioned(admin);
  const other = await connect(READER);
  await other.query(`select pg_advisory_lock(hashtext('change_feed'), hashtext('migrate'))`);
  await expect(other.query('begin; lock table change_feed.sql_file in access share mode')).rejects.toThrow(
    'permission denied',
  );
  await other.query('rollback');
  expect(await migrateChangeFeed(db)).toEqual(sqlFiles);
  await other.end();
});
