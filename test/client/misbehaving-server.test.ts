import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Change, SSEService, type SSEServiceOptions, type SSEStatus } from '../../src/client/index.js';
import { until } from '../until.js';
import { type MisbehavingServer, type Received, startMisbehavingServer, status, stream } from './misbehaving-server.js';

// A service before a server that does what servers and proxies do on bad days.

let server: MisbehavingServer;
let service: SSEService;
let heard: Change[];
let statuses: SSEStatus[];
let logged: string[];
const log = (...parts: unknown[]) => logged.push(parts.map(String).join(' '));

beforeEach(async () => {
  server = await startMisbehavingServer();
  heard = [];
  statuses = [];
  logged = [];
});

afterEach(async () => {
  service.disconnect();
  await server.close();
});

function listen(options: SSEServiceOptions = {}, resource = 'a'): void {
  service = new SSEService({
    url: `${server.url}/api/events`,
    getToken: () => 'token',
    retryBaseMs: 2,
    lastEventId: 'e.0:0:',
    logger: { debug: log, warn: log },
    ...options,
  });
  service.onStatus((next) => statuses.push(next));
  service.on(resource, (change) => heard.push(change));
}

const update = (resource: string, rest: object = {}, id?: string) =>
  `${id ? `id: ${id}\n` : ''}event: table-update\ndata: ${JSON.stringify({ resource, ...rest })}\n\n`;
const lastEventIdOf = ({ request }: Received) => request.headers['last-event-id'];

describe('a stream', () => {
  test('that is dropped in the middle of an event is opened again from before it', async () => {
    const whole = update('a', { operation: 'update', keys: [1] }, 'e.2:2:');
    const cut = update('a', { operation: 'update', keys: [2] }, 'e.3:3:').slice(0, -3);
    server.answers = [
      (received) => {
        stream(whole + cut)(received);
        received.response.socket?.end();
      },
      stream(update('a', { operation: 'update', keys: [2] }, 'e.3:3:')),
    ];
    listen();
    await until(() => heard.length === 2);
    expect(heard.map(({ keys }) => keys)).toEqual([[1], [2]]);
    expect(lastEventIdOf(await server.request(0))).toBe('e.0:0:');
    expect(lastEventIdOf(await server.request(1))).toBe('e.2:2:');
    expect(service.lastEventId).toBe('e.3:3:');
  });

  test('whose characters are split arrives whole', async () => {
    const bytes = Buffer.from(update('a', { data: 'Größe 🎉' }));
    server.answers = [
      async (received) => {
        stream()(received);
        for (const byte of bytes) {
          received.response.write(Buffer.of(byte));
          await new Promise(setImmediate);
        }
      },
    ];
    listen();
    await until(() => heard.length === 1);
    expect(heard).toEqual([{ resource: 'a', data: 'Größe 🎉' }]);
  });

  test('that is accepted and says nothing is given up, and so is one that falls silent', async () => {
    server.answers = [() => {}, stream(), stream('', { id: 'e.2:2:' })];
    listen({ silenceMs: 100 });
    await server.request(2);
    expect(logged.filter((line) => line === 'SSE connection error silent for 0.1 s')).toHaveLength(2);
  });

  test("comes back after the server's retry", async () => {
    server.answers = [
      (received) => {
        stream('', { retryMs: 700 })(received);
        received.response.end();
      },
      stream(),
    ];
    listen();
    await server.request(1);
    expect(logged.some((line) => /^SSE reconnecting in 700ms/.test(line))).toBe(true);
  });
});

