import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { Change, SSEService } from '../../src/client/index.js';
import { topicFrom } from '../../src/client/resource.js';
import { formatTopic, parseTopic, type ScopeValue, topicOf } from '../../src/scope.js';
import { ScriptedServer } from './scripted-server.js';

// Listeners to scopes, on a stream with others.

let server: ScriptedServer;
let service: SSEService;
let warnings: string[];

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  server = new ScriptedServer();
  warnings = [];
  service = server.service({
    lastEventId: server.position,
    logger: { debug: () => {}, warn: (line: string) => warnings.push(line) },
  });
});

afterEach(() => {
  service.disconnect();
  jest.useRealTimers();
});

const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);
const of = (id: number | string) => ({ resource: 'anmeldung', scope: { veranstaltung_id: id } });
const topics = () => [...(server.open[0]?.topics ?? [])].sort();

test('a scope is an object or a text, in any order and of any type: one topic of one stream', async () => {
  const told: Change[] = [];
  const ends = [
    service.on({ resource: 'rechnung', scope: { projekt_id: 7n, bezahlt: true, art: 'ä,&=' } }, (change) =>
      told.push(change),
    ),
    service.on('rechnung?projekt_id=7&bezahlt=true&art=%C3%A4%2C%26%3D', (change) => told.push(change)),
  ];
  await pass(1000);
  expect(topics()).toEqual(['rechnung?art=%C3%A4%2C%26%3D&bezahlt=true&projekt_id=7']);
  const scope = { art: 'ä,&=', bezahlt: 'true', projekt_id: '7' };
  server.commit('rechnung', 1, [scope]);
  server.commit('rechnung', 2, [{ ...scope, projekt_id: '8' }]);
  await pass(0);
  expect(told).toEqual(Array.from({ length: 2 }, () => ({ resource: 'rechnung', scope, operation: 'emit', data: 1 })));
  for (const end of ends) end();
  service.on('other', () => {});
  await pass(2000);
  expect(topics()).toEqual(['other']);
  expect(server.streams).toHaveLength(1);
});

test('where another listener has the whole, a listener to a scope learns that something changed, and no more', async () => {
  const scoped: Change[] = [];
  const whole: Change[] = [];
  service.on(of(7), (change) => scoped.push(change));
  const off = service.on('anmeldung', (change) => whole.push(change));
  await pass(1000);
  server.commit('anmeldung', 1, [{ veranstaltung_id: '8' }]);
  server.say('event: table-update\ndata: {"resource":"anmeldung","operation":"delete","keys":[3]}\n\n');
  await pass(0);
  expect(scoped).toEqual(
    Array.from({ length: 2 }, () => ({ resource: 'anmeldung', scope: { veranstaltung_id: '7' } })),
  );
  expect(whole).toHaveLength(2);
  off();
  await pass(1000);
  scoped.length = 0;
  server.commit('anmeldung', 2, [{ veranstaltung_id: '8' }]);
  server.commit('anmeldung', 3, [{ veranstaltung_id: '7' }]);
  await pass(0);
  expect(scoped.map(({ data }) => data)).toEqual([3]);
});

test('what was missed names the scope: at the first connection, and where it cannot be replayed', async () => {
  const told: Change[] = [];
  service = server.service();
  service.on(of('x y'), (change) => told.push(change));
  await pass(1000);
  server.commit('other', 1);
  server.prune();
  server.cut();
  await pass(5000);
  const resync = { resource: 'anmeldung', scope: { veranstaltung_id: 'x y' }, reason: 'resync' };
  expect(told).toEqual([resync, resync]);
});

test('a scope that the table has no more is refetched, shown, and asked for again with the next stream', async () => {
  const told: Change[] = [];
  service.on(of(7), (change) => told.push(change));
  service.on('other', () => {});
  await pass(1000);
  const scope = '"resource":"anmeldung","scope":{"veranstaltung_id":"7"}';
  server.say(`event: table-update\ndata: {${scope},"reason":"resync"}\n\n`);
  server.say(`event: ended\ndata: {${scope},"reason":"no_scope"}\n\n`);
  await pass(0);
  expect(told).toEqual([{ ...parseTopic('anmeldung?veranstaltung_id=7'), reason: 'resync' }]);
  expect(warnings).toEqual(['SSE: the server has ended anmeldung?veranstaltung_id=7: no_scope']);
  server.fault = ({ query, body }) =>
    (query.get('resources') ?? body?.resource ?? '').includes('?') ? 'forbidden' : undefined;
  server.cut();
  await pass(10_000);
  expect(topics()).toEqual(['other']);
  expect(service.status).toBe('connected');
  expect(warnings[1]).toContain('refuses the resource anmeldung?veranstaltung_id=7');
});

test('what is no scope throws where it is written', () => {
  expect(() => service.on('anmeldung?veranstaltung_id', () => {})).toThrow(
    new TypeError('anmeldung?veranstaltung_id: expected column=value'),
  );
  expect(() => service.on('anmeldung?veranstaltung_id=%', () => {})).toThrow(
    new TypeError('scope: expected percent-encoding'),
  );
  const surrogate = { resource: 'anmeldung', scope: { name: '\ud800' } };
  expect(() => service.on(surrogate, () => {})).toThrow(new TypeError('scope: expected no lone surrogates'));
});

test('a topic is read as the server reads it', () => {
  const name = fc.string({ minLength: 1, maxLength: 15, unit: 'grapheme' }).filter((text) => !/[?\0]/.test(text));
  const value: fc.Arbitrary<ScopeValue> = fc.oneof(
    fc.string({ maxLength: 40, unit: 'grapheme' }).filter((text) => !text.includes('\0')),
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  );
  fc.assert(
    fc.property(name, fc.dictionary(name, value, { minKeys: 1, maxKeys: 4 }), (resource, scope) => {
      fc.pre(!resource.includes('*') && !resource.includes(','));
      const text = formatTopic(topicOf(resource, scope));
      expect(formatTopic(topicFrom({ resource, scope }))).toBe(text);
      expect(topicFrom(text)).toEqual(parseTopic(text));
    }),
  );
});
