import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type Change, SSEService, type SSEServiceOptions, type SSEStatus, sseService } from '../../src/client/index.js';
import { ScriptedServer, update } from './scripted-server.js';

// How often a service asks, and what it says of itself, by a clock that the test moves.

let server: ScriptedServer;
let service: SSEService;
let told: Change[];
let warnings: string[];

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  server = new ScriptedServer();
  told = [];
  warnings = [];
});

afterEach(() => {
  service?.disconnect();
  jest.useRealTimers();
});

const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);
const now = () => performance.timeOrigin + performance.now();

function listen(options: SSEServiceOptions = {}): void {
  service = server.service({ logger: { debug: () => {}, warn: (line: string) => warnings.push(line) }, ...options });
  service.on('a', (change) => told.push(change));
}

/** The shortest time that any three requests took. */
function shortest(): number {
  const times = server.requests.map(({ at }) => at);
  return Math.min(...times.slice(2).map((at, place) => at - (times[place] as number)));
}

describe('waits', () => {
  test.each(['0', '-5', new Date(0).toUTCString(), 'nonsense'])('Retry-After: %s does not hammer', async (value) => {
    listen({ fetch: countingAnswers(() => new Response('', { status: 503, headers: { 'Retry-After': value } })) });
    await pass(60_000);
    expect(server.requests.length).toBeGreaterThan(3);
    expect(shortest()).toBeGreaterThanOrEqual(1000);
  });

  test.each(['2678400', '99999999999999'])('Retry-After: %s is kept, as far as a timer reaches', async (value) => {
    listen({ fetch: countingAnswers(() => new Response('', { status: 503, headers: { 'Retry-After': value } })) });
    await pass(3600_000);
    expect(server.requests).toHaveLength(1);
    const wait = (service.nextAttemptAt as number) - now();
    expect(wait).toBeGreaterThan(86_400_000);
    expect(wait).toBeLessThan(2 ** 31);
  });

  test.each([0, 1, 99_999_999_999_999])('retry: %i with streams that end at once', async (retryMs) => {
    server.retryMs = retryMs;
    listen();
    for (let i = 0; i < 600; i += 1) {
      await pass(100);
      server.cut();
    }
    expect(server.requests.length).toBeGreaterThan(0);
    if (retryMs > 1) expect(server.requests).toHaveLength(1);
    else expect(shortest()).toBeGreaterThanOrEqual(1000);
  });

  test('`expired` at once, again and again', async () => {
    let tokens = 0;
    listen({
      getToken: () => {
        tokens += 1;
        return `token ${tokens}`;
      },
    });
    for (let i = 0; i < 600; i += 1) {
      await pass(100);
      server.say('event: expired\ndata: {}\n\n');
      server.cut();
    }
    expect(server.requests.length).toBeGreaterThan(5);
    expect(server.requests.length).toBeLessThan(60);
    expect(shortest()).toBeGreaterThanOrEqual(1000);
  });

  test('a page that calls connect() all the time', async () => {
    server.fault = () => 'drop';
    listen();
    for (let i = 0; i < 600; i += 1) {
      service.connect();
      await pass(16);
    }
    expect(shortest()).toBeGreaterThanOrEqual(1000);
  });

  test('a restart of 16 s leaves the page stale for half as long at the most', async () => {
    listen();
    await pass(1000);
    server.fault = () => 'drop';
    server.cut(true);
    await pass(16_000);
    server.fault = () => undefined;
    await pass(8000);
    expect(service.status).toBe('connected');
  });

  test('two minutes of failures lead to a rest, in which it tries once a minute', async () => {
    server.fault = () => 'drop';
    listen();
    await pass(60_000);
    expect(service.status).toBe('waiting');
    await pass(120_000);
    expect(service.status).toBe('resting');
    const before = server.requests.length;
    await pass(300_000);
    // A stream and a poll each time
    expect(server.requests.length - before).toBe(10);
  });

  test.each([
    ['restMs', Number.NaN],
    ['hiddenMs', -1],
    ['silenceMs', '5' as unknown as number],
  ])('%s: %p is refused', (name, value) => {
    expect(() => new SSEService({ [name]: value })).toThrow(
      new TypeError(`${name}: expected a number from 0 on, got ${value}`),
    );
  });
});