describe('a refusal', () => {
  test('401 asks for another token, once, and goes on from where it stood', async () => {
    const reasons: string[] = [];
    server.answers = [status(401), stream(update('a'))];
    listen({
      getToken: (reason) => {
        reasons.push(reason);
        return reason;
      },
    });
    await until(() => heard.length === 1);
    expect(reasons).toEqual(['connect', 'refused']);
    const second = await server.request(1);
    expect(second.request.headers.authorization).toBe('Bearer refused');
    expect(lastEventIdOf(second)).toBe('e.0:0:');
  });

  test('401 with no other token is the end of the attempts, until connect()', async () => {
    server.answers = [status(401), stream()];
    listen();
    await until(() => service.status === 'unauthorized');
    expect(server.received).toHaveLength(1);
    service.connect();
    await until(() => service.status === 'connected');
  });

  test('an ever-new token that is never taken does not hammer', async () => {
    let tokens = 0;
    server.answers = [status(401)];
    listen({
      getToken: () => {
        tokens += 1;
        return String(tokens);
      },
    });
    await until(() => service.status === 'unauthorized');
    expect(server.received).toHaveLength(2);
  });

  test('no token: nothing is sent', async () => {
    listen({ getToken: () => null });
    await until(() => service.status === 'unauthorized');
    expect(server.received).toHaveLength(0);
  });

  test('a getToken that throws is a failure like others', async () => {
    let calls = 0;
    server.answers = [stream()];
    listen({
      getToken: async () => {
        calls += 1;
        if (calls < 3) throw new Error('the sign-in is down');
        return 'token';
      },
    });
    await until(() => service.status === 'connected');
    expect(logged.some((line) => line.includes('the sign-in is down'))).toBe(true);
  });

  test.each([
    [429, { 'Retry-After': '1' }],
    [503, { 'Retry-After': new Date(Date.now() + 3600_000).toUTCString() }],
  ])('%i: Retry-After wins', async (code, headers) => {
    server.answers = [status(code, headers), stream()];
    const now = () => performance.timeOrigin + performance.now(); // the client's clock, which has parts of a ms
    const before = now();
    listen();
    await until(() => service.status === 'waiting');
    const at = service.nextAttemptAt as number;
    expect(at - before).toBeGreaterThanOrEqual(code === 429 ? 1000 : 3_000_000);
    expect(at - now()).toBeLessThanOrEqual(code === 429 ? 1000 : 3_700_000);
    service.connect();
    await until(() => service.status === 'connected');
    expect(service.nextAttemptAt).toBeNull();
  });

  test('HTML from a proxy is a failure, and is named', async () => {
    server.answers = [status(200, { 'Content-Type': 'text/html' }, '<h1>Willkommen</h1>'), stream(update('a'))];
    listen();
    await until(() => heard.length === 1);
    expect(logged.some((line) => line.includes('expected text/event-stream, got text/html'))).toBe(true);
  });

  test('403 for one resource does not take the others down', async () => {
    const posts: string[] = [];
    const polls: string[] = [];
    const answer = (received: Received) => {
      const { url, body, request } = received;
      if (request.method === 'POST') {
        const { resource } = JSON.parse(body);
        posts.push(resource);
        if (resource === 'geheim') return status(403)(received);
        return status(200, {}, '{"success":true}')(received);
      }
      if (url.pathname.endsWith('/poll')) {
        polls.push(`${url.searchParams.get('resources')} ${url.searchParams.get('lastEventId')}`);
        return status(200, {}, '{"events":[{"resource":"a","data":1}],"position":"e.2:2:"}')(received);
      }
      if (url.searchParams.has('resources')) return status(403)(received);
      stream()(received);
    };
    server.answers = [answer];
    listen();
    service.on('geheim', (change) => heard.push(change));
    await until(() => posts.length === 2 && heard.length > 0);
    expect(posts.sort()).toEqual(['a', 'geheim']);
    expect(polls).toEqual(['a e.0:0:']);
    expect(heard).toEqual([{ resource: 'a', data: 1 }]);
    await until(() => logged.some((line) => line.includes('refuses the resource geheim (403)')));
    expect(service.status).toBe('connected');
  });
});

describe('failures', () => {
  test('lead to a rest with an attempt now and then; connect() ends it', async () => {
    server.answers = [status(500)];
    listen({ restAfterMs: 1, restMs: 500 });
    await until(() => service.status === 'resting');
    expect(service.nextAttemptAt).toBeGreaterThan(0);
    await server.request(3);
    expect(statuses).not.toContain('connected');
    server.answers = [stream()];
    service.connect();
    await until(() => service.status === 'connected');
  });

  test('maxAttempts makes the rest final', async () => {
    server.answers = [status(500)];
    listen({ maxAttempts: 2, restMs: 1 });
    await until(() => service.status === 'resting');
    expect(service.nextAttemptAt).toBeNull();
    expect(server.received).toHaveLength(2);
  });
});

