import { afterAll, beforeAll, expect } from '@jest/globals';
import pg from 'pg';
import { startPooler, stopPoolers, withPgbouncer } from '../pooler.js';
import { startTestServer, type TestServer } from '../running-server.js';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(async () => {
  await stopPoolers();
  await server.stop();
});

withPgbouncer.each(['', 'ignore_startup_parameters = options'])(
  'a pooler in transaction mode (%s) is named at the start, with what to set',
  async (settings) => {
    const url = await startPooler(server.database.url, 'transaction', settings);
    await expect(server.another({ databaseUrl: url })).rejects.toThrow(
      /^A pooler stands before the database postgres:\/\/\S+: set LISTEN_DATABASE_URL to the direct address/,
    );
  },
);

withPgbouncer('behind a pooler in transaction mode the server works, given the direct address', async () => {
  const url = await startPooler(server.database.url, 'transaction');
  const pooled = await server.another({ databaseUrl: url, listenDatabaseUrl: server.database.url });
  const authorization = { Authorization: `Bearer ${await server.token()}` };
  const lists = await Promise.all(
    Array.from({ length: 20 }, () => fetch(`${pooled.url}/api/veranstaltungen`, { headers: authorization })),
  );
  expect(lists.map(({ status }) => status)).toEqual(lists.map(() => 200));
  const stream = await server.stream('resources=anmeldung');
  await stream.clientId();
  const writer = new pg.Client({ connectionString: url });
  await writer.connect();
  await writer.query(`select change_feed.emit('anmeldung')`);
  await stream.next(({ data }) => data.resource === 'anmeldung');
  await writer.end();
});