describe('the status', () => {
  test('ends with the silence of one and a half heartbeats, and says since when', async () => {
    server.heartbeatMs = 4000;
    listen();
    await pass(3000);
    server.beat();
    await pass(0);
    const heardAt = now();
    expect(service.staleSince).toBeNull();
    await pass(5900);
    expect(service.status).toBe('connected');
    server.fault = () => 'drop';
    await pass(200);
    expect(service.status).toBe('waiting');
    expect(Math.abs((service.staleSince as number) - heardAt)).toBeLessThan(1);
    expect(service.nextAttemptAt).toBeGreaterThan(now());
    await pass(10_000);
    expect(Math.abs((service.staleSince as number) - heardAt)).toBeLessThan(1);
    server.fault = () => undefined;
    await pass(20_000);
    expect([service.status, service.staleSince, service.nextAttemptAt]).toEqual(['connected', null, null]);
  });

  test('is connected as long as any byte comes', async () => {
    listen({ silenceMs: 400 });
    for (let i = 0; i < 20; i += 1) {
      await pass(300);
      server.say(':\n');
    }
    expect(service.status).toBe('connected');
    expect(server.requests).toHaveLength(1);
  });

  test('is stale while the server cannot read the database', async () => {
    const statuses: SSEStatus[] = [];
    listen();
    service.onStatus((status) => statuses.push(status));
    await pass(1000);
    server.say('event: health\ndata: {"readable":false,"forMs":700}\n\n');
    await pass(0);
    expect(service.status).toBe('stale');
    expect(Math.abs(now() - 700 - (service.staleSince as number))).toBeLessThan(1);
    server.say('event: health\ndata: {"readable":true}\n\n');
    await pass(0);
    expect(service.staleSince).toBeNull();
    expect(statuses).toEqual(['connected', 'stale', 'connected']);
  });

  test('is never live where the system clock is set', async () => {
    listen();
    await pass(1000);
    server.fault = () => 'drop';
    server.cut(true);
    await pass(1);
    jest.setSystemTime(Date.now() + 86_400_000);
    await pass(5000);
    expect(now() - (service.staleSince as number)).toBeLessThan(10_000);
    expect((service.nextAttemptAt ?? now()) - now()).toBeLessThan(30_000);
  });
});

describe('nothing is lost', () => {
  test('two components with one callback are two registrations', async () => {
    listen();
    const listener = (change: Change) => told.push(change);
    const offs = [service.on('b', listener), service.on('b', listener)];
    await pass(2000);
    told.length = 0;
    offs[0]?.();
    offs[0]?.();
    server.commit('b', 1);
    await pass(0);
    expect(told).toEqual([{ resource: 'b', operation: 'emit', data: 1 }]);
    service.off('b', listener);
    await pass(5000);
    expect(server.open[0]?.topics).toEqual(new Set(['a']));
  });

  test("a list's position moves no other listener", async () => {
    const first = server.position;
    server.commit('a', 1);
    server.commit('b', 2);
    const second = server.position;
    server.commit('a', 3);
    server.commit('b', 4);
    service = server.service();
    service.on('a', (change) => told.push(change), { since: first });
    service.configure({ lastEventId: second });
    service.on('b', (change) => told.push(change));
    service.on('b', (change) => told.push({ ...change, resource: 'b again' }), { since: first });
    await pass(5000);
    const of = (name: string) => told.filter(({ resource }) => resource === name).map(({ data }) => data);
    expect([of('a'), of('b'), of('b again')]).toEqual([[1, 3], [4], [2, 4]]);
  });

  test('a position that a proxy strips: `resumed: false` is a resync', async () => {
    listen();
    await pass(1000);
    told.length = 0;
    server.stripsPosition = true;
    server.cut();
    server.commit('a', 1);
    await pass(5000);
    expect(told).toEqual([{ resource: 'a', reason: 'resync' }]);
  });

  test('the position is in the URL as well', async () => {
    listen({ lastEventId: 'e.1:1:' });
    await pass(0);
    expect(server.requests[0]?.query.get('lastEventId')).toBe('e.1:1:');
    expect(server.requests[0]?.headers.get('Last-Event-ID')).toBe('e.1:1:');
  });

  test('a resource that the server refuses is shown', async () => {
    listen();
    await pass(1000);
    server.fault = ({ path }) => (path.endsWith('/subscribe') ? 'forbidden' : undefined);
    service.on('secret', () => {});
    await pass(2000);
    expect(warnings).toEqual(['SSE: the server refuses the resource secret (403): not allowed']);
    expect(service.status).toBe('connected');
  });

  test('listeners that come together cost one stream, and no call for each', async () => {
    listen();
    await pass(2000);
    const before = server.requests.length;
    for (const name of ['b', 'c', 'd', 'e']) service.on(name, (change) => told.push(change));
    await pass(1000);
    expect(server.requests.length - before).toBe(1);
    expect(service.status).toBe('connected');
    server.commit('e', 1);
    await pass(0);
    expect(told.at(-1)).toEqual({ resource: 'e', operation: 'emit', data: 1 });
  });

  test('a live change waits until what was missed before it has been told', async () => {
    listen();
    await pass(2000);
    const since = server.position;
    server.commit('b', 1);
    server.fault = ({ path }) => (path.endsWith('/poll') ? { delayMs: 3000 } : undefined);
    const heard: unknown[] = [];
    service.on('b', ({ data }) => heard.push(data), { since });
    await pass(2000);
    server.commit('b', 2);
    server.say(update({ resource: 'b', data: 3 }, 'e.99:99:'));
    await pass(500);
    expect(heard).toEqual([]);
    await pass(5000);
    expect(heard).toEqual([1, 2, 3]);
  });
});

