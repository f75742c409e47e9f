import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import type { RunningApplication } from '../../src/app/server.js';
import { ChangeLog } from '../../src/feed/log/change-log.js';
import { packageRoot } from '../../src/package-root.js';
import { createEmitter } from '../../src/streams/emit-table-update.js';
import { openStream } from '../event-stream.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { runAsAdmin } from '../test-database.js';
import { until } from '../until.js';

// The whole server under the role of sql/roles/server.sql, as that file stands.

const USER = `server_${process.pid}`;

let admin: TestServer;
let url: string;
let server: RunningApplication;
let other: RunningApplication;
const lines: string[] = [];

beforeAll(async () => {
  admin = await startTestServer();
  const file = await readFile(join(packageRoot, 'sql/roles/server.sql'), 'utf8');
  await admin.psql(file);
  await admin.psql(file); // may be run again
  await admin.psql(`create user ${USER} login password 'geheim' in role change_feed_server`);
  const address = new URL(admin.database.url);
  address.username = USER;
  address.password = 'geheim';
  url = address.href;
  const logger = pino({ level: 'debug' }, { write: (line: string) => lines.push(line) });
  const options = { databaseUrl: url, recentChanges: 0, logger };
  server = await admin.another(options);
  other = await admin.another(options);
});

afterAll(async () => {
  await admin.stop();
  await runAsAdmin(`drop role ${USER}`);
});

const call = async (method: string, path: string, body?: object) =>
  fetch(server.url + path, {
    method,
    headers: {
      Authorization: `Bearer ${await admin.token()}`,
      'Content-Type': 'application/json',
      'Change-Feed-Client': 'meiner',
    },
    ...(body && { body: JSON.stringify(body) }),
  });

const veranstaltung = {
  name: 'Fest',
  beginn: '2030-07-01',
  ende: '2030-07-01',
  meldebeginn: '2030-06-01T18:00:00Z',
  meldeschluss: '2030-06-02T18:00:00Z',
  maxTeilnehmende: 10,
  teilnahmegebuehr: 0,
};

test('it listens, reads and replays the log, prunes, emits, passes calls on, and serves REST, without a complaint', async () => {
  const stream = await openStream(`${server.url}/api/events?resources=*&token=${await admin.token()}`);
  const connected = await stream.next(({ event }) => event === 'connected');

  const made = await call('POST', '/api/veranstaltungen', veranstaltung);
  expect(made.status).toBe(201);
  const { id } = (await made.json()) as { id: number };
  expect((await call('PATCH', `/api/veranstaltungen/${id}`, { ort: 'Kiel' })).status).toBe(200);
  const list = await call('GET', '/api/veranstaltungen');
  expect({ status: list.status, position: list.headers.get('Change-Feed-Position') }).toEqual({
    status: 200,
    position: expect.stringMatching(/^[0-9a-f]+\.\d+:\d+:/),
  });
  const registration = { veranstaltungId: id, vorname: 'Ada', nachname: 'L', email: 'ada@example.org' };
  expect((await call('POST', '/api/anmeldungen', registration)).status).toBe(201);
  expect((await call('GET', `/api/anmeldungen?veranstaltungId=${id}`)).status).toBe(200);
  expect((await call('DELETE', `/api/veranstaltungen/${id}`)).status).toBe(204);
  await until(() => stream.events.some(({ data }) => data.resource === 'veranstaltung' && data.operation === 'delete'));
  expect(stream.events.find(({ data }) => data.operation === 'insert')?.data.origin).toEqual({
    application: 'pg-change-feed',
    actor: 'ada',
    client: 'meiner',
  });

  const { emitTableUpdate } = createEmitter(server.db, pino({ level: 'silent' }));
  await emitTableUpdate('auswertung', { data: { fertig: true } });
  await stream.next(({ data }) => data.resource === 'auswertung');

  const resumed = await openStream(`${other.url}/api/events?resources=*&token=${await admin.token()}`, {
    'Last-Event-ID': connected.id ?? '',
  });
  await until(() => resumed.updates.includes('auswertung'));
  expect((await resumed.next(({ event }) => event === 'connected')).data.resumed).toBe(true);
  const lost = await openStream(`${other.url}/api/events?resources=*&token=${await admin.token()}&lastEventId=x`);
  await until(() => lost.updates.includes('anmeldung'));

  const body = { clientId: await resumed.clientId(), resource: 'anmeldung' };
  expect(await (await call('POST', '/api/events/subscribe', body)).json()).toEqual({
    success: true,
    resource: 'anmeldung',
    watched: true,
  });

  const log = new ChangeLog(url, () => {});
  await admin.psql(`update change_feed.tick set at = at - interval '1 hour'`);
  await admin.psql('insert into change_feed.tick (at, changes) select clock_timestamp() - interval $$1 h$$, 0');
  expect(await log.prune(60, 1_000_000)).toBeGreaterThan(0);
  await log.close();

  for (const one of [stream, resumed, lost]) one.close();
  for (const path of ['/healthz', '/readyz']) expect((await fetch(server.url + path)).status).toBe(200);
  const complaints = lines.map((line) => JSON.parse(line)).filter(({ level }) => level >= 40);
  // A lead that was not given the CPU for three seconds loses its session: no matter of rights
  expect(complaints.filter(({ err }) => !/idle-session|The session is gone/.test(err?.message))).toEqual([]);
});

describe('it can not', () => {
  let client: pg.Client;

  beforeAll(async () => {
    client = new pg.Client({ connectionString: url });
    await client.connect();
  });

  afterAll(() => client.end());

  test.each([
    [
      'forge a change in the log',
      `insert into change_feed.change (resource, details) values ('veranstaltung', '{update}')`,
    ],
    ['change the log', `update change_feed.change set keys = 'mallory'`],
    ['delete from the log', 'delete from change_feed.change'],
    ['empty the log', 'truncate change_feed.change'],
    ['move the horizon', 'delete from change_feed.horizon'],
    ['end the epoch', 'delete from change_feed.epoch'],
    ['read what one server asks another', 'table change_feed.call'],
    ['watch a table', `select change_feed.watch('veranstaltung')`],
    ['unwatch a table', `select change_feed.unwatch('veranstaltung')`],
    ['switch a trigger off', 'alter table veranstaltung disable trigger all'],
    ['drop a trigger', 'drop trigger change_feed_update on veranstaltung'],
    ['pass over all triggers', 'set session_replication_role = replica'],
    [
      'use our trigger functions for a table of its own',
      `create temp table eigene (id int); create trigger t after insert on eigene for each statement
        execute function change_feed.record_veranstaltung_insert('veranstaltung')`,
    ],
    ['make something in the schema', 'create table change_feed.eigene (id int)'],
    [
      'replace a function',
      'create or replace function change_feed.notify_at_commit() returns trigger language sql as $$select$$',
    ],
    ['become the owner', 'set role change_feed_owner'],
    ['truncate a table', 'truncate veranstaltung cascade'],
    ['drop a table', 'drop table anmeldung'],
    ['make a role', 'create role mallory superuser'],
    ['make a schema', 'create schema eigenes'],
    ['read passwords', 'table pg_authid'],
    ['read a file', `select pg_read_file('/etc/passwd')`],
    ['run a program', `copy veranstaltung to program 'id'`],
  ])('%s', async (_name, statement) => {
    await expect(client.query(statement)).rejects.toMatchObject({ code: '42501' });
  });
});
