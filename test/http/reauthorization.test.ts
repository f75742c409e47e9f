import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import type { Caller } from '../../src/http/caller.js';
import { createChangeFeed, type FeedWithStreams } from '../../src/http/create-change-feed.js';
import { HttpError } from '../../src/http/http-error.js';
import { type EventStream, openStream } from '../event-stream.js';
import { createTestDatabase, type TestDatabase } from '../test-database.js';
import { until } from '../until.js';

// Rights of open streams, which are asked for again.

let database: TestDatabase;
let psql: pg.Client;
let feed: FeedWithStreams;
let http: Server;
let url: string;
/** The application's answers for each subject, as they are now. */
let callers: Map<string, () => Caller | undefined>;
const asked: string[] = [];
const streams: EventStream[] = [];
const lines: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  psql = new pg.Client(database.url);
  await psql.connect();
  feed = createChangeFeed({
    databaseUrl: database.url,
    logger: pino({ level: 'warn' }, { write: (line: string) => lines.push(line) }),
  });
  await feed.start();
  const handle = feed.handler({
    reauthorizeS: 0.5,
    caller: async ({ headers }) => {
      const key = String(headers['x-key']);
      asked.push(key);
      return callers.get(key)?.();
    },
  });
  http = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
});

beforeEach(() => {
  callers = new Map([['zeuge', () => ({ subject: 'zeuge', rights: '*' })]]);
  asked.length = 0;
  lines.length = 0;
});

afterEach(() => {
  for (const stream of streams.splice(0)) stream.close();
});

afterAll(async () => {
  await feed.stop();
  http.closeAllConnections();
  await psql.end();
  await database.drop();
});

async function open(key: string, resources: string): Promise<EventStream> {
  const stream = await openStream(`${url}/api/events?resources=${resources}`, { 'x-key': key });
  streams.push(stream);
  await stream.clientId();
  return stream;
}

/** Waits until the caller of a stream has been asked for `times` times more. */
async function isAskedAgain(key: string, times = 2): Promise<void> {
  const before = asked.filter((each) => each === key).length;
  await until(() => asked.filter((each) => each === key).length >= before + times, `${key} to be asked for`);
}

const ended = (stream: EventStream) => stream.events.filter(({ event }) => event === 'ended').map(({ data }) => data);

test('what a list does not name any more ends, subscription by subscription, and the rest stays', async () => {
  callers.set('ada', () => ({ subject: 'ada', rights: ['a', 'b', 'c'] }));
  const stream = await open('ada', 'a,b,c');
  callers.set('ada', () => ({ subject: 'ada', rights: ['b'] }));
  await until(() => ended(stream).length === 2, 'two subscriptions to end');
  expect(ended(stream)).toEqual([
    { resource: 'a', reason: 'forbidden' },
    { resource: 'c', reason: 'forbidden' },
  ]);
  await psql.query(`select change_feed.emit('a'), change_feed.emit('c'), change_feed.emit('b')`);
  await until(() => stream.updates.includes('b'));
  expect(stream.updates).toEqual(['b']);

  // And by POST it does not come back.
  const body = JSON.stringify({ clientId: await stream.clientId(), resource: 'a' });
  const headers = { 'x-key': 'ada', 'Content-Type': 'application/json' };
  expect((await fetch(`${url}/api/events/subscribe`, { method: 'POST', headers, body })).status).toBe(403);
});

test('a function is asked again, although the stream has remembered its answers', async () => {
  const allowed = new Set(['a', 'b']);
  callers.set('ada', () => ({ subject: 'ada', rights: (resource) => allowed.has(resource) }));
  const stream = await open('ada', 'a');
  const all = await open('ada', '*');
  await psql.query(`select change_feed.emit('a')`);
  await until(() => all.updates.length === 1 && stream.updates.length === 1);
  allowed.delete('a');
  await until(() => ended(stream).length === 1);
  await isAskedAgain('ada', 4);
  await psql.query(`select change_feed.emit('a'), change_feed.emit('b')`);
  await until(() => all.updates.includes('b'));
  expect(all.updates).toEqual(['a', 'b']);
  expect(ended(all)).toEqual([]);
});

