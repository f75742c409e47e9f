import { afterEach, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase } from '../../src/app/database.js';
import { migrateApplication } from '../../src/app/migrate.js';
import { SCHEMA_VERSION } from '../../src/database/shipped-schema.js';
import { createChangeFeed, type FeedWithStreams } from '../../src/http/create-change-feed.js';
import type { Logger } from '../../src/logger.js';
import { makeUnversioned, makeVersion } from '../database/earlier-schema.js';
import { createTestDatabase, type TestDatabase } from '../test-database.js';
import { until } from '../until.js';

// The schema is replaced or altered while a server runs, as in a rolling upgrade.

let database: TestDatabase;
let admin: pg.Client;
let feed: FeedWithStreams;
let told: string[];
let logger: Logger;
let logged: { level: string; text: string; message: string }[];

beforeEach(async () => {
  database = await createTestDatabase();
  admin = new pg.Client({ connectionString: database.url });
  admin.on('error', () => {});
  await admin.connect();
  told = [];
  logged = [];
  const at =
    (level: string) =>
    ({ err }: { err?: Error }, text: string) =>
      logged.push({ level, text, message: err?.message ?? '' });
  logger = { debug: () => {}, info: at('info'), warn: at('warn'), error: at('error') } as never;
  feed = createChangeFeed({ databaseUrl: database.url, logger, readIntervalMs: 20 });
  await feed.start();
  feed.changes.listen({
    onChanges: (changes) => told.push(...changes.map(({ resource }) => resource)),
    onLost: () => told.push('lost'),
  });
});

afterEach(async () => {
  await feed.stop();
  await admin.end();
  await database.drop();
});

test('a server that cannot read a newer schema says so in one sentence, and reads again when it can', async () => {
  await makeVersion(admin, SCHEMA_VERSION + 1);
  await admin.query(`alter table change_feed.change rename details to op;
    alter function change_feed.begin_idle() rename to start_idle; alter function change_feed.prune(interval, bigint, integer) rename to p`);
  await until(() => !feed.changes.health.database, 'the server to see that it cannot read');
  await until(() => logged.some(({ level }) => level === 'error'), 'a line of the log');
  await admin.query(`select pg_notify('change_feed', 'x')`);
  const sentence = expect.stringMatching(
    new RegExp(
      `^This build of pg-change-feed \\(.*\\) is older than the schema change_feed, which is of version ${SCHEMA_VERSION + 1} and`,
    ),
  );
  await admin.query(`alter table change_feed.change rename op to details;
    alter function change_feed.start_idle() rename to begin_idle; alter function change_feed.p(interval, bigint, integer) rename to prune`);
  await until(() => feed.changes.health.database, 'the server to read again');
  expect(logged.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([sentence]);
});

test('a server goes on with a schema that was made anew under it: every client refetches, and hears of new changes', async () => {
  await makeUnversioned(admin);
  const db = createDatabase(database.url);
  await migrateApplication(db);
  await db.destroy();
  await until(() => told.includes('lost'), 'the end of the epoch');
  await admin.query(`update veranstaltung set ort = 'x' where false; select change_feed.emit('own')`);
  await until(() => told.includes('own'), 'the change');
  expect(feed.changes.health.database).toBe(true);
});

test('a server says when it starts that changes may not be recorded', async () => {
  await admin.query('alter table change_feed.change owner to current_user');
  const another = createChangeFeed({ databaseUrl: database.url, logger });
  await another.start();
  try {
    const sentence =
      /^Changes may not be recorded, because the table change_feed.change belongs to .*: run `select change_feed.repair\(\)` as a superuser\.$/;
    await until(() => logged.some(({ level, message }) => level === 'error' && sentence.test(message)), 'the sentence');
  } finally {
    await another.stop();
  }
});
