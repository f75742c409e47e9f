import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase } from '../../src/app/database.js';
import { installChangeFeed, removeChangeFeed } from '../../src/database/install.js';
import { createChangeFeed } from '../../src/http/create-change-feed.js';
import { packageRoot } from '../../src/package-root.js';
import { createTestDatabase, runAsAdmin, type TestDatabase } from '../test-database.js';
import { until } from '../until.js';

// Hosted providers enable row level security on every new table. A server that is not the owner then reads nothing.

const USER = `guarded_${process.pid}`;
let database: TestDatabase;
let admin: pg.Client;
let url: string;

/** As hosted providers have it. */
const EVENT_TRIGGER = `
  create function guard_every_table() returns event_trigger language plpgsql as $$
  declare made record;
  begin
    for made in select objid from pg_event_trigger_ddl_commands() where command_tag in ('CREATE TABLE', 'CREATE TABLE AS') loop
      execute format('alter table %s enable row level security', made.objid::regclass);
    end loop;
  end $$;
  create event trigger guard_every_table on ddl_command_end execute function guard_every_table()`;

beforeAll(async () => {
  database = await createTestDatabase();
  admin = new pg.Client({ connectionString: database.url });
  admin.on('error', () => {});
  await admin.connect();
  const db = createDatabase(database.url);
  await removeChangeFeed(db);
  await admin.query(EVENT_TRIGGER);
  await installChangeFeed(db);
  await db.destroy();
  await admin.query(`create table t (id int primary key); alter table t disable row level security;
    select change_feed.watch('t')`);
  await admin.query(readFileSync(join(packageRoot, 'sql/roles/server.sql'), 'utf8'));
  await admin.query(`create role ${USER} login password '${USER}' in role change_feed_server`);
  url = Object.assign(new URL(database.url), { username: USER, password: USER }).href;
});

afterAll(async () => {
  await admin.end();
  await database.drop();
  await runAsAdmin(`drop role ${USER}`);
});

const CHANGES = 'select keys from change_feed.change order by lsn';
const EVERY_TABLE = `select format('change_feed.%I', relname) as name from pg_class
  where relnamespace = 'change_feed'::regnamespace and relkind = 'r' order by 1`;
async function alterAll(change: string): Promise<void> {
  for (const { name } of (await admin.query(EVERY_TABLE)).rows) await admin.query(`alter table ${name} ${change}`);
}

test('a server that would read nothing does not start, and says what to run', async () => {
  const feed = createChangeFeed({ databaseUrl: url });
  const failure = await feed.start().catch((error: Error) => error.message);
  expect(failure).toMatch(
    /^Row level security hides the feed's tables from this user \(.*change_feed\.change.*\): as their owner/,
  );
  const cures = String(failure).split('a superuser run: ')[1] ?? '';
  await admin.query(cures);
  const mended = createChangeFeed({ databaseUrl: url });
  await mended.start();
  await mended.stop();
});

test('row level security that begins while a server runs is a failure that it logs, and writers continue', async () => {
  await alterAll('disable row level security, no force row level security');
  const errors: string[] = [];
  const received: string[] = [];
  const logger = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: ({ err }: { err?: Error }) => errors.push(err?.message ?? ''),
  };
  const feed = createChangeFeed({ databaseUrl: url, logger: logger as never, readIntervalMs: 50 });
  await feed.start();
  feed.changes.listen({
    onChanges: (changes) => received.push(...changes.map(({ resource }) => resource)),
    onLost: () => {},
  });
  await alterAll('enable row level security, force row level security');
  await admin.query('set role change_feed_owner; reset role; insert into t values (1)');
  await until(
    () => errors.some((text) => text.startsWith("Row level security hides the feed's tables from this user")),
    'a failure that says why',
  );
  // The leader's session may be the first that says so.
  await until(() => !feed.changes.health.database, 'the reader to fail');
  expect(received).toEqual([]);
  await alterAll('disable row level security, no force row level security');
  await until(() => received.includes('t'), 'the change that was hidden');
  await feed.stop();
});

test.each(['enable row level security', 'enable row level security, force row level security'])(
  'neither fails a write nor hides a change from the log: %s',
  async (change) => {
    await alterAll('disable row level security, no force row level security');
    await admin.query('truncate t; truncate change_feed.change');
    await alterAll(change);
    await admin.query('select change_feed.lead(), change_feed.begin_idle()');
    const writer = new pg.Client({ connectionString: url });
    await admin.query(`grant insert, update, delete, select on t to ${USER}`);
    await writer.connect();
    await writer.query('insert into t values (1)');
    await writer.query('update t set id = 2');
    await writer.query('delete from t');
    await writer.query(`select change_feed.emit('own')`);
    await writer.end();
    expect((await admin.query(CHANGES)).rows).toEqual([
      { keys: '[1]' },
      { keys: expect.stringMatching(/^\[1, ?2\]|\[2, ?1\]$/) },
      { keys: '[2]' },
      { keys: null },
    ]);
    await admin.query('select pg_advisory_unlock_all()');
  },
);