test('new rights count at once for what the stream subscribes to', async () => {
  // Of a name of its own: streams of the tests before are asked for as well.
  callers.set('grace', () => ({ subject: 'grace', rights: [] }));
  const stream = await open('grace', '*');
  callers.set('grace', () => ({ subject: 'grace', rights: ['a'] }));
  await isAskedAgain('grace');
  await psql.query(`select change_feed.emit('a')`);
  await until(() => stream.updates.includes('a'));
});

test.each<[string, () => Caller | undefined]>([
  ['there is no caller any more', () => undefined],
  ['the caller is refused', () => fail(new HttpError('forbidden', 'Gesperrt'))],
  ['somebody else has signed in', () => ({ subject: 'mallory', rights: '*' })],
])('where %s the stream ends with `revoked`', async (_what, caller) => {
  callers.set('ada', () => ({ subject: 'ada', rights: '*' }));
  const stream = await open('ada', 'a');
  const witness = await open('zeuge', 'a');
  callers.set('ada', caller);
  await until(() => stream.ended(), 'the stream to end');
  expect(stream.events.at(-1)?.event).toBe('revoked');
  expect(witness.ended()).toBe(false);
});

test('an outage of what knows the rights ends nothing, and is logged', async () => {
  callers.set('ada', () => ({ subject: 'ada', rights: '*' }));
  const stream = await open('ada', 'a');
  callers.set('ada', () => fail(new Error('connect ECONNREFUSED')));
  await isAskedAgain('ada', 3);
  expect(stream.ended()).toBe(false);
  expect(lines.join('')).toContain('the rights of a stream could not be asked for again');
  // Once it works again, it decides.
  callers.delete('ada');
  await until(() => stream.ended(), 'the stream to end');
});

test('a session that is prolonged prolongs its stream, and one that is shortened ends it', async () => {
  const begun = Date.now();
  callers.set('lang', () => ({ subject: 'lang', rights: '*', expiresAt: Date.now() + 3_600_000 }));
  callers.set('kurz', () => ({ subject: 'kurz', rights: '*', expiresAt: begun + 3_600_000 }));
  const long = await open('lang', 'a');
  const short = await open('kurz', 'a');
  await isAskedAgain('lang');
  callers.set('kurz', () => ({ subject: 'kurz', rights: '*', expiresAt: Date.now() }));
  await until(() => short.ended(), 'the short one to end');
  expect(short.events.at(-1)?.event).toBe('expired');
  expect(long.ended()).toBe(false);
});

test('streams are asked one after the other over the interval, not all at once', async () => {
  callers.set('viele', () => ({ subject: 'viele', rights: '*' }));
  await Promise.all(Array.from({ length: 50 }, () => open('viele', 'a')));
  asked.length = 0;
  let most = 0;
  let before = 0;
  await until(() => {
    const now = asked.filter((key) => key === 'viele').length;
    most = Math.max(most, now - before);
    before = now;
    return now >= 50;
  });
  // In one step of the test at most half of them: 50 streams in a hundred parts of the interval
  expect(most).toBeLessThan(25);
});

test('an interval that is no time is refused', () => {
  for (const reauthorizeS of [0, -1, Number.NaN]) {
    expect(() => feed.handler({ caller: () => undefined, reauthorizeS })).toThrow('reauthorizeS: expected seconds');
  }
});

test('rights that are withdrawn while the caller is looked for open nothing', async () => {
  let goOn = () => {};
  const looking = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let begun = false;
  const handle = feed.handler({
    caller: async () => {
      begun = true;
      await looking;
      return { subject: 'langsam', rights: '*' };
    },
  });
  const slow = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
  const answer = fetch(`http://127.0.0.1:${(slow.address() as AddressInfo).port}/api/events?resources=a`);
  await until(() => begun, 'the caller to be looked for');
  await feed.endStreams({ subject: 'langsam' });
  goOn();
  expect(await (await answer).json()).toMatchObject({ error: { code: 'revoked' } });
  slow.closeAllConnections();
  slow.close();
});

function fail(error: unknown): never {
  throw error;
}
