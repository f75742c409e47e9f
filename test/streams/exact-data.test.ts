import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { pino } from 'pino';
import type { LoggedChange } from '../../src/change.js';
import { jsonLines, tailedChanges } from '../../src/commands/tail-lines.js';
import type { Reading } from '../../src/feed/log/reading.js';
import { elementsOf } from '../../src/json-text.js';
import { createEmitter } from '../../src/streams/emit-table-update.js';
import { FollowedTopics } from '../../src/streams/followed-topics.js';
import { StreamRights } from '../../src/streams/rights.js';
import type { EventStream } from '../event-stream.js';
import { useTestServer } from '../running-server.js';
import { until } from '../until.js';

// Clients receive what was recorded, to the last character.

const server = useTestServer();

const textOf = (stream: EventStream) => Buffer.concat(stream.received).toString();
const DATA = [
  '9007199254740993',
  '-12345678901234567890.123456789012345678901234567890',
  '1e400',
  '1.0',
  '1.50',
  '-0.0',
  '0.1e-3',
  'null',
  '"9007199254740993"',
  '{"b": 9007199254740993, "a": {"n": 1e400}, "": [1.0, "a,]b", {"x": 1e-400}], "b2": 1, "b": 2}',
  '"a\\nb\\r\\u2028 \\u0085 \\\\ \\" ü 😀"',
  `${'['.repeat(3000)}1.0${']'.repeat(3000)}`,
];

test('the data of an event: live, from memory, from the log, in a poll, on the server, and in tail', async () => {
  const changes: LoggedChange[] = [];
  const stop = server.feed.listen({ onChanges: (read) => changes.push(...read), onLost: () => {} });
  const since = await server.feed.currentPosition();
  const live = await server.stream('resources=genau');
  await live.clientId();
  for (const data of DATA) await server.psql('select change_feed.emit($1, $2::text::jsonb)', ['genau', data]);
  await until(() => live.updates.length === DATA.length);
  const fromMemory = await server.stream('resources=genau', { 'Last-Event-ID': since });
  await until(() => fromMemory.updates.length === DATA.length);
  const forgetful = await server.another({ recentChanges: 0 });
  const poll = async (url: string) => {
    const response = await fetch(`${url}/api/events/poll?wait=0&resources=genau&lastEventId=${since}`, {
      headers: { Authorization: `Bearer ${await server.token()}` },
    });
    return response.text();
  };
  const { rows } = await server.psql(`select keys as data from change_feed.change where resource = 'genau'
    order by lsn, at`);
  const recorded = rows.map(({ data }) => data as string);
  expect(recorded.slice(0, 4)).toEqual(['9007199254740993', DATA[1], `1${'0'.repeat(400)}`, '1.0']);
  const reading: Reading = { position: server.feed.position, changes, lost: false };
  const everything = new FollowedTopics(['*'], new StreamRights('*'));
  const received = {
    live: textOf(live),
    'from memory': textOf(fromMemory),
    'in a poll, from memory': await poll(server.url),
    'in a poll, from the log': await poll(forgetful.url),
    tail: jsonLines(tailedChanges(reading, everything), server.feed.position, server.feed.position).join('\n'),
  };
  for (const [where, text] of Object.entries(received)) {
    for (const data of recorded)
      expect({ where, data, is: text.includes(`"data":${data},"origin"`) }).toEqual({ where, data, is: true });
  }
  expect(changes.map(({ dataText }) => dataText)).toEqual(recorded);
  expect(changes[0]?.data).toBe(Number('9007199254740993'));
  stop();
});

test('keys, also where many changes become one', async () => {
  await server.psql(`create table genau_key (id jsonb primary key); select change_feed.watch('genau_key')`);
  const stream = await server.stream('resources=genau_key');
  await stream.clientId();
  const keys = ['9007199254740993', '1.0', '{"a": [1e2, "x,]"], "b": 9007199254740995}'];
  await server.psql(
    `begin; ${Array.from({ length: 12 }, (_, i) => `insert into genau_key values ('${keys[i] ?? i}')`).join(';')}; commit`,
  );
  await until(() => stream.updates.length > 0);
  const { rows } = await server.psql('select id::text as id from genau_key');
  const inKeys = [...textOf(stream).matchAll(/"keys":(\[.*?\])(?=,"origin")/g)].flatMap(([, list = '']) =>
    elementsOf(list),
  );
  const compact = (text: string) => text.replaceAll(' ', '');
  expect(inKeys.map(compact).sort()).toEqual(rows.map(({ id }) => compact(id)).sort());
});

test('a JSON array is taken apart and put together without a change', () => {
  fc.assert(
    fc.property(fc.array(fc.json()), fc.constantFrom(',', ' , '), (elements, comma) => {
      expect(elementsOf(`[${elements.join(comma)}]`)).toEqual(elements.map((text) => text.trim()));
    }),
  );
});

test.each([
  ['a bigint', 7n, /data: expected what JSON can hold, got a bigint; send it as text/],
  ['a bigint in a field', { id: 7n }, /got a bigint at "id"/],
  ['NaN', [Number.NaN], /got NaN at "0"/],
  ['infinity', { a: { b: Number.POSITIVE_INFINITY } }, /got Infinity at "b"/],
  ['a function', () => 1, /got a function/],
])('an emitter refuses %s, and does not begin the write', async (_name, data, message) => {
  const db = new Kysely<Record<string, never>>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: server.database.url }) }),
  });
  const { emitTableUpdate, withSSENotification } = createEmitter(db, pino({ level: 'silent' }));
  let written = false;
  await expect(emitTableUpdate('genau', { data })).rejects.toThrow(message);
  const write = async () => {
    written = true;
  };
  await expect(withSSENotification('genau', write, { data })).rejects.toThrow(message);
  expect(written).toBe(false);
  await db.destroy();
});
