import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { createDatabase } from '../../src/app/database.js';
import { migrateChangeFeed } from '../../src/database/migrate.js';
import { signToken } from '../../src/http/token.js';
import { type RunningServer, startServer } from '../../src/koa/server.js';
import { packageRoot } from '../../src/package-root.js';
import { openStream } from '../event-stream.js';
import { createRawDatabase, databaseUrl, runAsAdmin } from '../test-database.js';
import { until } from '../until.js';

// The feed's server alone, on the database of a stranger.

const SECRET = 'a secret of the tests, long enough for HS256';
const NAME = `foreign_${process.pid}`;

let psql: pg.Client;
let server: RunningServer;
let token: string;

beforeAll(async () => {
  await createRawDatabase(NAME);
  psql = new pg.Client(databaseUrl(NAME));
  await psql.connect();
  await psql.query(readFileSync(join(packageRoot, 'test/chinook/chinook.sql'), 'utf8'));
  const db = createDatabase(databaseUrl(NAME));
  await migrateChangeFeed(db);
  await db.destroy();
  await psql.query(`select change_feed.watch('artist')`);
  server = await startServer({
    databaseUrl: databaseUrl(NAME),
    host: '127.0.0.1',
    port: 0,
    jwtSecret: SECRET,
    jwtToleranceS: 0,
    queryToken: true,
    defaultResources: '*',
    corsOrigins: [],
    heartbeatS: 30,
    readIntervalMs: 1000,
    logRetentionS: 86_400,
    logMaxRows: 10_000_000,
    metricsToken: 'a-token-for-metrics',
    logger: pino({ level: 'silent' }),
  });
  token = await signToken({ sub: 'ada', expiresInS: 3600, secret: SECRET });
});

afterAll(async () => {
  await server.stop();
  await psql.end();
  await runAsAdmin(`drop database ${NAME} with (force)`);
});

test('streams the changes of its tables', async () => {
  const stream = await openStream(`${server.url}/api/events?resources=artist`, { Authorization: `Bearer ${token}` });
  await stream.clientId();
  await psql.query(`insert into artist values (3, 'Aerosmith')`);
  await until(() => stream.updates.includes('artist'));
  stream.close();
});

test('serves health and metrics', async () => {
  for (const path of ['/healthz', '/readyz']) expect((await fetch(server.url + path)).status).toBe(200);
  const metrics = await fetch(`${server.url}/metrics`, { headers: { Authorization: 'Bearer a-token-for-metrics' } });
  expect(metrics.status).toBe(200);
});

test.each(['/', '/assets/index.js', '/api/veranstaltungen', '/api/anmeldungen/1', '/api/demo', '/api/artist'])(
  'answers %s with 404',
  async (path) => {
    const response = await fetch(server.url + path, { headers: { Authorization: `Bearer ${token}` } });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: 'not_found' } });
  },
);
