import { beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import type { EventStream } from '../event-stream.js';
import { useTestServer } from '../running-server.js';
import { databaseUrl, runAsAdmin } from '../test-database.js';

const server = useTestServer();
let stream: EventStream;

beforeAll(async () => {
  await server.psql(`
    create table zaehler (id int primary key, stand int);
    create table paar (a int, b text, primary key (a, b));
    create table ohne_schluessel (wert int);
    create table gross (id bigint primary key, wert numeric);
    create table ${LONG_NAME} (id int primary key);
    create schema "Verein 1";
    create table "Verein 1"."Mitglied ""x""" (id uuid primary key);
    create table geheim (email text primary key);
    select change_feed.watch(t) from unnest(array['zaehler', 'paar', 'ohne_schluessel', 'gross', '${LONG_NAME}']::regclass[]) t;
    select change_feed.watch('"Verein 1"."Mitglied ""x"""', 'verein.mitglied');
    select change_feed.watch('geheim', keys => false)`);
  stream = await server.stream('resources=*');
  await stream.clientId();
});

const LONG_NAME = 'a'.repeat(63);
const EVENT = `insert into veranstaltung (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
  values ('Sommerfest', '2030-07-01', '2030-07-02', '2030-01-01 00:00Z', '2030-06-01 00:00Z', 100, 0)`;

let fences = 0;

/**
 * What the stream says about these statements: all that comes before an event which commits after them. So that
 * nothing was sent is seen, too, and nobody waits for time.
 */
async function eventsOf(statements: string): Promise<Record<string, unknown>[]> {
  const before = stream.events.length;
  await server.psql(statements);
  fences += 1;
  const fence = `zaun-${fences}`;
  await server.psql('select change_feed.emit($1)', [fence]);
  await stream.next(({ data }) => data.resource === fence);
  return stream.events
    .slice(before)
    .map(({ data }) => data)
    .filter(({ resource }) => resource !== fence)
    .map(({ origin, ...rest }) => rest);
}

describe('a write in psql reaches a subscribed client', () => {
  test.each<[string, string, Record<string, unknown>[]]>([
    ['INSERT', 'insert into zaehler values (1, 0), (2, 0)', [{ operation: 'insert', keys: [1, 2] }]],
    ['UPDATE', 'update zaehler set stand = 1 where id = 2', [{ operation: 'update', keys: [2] }]],
    ['UPDATE of nothing', 'update zaehler set stand = 1 where false', []],
    ['DELETE', 'delete from zaehler where id = 1', [{ operation: 'delete', keys: [1] }]],
    [
      'upsert that inserts',
      'insert into zaehler values (3, 0) on conflict (id) do update set stand = 9',
      [{ operation: 'insert', keys: [3] }],
    ],
    [
      'upsert that updates',
      'insert into zaehler values (3, 0) on conflict (id) do update set stand = 9',
      [{ operation: 'update', keys: [3] }],
    ],
    ['upsert that does nothing', 'insert into zaehler values (3, 0) on conflict do nothing', []],
    [
      'COPY',
      'copy zaehler from program \'printf "4,0\\n5,0\\n"\' (format csv)',
      [{ operation: 'insert', keys: [4, 5] }],
    ],
    ['TRUNCATE', 'truncate zaehler', [{ operation: 'truncate' }]],
    [
      'a transaction, in its order',
      'begin; insert into zaehler values (1, 0); delete from zaehler; commit',
      [
        { operation: 'insert', keys: [1] },
        { operation: 'delete', keys: [1] },
      ],
    ],
    ['a rolled-back transaction: nothing', 'begin; insert into zaehler values (7, 0); rollback', []],
    [
      'a savepoint rolled back: only the rest',
      'begin; insert into zaehler values (8, 0); savepoint s; insert into zaehler values (9, 0); rollback to s; commit',
      [{ operation: 'insert', keys: [8] }],
    ],
    [
      'a savepoint released',
      'begin; savepoint s; delete from zaehler; release s; commit',
      [{ operation: 'delete', keys: [8] }],
    ],
    [
      '100,000 rows in one statement: one event',
      'insert into zaehler select g, 0 from generate_series(1, 100000) g',
      [{ operation: 'insert' }],
    ],
    [
      'DELETE and INSERT in one statement: one event for each',
      'with gone as (delete from zaehler where id = 1) insert into zaehler values (200000, 0)',
      [
        { operation: 'insert', keys: [200000] },
        { operation: 'delete', keys: [1] },
      ],
    ],
    [
      'a changed key: the old and the new one',
      'update zaehler set id = 200001 where id = 200000',
      [{ operation: 'update', keys: expect.arrayContaining([200000, 200001]) }],
    ],
    ['101 rows: no keys', 'update zaehler set stand = 2 where id between 2 and 102', [{ operation: 'update' }]],
    [
      '100 rows: their keys',
      'delete from zaehler where id between 2 and 101',
      [{ operation: 'delete', keys: expect.arrayContaining([2, 101]) }],
    ],
  ])('%s', async (_name, statements, expected) => {
    const events = await eventsOf(statements);
    expect(events.map(({ resource, ...rest }) => rest)).toEqual(expect.arrayContaining(expected));
    expect(events).toHaveLength(expected.length);
    expect(events.every(({ resource }) => resource === 'zaehler')).toBe(true);
  });

  test('MERGE, from PostgreSQL 15 on: one event for each thing it does', async () => {
    const { rows } = await server.psql(`select current_setting('server_version_num')::int >= 150000 as merges`);
    if (!rows[0].merges) return;
    const events = await eventsOf(`insert into zaehler values (700000, 0); merge into zaehler z
      using (values (700000), (700001)) v (id) on z.id = v.id
      when matched then delete when not matched then insert values (v.id, 0)`);
    expect(events.map(({ operation, keys }) => [operation, keys])).toEqual(
      expect.arrayContaining([
        ['insert', [700001]],
        ['delete', [700000]],
      ]),
    );
    expect(events).toHaveLength(3);
  });

  test('a cascade reports both tables', async () => {
    await eventsOf(EVENT);
    await eventsOf(`insert into anmeldung (veranstaltung_id, vorname, nachname, email)
      select id, 'Ada', 'Lovelace', 'ada@example.org' from veranstaltung, generate_series(1, 3)`);
    expect(await eventsOf('delete from veranstaltung')).toEqual([
      { resource: 'veranstaltung', operation: 'delete', keys: [1] },
      { resource: 'anmeldung', operation: 'delete', keys: [1, 2, 3] },
    ]);
  });

  test('a writable CTE reports each of its statements', async () => {
    await eventsOf(`insert into paar values (1, 'x')`);
    const events = await eventsOf(
      `with weg as (delete from paar returning b) insert into ohne_schluessel select 1 from weg`,
    );
    expect(events).toEqual(
      expect.arrayContaining([
        { resource: 'paar', operation: 'delete', keys: [[1, 'x']] },
        { resource: 'ohne_schluessel', operation: 'insert' },
      ]),
    );
    expect(events).toHaveLength(2);
  });

  test('a composite key is an array', async () => {
    expect(await eventsOf(`insert into paar values (1, 'a,b'), (2, 'ü')`)).toEqual([
      {
        resource: 'paar',
        operation: 'insert',
        keys: [
          [1, 'a,b'],
          [2, 'ü'],
        ],
      },
    ]);
  });

  test('a table without a key names none', async () => {
    expect(await eventsOf('update ohne_schluessel set wert = 2')).toEqual([
      { resource: 'ohne_schluessel', operation: 'update' },
    ]);
  });

  test('a bigint beyond 2^53 is a string, to the last digit', async () => {
    expect(await eventsOf('insert into gross values (9007199254740993, 1)')).toEqual([
      { resource: 'gross', operation: 'insert', keys: ['9007199254740993'] },
    ]);
  });

  test('a name of 63 bytes', async () => {
    expect(await eventsOf(`insert into ${LONG_NAME} values (1)`)).toEqual([
      { resource: LONG_NAME, operation: 'insert', keys: [1] },
    ]);
  });

  test('a table in another schema, with quoted names', async () => {
    const id = '2b0b2d0c-5f0e-4c53-9c11-0a3b6c7d8e9f';
    expect(await eventsOf(`insert into "Verein 1"."Mitglied ""x""" values ('${id}')`)).toEqual([
      { resource: 'verein.mitglied', operation: 'insert', keys: [id] },
    ]);
  });

  test('keys => false keeps keys out of events', async () => {
    expect(await eventsOf(`insert into geheim values ('ada@example.org')`)).toEqual([
      { resource: 'geheim', operation: 'insert' },
    ]);
    expect(stream.received.map((chunk) => Buffer.from(chunk).toString()).join('')).not.toContain('ada@example.org');
  });

  test('1,500 changes at once are summed up to one event for each resource', async () => {
    const events = await eventsOf(`
      begin;
      do $$ begin for i in 1 .. 1500 loop update gross set wert = i; end loop; end $$;
      insert into paar values (3, 'c');
      commit`);
    expect(events).toEqual([{ resource: 'gross' }, { resource: 'paar' }]);
  });
});

describe('who wrote', () => {
  test('is the application, the actor and the client that the transaction names', async () => {
    await server.psql(`begin; set local change_feed.actor = 'grace'; set local change_feed.client = 'c1';
      insert into zaehler values (300000, 0); commit`);
    const { data } = await stream.next(({ data }) => data.origin?.actor === 'grace');
    expect(data.origin).toEqual({ application: 'psql', actor: 'grace', client: 'c1' });
    await server.psql(`insert into zaehler values (300001, 0)`);
    const next = await stream.next(({ data }) => data.keys?.[0] === 300001);
    expect(next.data.origin).toEqual({ application: 'psql' });
  });
});

describe('nobody can break the feed, nor the feed a write', () => {
  test('a role that may write the table, and has no right on the log', async () => {
    await runAsAdmin(
      `do $$ begin create role schreiber login password 'schreiber'; exception when duplicate_object then null; end $$`,
    );
    await server.psql('grant insert on zaehler to schreiber');
    const url = new URL(databaseUrl(new URL(server.database.url).pathname.slice(1)));
    url.username = 'schreiber';
    url.password = 'schreiber';
    const writer = new pg.Client({ connectionString: url.href, application_name: 'schreiber' });
    await writer.connect();
    await writer.query('insert into zaehler values (400000, 0)');
    await expect(writer.query('select * from change_feed.change')).rejects.toThrow('permission denied');
    await expect(writer.query(`select change_feed.emit('zaehler')`)).rejects.toThrow('permission denied');
    await writer.end();
    const { data } = await stream.next(({ data }) => data.keys?.[0] === 400000);
    expect(data).toMatchObject({ resource: 'zaehler', operation: 'insert', origin: { application: 'schreiber' } });
  });

  test.each(["'not json'", '\'{"resource":"zaehler"}\'', "''", `'${'x'.repeat(7999)}'`, "'hello '"])(
    'NOTIFY change_feed, %s by anyone',
    async (payload) => {
      expect(await eventsOf(`notify change_feed, ${payload}`)).toEqual([]);
    },
  );
});
