import { beforeAll, describe, expect, test } from '@jest/globals';
import { createEmitter, type Emitter } from '../../src/streams/emit-table-update.js';
import type { EventStream } from '../event-stream.js';
import { useTestServer } from '../running-server.js';
import { until } from '../until.js';

const server = useTestServer();
let stream: EventStream;
let emitter: Emitter;
const errors: unknown[] = [];

beforeAll(async () => {
  const log = () => {};
  emitter = createEmitter(server.db, {
    debug: log,
    info: log,
    warn: log,
    error: (details: unknown) => errors.push(details),
  });
  stream = await server.stream('resources=*');
  await stream.clientId();
});

const notes = (resource: string) =>
  server.psql('select from change_feed.change where resource = $1', [resource]).then(({ rowCount }) => rowCount);

test('emitTableUpdate reaches clients with its data', async () => {
  await emitter.emitTableUpdate('auswertung', { data: { fertig: [1, 'ü'] } });
  const { data } = await stream.next(({ data }) => data.resource === 'auswertung');
  expect(data).toEqual({
    resource: 'auswertung',
    operation: 'emit',
    data: { fertig: [1, 'ü'] },
    origin: { application: 'pg-change-feed' },
  });
});

test('emitTableUpdate in a transaction is gone when that rolls back', async () => {
  const failing = server.db.transaction().execute(async (transaction) => {
    await emitter.emitTableUpdate('zurueckgerollt', { transaction });
    throw new Error('zurück');
  });
  await expect(failing).rejects.toThrow('zurück');
  expect(await notes('zurueckgerollt')).toBe(0);
});

test('withSSENotification commits the write and the event together, or neither', async () => {
  const result = await emitter.withSSENotification('gemeinsam', async (transaction) => {
    await transaction.insertInto('veranstaltung').values(EVENT).execute();
    return 'geschrieben';
  });
  expect(result).toBe('geschrieben');
  await stream.next(({ data }) => data.resource === 'gemeinsam');

  await expect(emitter.withSSENotification('gemeinsam', async () => Promise.reject(new Error('nein')))).rejects.toThrow(
    'nein',
  );
  expect(await notes('gemeinsam')).toBe(1);
  await expect(
    emitter.withSSENotification('a,b', (transaction) =>
      transaction.insertInto('veranstaltung').values(EVENT).execute(),
    ),
  ).rejects.toThrow('cannot name a resource');
  expect((await server.psql('select from veranstaltung')).rowCount).toBe(1);
});

test('withSSENotification in a given transaction leaves its commit to it', async () => {
  await server.db.transaction().execute(async (transaction) => {
    await emitter.withSSENotification('spaeter', async () => {}, { transaction });
    expect(await notes('spaeter')).toBe(0);
  });
  expect(await notes('spaeter')).toBe(1);
});

test('a failure rejects and is logged, once for many of a cause; where nobody awaits it, it ends nothing', async () => {
  errors.length = 0;
  void emitter.emitTableUpdate('*');
  await expect(emitter.emitTableUpdate('*')).rejects.toThrow('cannot name a resource');
  await until(() => errors.length > 0);
  expect(errors).toHaveLength(1);
  expect(errors[0]).toMatchObject({ resource: '*' });
});

const EVENT = {
  name: 'Sommerfest',
  beginn: '2030-07-01',
  ende: '2030-07-02',
  meldebeginn: new Date(0),
  meldeschluss: new Date(0),
  maxTeilnehmende: 1,
  teilnahmegebuehr: 0,
};

describe('an event for a scope', () => {
  let seven: EventStream;
  let eight: EventStream;

  beforeAll(async () => {
    await server.psql(`
      create table raum (id int primary key, haus int, name text);
      select change_feed.watch('raum', scopes => '{haus, haus&name}')`);
    const query = (haus: number) => `resources=raum%3Fhaus%3D${haus},bericht%3Fhaus%3D${haus},schluss`;
    [seven, eight] = await Promise.all([server.stream(query(7)), server.stream(query(8))]);
    await Promise.all([seven.clientId(), eight.clientId()]);
  });

  test('reaches its subscribers alone, of a watched table and of none, also with a write', async () => {
    // Of one read, whole resources come before scopes and these by name: so each is received before the next is made.
    const received = (ofSeven: number, ofEight: number) =>
      until(() => seven.updates.length === ofSeven && eight.updates.length === ofEight);
    await emitter.emitTableUpdate('raum', { data: 1, scope: { haus: 7 } });
    await received(1, 0);
    await emitter.emitTableUpdate('bericht', { data: 2, scope: { haus: 7, jahr: '2030' } });
    await received(2, 0);
    await emitter.withSSENotification('bericht', async () => {}, { data: 3, scope: { haus: 8 } });
    await received(2, 1);
    await emitter.emitTableUpdate('raum', { data: 4 });
    await received(3, 2);
    await emitter.emitTableUpdate('schluss');
    const told = async (stream: EventStream) => {
      await until(() => stream.updates.includes('schluss'));
      return stream.events.flatMap(({ event, data }) => (event === 'table-update' ? [[data.scope, data.data]] : []));
    };
    const [ofSeven, ofEight] = [{ haus: '7' }, { haus: '8' }];
    expect(await told(seven)).toEqual([
      [ofSeven, 1],
      [ofSeven, 2],
      [ofSeven, undefined],
      [undefined, undefined],
    ]);
    expect(await told(eight)).toEqual([
      [ofEight, 3],
      [ofEight, undefined],
      [undefined, undefined],
    ]);
  });

  test.each([
    ['a column that is in no scope', { id: 7 }, /no scope/],
    ['another text of a value', { haus: '07' }, /07/],
    ['no column', {}, /1 to 4 pairs/],
    ['no whole number', { haus: 7.5 }, /whole number/],
    ['no value', { haus: null as unknown as string }, /whole number/],
  ])('is refused with %s, and nothing is recorded', async (_name, scope, message) => {
    const before = await notes('raum');
    await expect(emitter.emitTableUpdate('raum', { scope })).rejects.toThrow(message);
    expect(await notes('raum')).toBe(before);
  });
});