describe('until()', () => {
  test('is over with the position, by an event, a heartbeat, or after a second by a poll', async () => {
    listen();
    await pass(1000);
    const reached: string[] = [];
    const wait = (name: string) => service.until(server.position).then(() => reached.push(name));
    await wait('at once');
    server.commit('a', 1);
    await wait('event');
    server.commit('other', 2);
    void wait('heartbeat');
    await pass(100);
    expect(reached).toEqual(['at once', 'event']);
    server.beat();
    await pass(0);
    server.commit('other', 3);
    void wait('poll');
    await pass(1100);
    expect(reached).toEqual(['at once', 'event', 'heartbeat', 'poll']);
  });

  test('ends with its time, and says what is no position', async () => {
    listen();
    await pass(1000);
    server.fault = ({ path }) => (path.endsWith('/poll') ? 'drop' : undefined);
    server.commit('other', 1);
    const late = expect(service.until(server.position, { timeoutMs: 3000 })).rejects.toMatchObject({
      name: 'TimeoutError',
    });
    await pass(3001);
    await late;
    await expect(service.until('nonsense')).rejects.toThrow(
      new TypeError('until: expected a position of this feed, got "nonsense"'),
    );
    await service.until(null);
    await service.until(undefined);
  });
});

test.each([
  ['/api/events?tenant=acme', '/api/events', '/api/events/poll', 'acme'],
  ['/api/events/', '/api/events', '/api/events/poll', null],
  ['/api/events#top', '/api/events', '/api/events/poll', null],
  ['http://other.example:8080/feed/?tenant=acme#top', '/feed', '/feed/poll', 'acme'],
])('the url %s', async (url, stream, poll, tenant) => {
  listen({ url: url.startsWith('/') ? `http://server${url}` : url });
  await pass(100);
  service.on('b', () => {}, { since: server.position });
  await pass(2000);
  const paths = server.requests.map(({ path }) => path);
  expect([paths[0], paths.at(-1)]).toEqual([stream, poll]);
  for (const { query } of server.requests) expect(query.get('tenant')).toBe(tenant);
});

test('where a server renders pages, nothing is kept and nothing asked for', () => {
  for (let i = 0; i < 300; i += 1) sseService.on('a', () => {});
  sseService.configure({ url: 'http://server/api/events', fetch: server.fetch });
  for (let i = 0; i < 300; i += 1) sseService.on('a', () => {});
  expect(sseService.status).toBe('idle');
  expect(server.requests).toEqual([]);
});

/** Answers every request, and counts it. */
function countingAnswers(answer: () => Response): typeof fetch {
  return async (...request) => {
    server.fault = () => 'drop';
    await server.fetch(...request).catch(() => {});
    return answer();
  };
}