describe('a subscribe by POST', () => {
  const posts = () => server.received.filter(({ request }) => request.method === 'POST');
  const missed = status(200, {}, '{"events":[{"resource":"b","data":"missed"}],"position":"e.1:1:"}');
  const answering =
    (...answers: ((received: Received) => void)[]) =>
    (received: Received) => {
      if (received.url.pathname.endsWith('/poll')) return missed(received);
      if (received.request.method !== 'POST') return stream()(received);
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      answer?.(received);
    };
  const ok = status(200, {}, '{"success":true,"watched":true}');

  test('is made for a later listener, which is told what it missed, and an unsubscribe for the last that goes', async () => {
    server.answers = [answering(ok)];
    listen();
    await until(() => service.lastEventId === 'e.1:1:');
    const told: Change[] = [];
    const offs = [service.on('b', (change) => told.push(change)), service.on('b', () => {})];
    await until(() => told.length === 1);
    expect(JSON.parse(posts()[0]?.body ?? '')).toEqual({ clientId: service.clientId, resource: 'b' });
    const poll = server.received.find(({ url }) => url.pathname.endsWith('/poll'));
    expect(poll?.url.search).toBe('?wait=0&lastEventId=e.1:1:&resources=b');
    expect(told).toEqual([{ resource: 'b', data: 'missed' }]);
    for (const off of offs) off();
    await until(() => posts().length === 2);
    expect(posts()[1]?.url.pathname).toBe('/api/events/unsubscribe');
  });

  test('is tried again after 503, and with another token after 401', async () => {
    server.answers = [answering(status(503), status(401), ok)];
    listen();
    await until(() => service.status === 'connected');
    service.on('b', () => {});
    await until(() => posts().length === 3);
  });

  test('that gets 404 opens another stream, and tells the listener that it may have missed changes', async () => {
    server.answers = [answering(status(404))];
    listen();
    await until(() => service.lastEventId === 'e.1:1:');
    const missed: Change[] = [];
    service.on('b', (change) => missed.push(change));
    await until(() => server.received.some(({ url }) => url.searchParams.get('resources') === 'a,b'));
    await until(() => service.status === 'connected');
    expect(missed).toEqual([]); // the position had not gone on: the new stream begins where the listener came
    expect(lastEventIdOf(server.received.at(-1) as Received)).toBe('e.1:1:');
  });

  test('that failed while the position went on keeps its own', async () => {
    let first: Received | undefined;
    let posted = 0;
    server.answers = [
      (received) => {
        if (received.url.pathname.endsWith('/poll')) return missed(received);
        if (received.request.method === 'POST') {
          posted += 1;
          return status(503, { 'Retry-After': '100' })(received);
        }
        if (first) return stream('', { id: 'e.3:3:' })(received);
        first = received;
        stream()(received);
      },
    ];
    listen();
    await until(() => service.lastEventId === 'e.1:1:');
    const told: Change[] = [];
    service.on('b', (change) => told.push(change));
    await until(() => posted === 1);
    first?.response.write(update('a', {}, 'e.2:2:'));
    await until(() => service.lastEventId === 'e.2:2:');
    first?.response.end();
    await until(() => told.length > 0);
    expect(told).toEqual([{ resource: 'b', data: 'missed' }]);
    expect(heard).toEqual([{ resource: 'a' }]);
    const poll = server.received.find(({ url }) => url.pathname.endsWith('/poll'));
    expect(poll?.url.search).toBe('?wait=0&lastEventId=e.1:1:&resources=b');
  });
});

describe('spread', () => {
  test('delays a listener by a part of it, and sums up what follows meanwhile', async () => {
    server.answers = [
      stream(
        update('a', { operation: 'update', keys: [1], spread: 300 }) + update('a', { operation: 'update', keys: [2] }),
      ),
    ];
    listen();
    await until(() => heard.length === 1);
    expect(heard).toEqual([{ resource: 'a' }]);
  });
});

test('a listener that throws does not keep the others from hearing', async () => {
  server.answers = [stream(update('a'))];
  listen();
  const error = console.error;
  const errors: unknown[] = [];
  console.error = (problem: unknown) => errors.push(problem);
  service.on('a', () => {
    throw new Error('a bug of the page');
  });
  const after: Change[] = [];
  service.on('a', (change) => after.push(change));
  await until(() => after.length === 1);
  console.error = error;
  expect(errors).toHaveLength(1);
});

test('disconnect() ends it for good, also while a token is being fetched; nothing is logged above debug', async () => {
  let give = (_token: string) => {};
  server.answers = [stream()];
  listen({ getToken: () => new Promise((resolve) => (give = resolve)) });
  service.disconnect();
  give('token');
  expect(service.status).toBe('idle');
  service.on('c', () => {});
  expect(service.status).toBe('idle');
  await new Promise(setImmediate);
  expect(server.received).toHaveLength(0);
});
