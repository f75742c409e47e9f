import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase } from '../../../src/app/database.js';
import { installChangeFeed } from '../../../src/database/install.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/embedded/embedded-postgres.js';
import { until } from '../../until.js';
import { TwoServers } from './two-servers.js';

// A session that listens, and sits in a transaction, keeps the queue of notifications from being emptied; once it is full
// every NOTIFY of the cluster fails. In a cluster of its own, whose queue is small.

/** Of 8 kB. */
const PAGES = 1000;

let dataDir: string;
let postgres: EmbeddedPostgres;
let both: TwoServers;
let sleeper: pg.Client;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'full-queue-'));
  await chmod(dataDir, 0o711);
  const settings = { fsync: 'off', max_notify_queue_pages: String(PAGES) };
  postgres = await startEmbeddedPostgres({ dataDir, port: 0, settings });
  const db = createDatabase(postgres.url);
  await db.transaction().execute((transaction) => installChangeFeed(transaction));
  await db.destroy();
  both = await TwoServers.start(postgres.url, 300);
  sleeper = new pg.Client({ connectionString: postgres.url });
  await sleeper.connect();
  await sleeper.query('listen beliebig');
  await sleeper.query('begin; select 1');
});

afterAll(async () => {
  await sleeper.end();
  await both[Symbol.asyncDispose]();
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
});

const usage = async () =>
  (await both.psql.query('select pg_notification_queue_usage() as usage')).rows[0].usage as number;

async function fillTo(share: number): Promise<void> {
  while ((await usage()) < share) await both.psql.query(`select pg_notify('anders', repeat('x', 7000) || random())`);
}

test('where it begins to fill, messages are brief, and the other server reads', async () => {
  await fillTo(0.02);
  await both.untilMessagesAreBrief();
  const { told } = both.other.feed.counts.messages;
  for (let i = 0; i < 5; i += 1) {
    await both.emit(`nummer ${i}`);
    await both.untilBothAreTold(`nummer ${i}`);
  }
  expect(both.other.feed.counts.messages.told).toBe(told);
  for (const { payload } of both.sealed()) expect(payload.length).toBeLessThan(100);
});

test('where it is half full nobody notifies, writes succeed, and both servers read by the clock', async () => {
  await fillTo(0.51);
  both.payloads.length = 0;
  for (let i = 0; i < 5; i += 1) {
    await both.emit(`spaeter ${i}`);
    await both.untilBothAreTold(`spaeter ${i}`);
  }
  expect(both.payloads).toEqual([]);
});

test('where it is empty again, messages say what has changed again', async () => {
  await sleeper.query('rollback');
  await until(async () => (await usage()) < 0.01, 'an empty queue');
  await both.untilMessagesAreRead();
});
