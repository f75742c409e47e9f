import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import type { SessionTarget } from '../../src/database/address.js';
import { createChangeFeed, type FeedWithStreams } from '../../src/http/create-change-feed.js';
import { createTestDatabase, runAsAdmin, type TestDatabase } from '../test-database.js';
import { until } from '../until.js';

// A password that a vault rotates, or a token that a cloud gives for each connection.

const USER = `rotating_${process.pid}`;
let database: TestDatabase;
let admin: pg.Client;
let feed: FeedWithStreams;
let password = 'the first';
let address: string;
const asked: SessionTarget[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  await runAsAdmin(`create role ${USER} superuser login password '${password}'`);
  admin = new pg.Client({ connectionString: database.url });
  await admin.connect();
  const url = new URL(database.url);
  Object.assign(url, { username: USER, password: 'one that is old' });
  address = url.href;
  feed = createChangeFeed({
    databaseUrl: address,
    password: async (target) => {
      asked.push(target);
      return password;
    },
    logger: pino({ level: 'silent' }),
    readIntervalMs: 100,
  });
  await feed.start();
});

afterAll(async () => {
  await feed.stop();
  await admin.end();
  await database.drop();
  await runAsAdmin(`drop role ${USER}`);
});

const names = async () => {
  const { rows } = await admin.query(
    `select distinct application_name as name from pg_stat_activity where usename = $1`,
    [USER],
  );
  return rows.map(({ name }) => name).sort();
};

test('is asked for by each new connection: pools, listener and leader, also after it was changed', async () => {
  const sessions = ['pg-change-feed leader', 'pg-change-feed listener', 'pg-change-feed log'];
  await until(async () => JSON.stringify(await names()) === JSON.stringify(sessions), 'all sessions');
  const { hostname: host, port } = new URL(address);
  expect(asked[0]).toEqual({ host, port: Number(port), user: USER, database: new URL(address).pathname.slice(1) });

  password = 'the second';
  await runAsAdmin(`alter role ${USER} password '${password}'`);
  const before = asked.length;
  await runAsAdmin(`select pg_terminate_backend(pid) from pg_stat_activity where usename = '${USER}'`);
  await until(() => asked.length >= before + 3, 'new passwords');
  await until(async () => JSON.stringify(await names()) === JSON.stringify(sessions), 'all sessions again');
  await until(() => feed.changes.health.database && feed.changes.health.listener, 'the feed to be well');
});

test('that cannot be had is a failure of the connection, in its own words', async () => {
  const other = createChangeFeed({
    databaseUrl: address,
    password: () => {
      throw new Error('the vault is sealed');
    },
    logger: pino({ level: 'silent' }),
  });
  await expect(other.start()).rejects.toThrow('the vault is sealed');
  await other.stop();
});
