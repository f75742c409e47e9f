import { type AddressInfo, connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Koa from 'koa';
import { createHttpServer } from '../../src/http/http-server.js';
import { RequestRate } from '../../src/http/request-rate.js';
import { RunningRequests } from '../../src/http/running-requests.js';
import type { RunningServer, ServerOptions } from '../../src/koa/server.js';
import { type EventStream, openStream } from '../event-stream.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { until } from '../until.js';

// What one subject, and all together, may cost.

let server: TestServer;
const streams: EventStream[] = [];

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(async () => {
  for (const stream of streams) stream.close();
  await server.stop();
});

const limited = (options: Partial<ServerOptions>) => server.another(options);

async function open(at: RunningServer, sub: string): Promise<EventStream> {
  const stream = await openStream(`${at.url}/api/events?token=${await server.token({ sub })}`);
  streams.push(stream);
  await stream.clientId();
  return stream;
}

async function refusalOf(at: RunningServer, sub: string) {
  const response = await fetch(`${at.url}/api/events?token=${await server.token({ sub })}`);
  return {
    status: response.status,
    retryAfter: Number(response.headers.get('Retry-After')),
    body: (await response.json()) as object,
  };
}

async function post(at: RunningServer, path: string, body: object, sub = 'ada') {
  const response = await fetch(at.url + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${await server.token({ sub })}` },
    body: JSON.stringify(body),
  });
  return { status: response.status, retryAfter: response.headers.get('Retry-After'), body: await response.json() };
}

const ROW = {
  name: 'Sommerfest',
  beginn: '2030-07-01',
  ende: '2030-07-02',
  meldebeginn: '2030-01-01T00:00:00Z',
  meldeschluss: '2030-06-01T00:00:00Z',
  maxTeilnehmende: 100,
  teilnahmegebuehr: 0,
};

describe('requests that run at once', () => {
  test('of one subject wait beyond their number, others do not, and too many that wait are 429', async () => {
    const at = await limited({ maxRequestsPerSubject: 1 });
    // Each waits for a lock that is held, so that it runs until the lock is given back.
    const made = await post(at, '/api/veranstaltungen', ROW);
    expect(made.status).toBe(201);
    await server.psql('begin; lock table veranstaltung in access exclusive mode');
    // One more than may wait: whichever arrives last is refused.
    const asked = Array.from({ length: 22 }, () => post(at, '/api/veranstaltungen', ROW, 'gierig'));
    const refused = await Promise.race(asked);
    expect(refused).toMatchObject({
      status: 429,
      body: { error: { message: expect.stringMatching(/At most 21 requests at once/) } },
    });
    expect((await post(at, '/api/events/subscribe', {}, 'bescheiden')).status).toBe(400);
    await server.psql('commit');
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    expect(statuses.sort()).toEqual([...Array(21).fill(201), 429]);
    expect((await post(at, '/api/events/subscribe', {}, 'gierig')).status).toBe(400);
  });

  test('do not count while they are a stream or a poll', async () => {
    const at = await limited({ maxRequestsPerSubject: 1 });
    await open(at, 'geduldig');
    const token = await server.token({ sub: 'geduldig' });
    const since = await server.feed.currentPosition();
    const left = new AbortController();
    const poll = fetch(`${at.url}/api/events/poll?resources=still&lastEventId=${since}&token=${token}`, {
      signal: left.signal,
    }).catch(() => 'left');
    for (let i = 0; i < 5; i += 1) expect((await post(at, '/api/events/subscribe', {}, 'geduldig')).status).toBe(400);
    left.abort();
    expect(await poll).toBe('left');
  });

  test('run until their answers have been read', async () => {
    const app = new Koa();
    app.silent = true;
    const running = new RunningRequests({ max: 2, maxWaiting: 1 });
    app.use(async (ctx, next) => {
      if (await running.start(ctx.path, ctx.res)) await next();
    });
    app.use((ctx) => {
      ctx.body = Buffer.alloc(20_000_000);
    });
    const http = createHttpServer(app.callback(), {});
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const { port } = http.address() as AddressInfo;
    const ask = (path: string, reads: boolean) => {
      const socket = connect(port, '127.0.0.1');
      const asked = { socket, bytes: 0 };
      if (reads) {
        socket.on('data', (chunk) => {
          asked.bytes += chunk.length;
        });
      }
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
      return asked;
    };
    const silent = [ask('/a', false), ask('/a', false)];
    const other = ask('/b', true);
    await until(() => other.bytes > 20_000_000, 'another subject to be served');
    const waits = ask('/a', true);
    let refused = 0;
    await until(async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/a`, { signal: AbortSignal.timeout(300) }).catch(() => null);
      if (answer?.status === 429) refused += 1;
      return refused > 0;
    });
    expect(waits.bytes).toBe(0);
    silent[0]?.socket.destroy();
    await until(() => waits.bytes > 20_000_000, 'the one that waited to be served');
    for (const { socket } of [...silent, other, waits]) socket.destroy();
    http.close();
  });
});

describe('streams', () => {
  test('of one subject: another is 429, one that was closed makes room, and others are not held up', async () => {
    const at = await limited({ maxStreamsPerSubject: 2 });
    const [first] = await Promise.all([open(at, 'gierig'), open(at, 'gierig')]);
    expect(await refusalOf(at, 'gierig')).toEqual({
      status: 429,
      retryAfter: 5,
      body: { error: { code: 'too_many_requests', message: 'At most 2 streams at once: close another' } },
    });
    await open(at, 'bescheiden');
    first.close();
    await until(() => [...at.manager.clients()].length === 2);
    await open(at, 'gierig');
  });

  test('in all: another is 503 with a random Retry-After, for every subject', async () => {
    const at = await limited({ maxStreams: 3 });
    const opened = await Promise.all(['a', 'b', 'c'].map((sub) => open(at, sub)));
    const refusals = await Promise.all(Array.from({ length: 20 }, (_, i) => refusalOf(at, `d${i}`)));
    for (const { status, retryAfter, body } of refusals) {
      expect({ status, body }).toEqual({
        status: 503,
        body: { error: { code: 'unavailable', message: expect.any(String) } },
      });
      expect(retryAfter).toBeGreaterThanOrEqual(5);
    }
    expect(new Set(refusals.map(({ retryAfter }) => retryAfter)).size).toBeGreaterThan(1);
    opened[0]?.close();
    await until(() => [...at.manager.clients()].length === 2);
    await open(at, 'e');
  });

  test('a client that leaves before its answer keeps no place', async () => {
    const at = await limited({ maxStreamsPerSubject: 1 });
    const token = await server.token({ sub: 'fluechtig' });
    for (let i = 0; i < 20; i += 1) {
      await new Promise<void>((resolve) => {
        const socket = connect(Number(new URL(at.url).port), '127.0.0.1', () => {
          socket.write(`GET /api/events?token=${token} HTTP/1.1\r\nHost: x\r\n\r\n`, () => socket.destroy());
        });
        socket.on('close', () => resolve());
      });
    }
    await until(async () => (await refusalOfOrOpen(at, 'fluechtig')) === 200);
  });

  async function refusalOfOrOpen(at: RunningServer, sub: string): Promise<number> {
    const response = await fetch(`${at.url}/api/events?token=${await server.token({ sub })}`);
    await response.body?.cancel();
    return response.status;
  }
});

describe('subscriptions of one stream', () => {
  test('by POST: one more is 429, also through another server; one that is there already, or was ended, is not', async () => {
    const at = await limited({ maxSubscriptions: 3 });
    const other = await limited({ maxSubscriptions: 3 });
    const stream = await open(at, 'ada');
    const clientId = await stream.clientId();
    const subscribe = (resource: string, by = at) => post(by, '/api/events/subscribe', { clientId, resource });
    for (const name of ['a', 'b', 'c', 'a']) expect((await subscribe(name)).status).toBe(200);
    for (const by of [at, other]) {
      expect(await subscribe('d', by)).toEqual({
        status: 429,
        retryAfter: '5',
        body: {
          error: { code: 'too_many_requests', message: 'The stream has as many subscriptions as it may: end another' },
        },
      });
    }
    await post(at, '/api/events/unsubscribe', { clientId, resource: 'a' });
    expect((await subscribe('d')).status).toBe(200);
  });

  test('and names that it asks for without end cost no memory without end', async () => {
    let asked = 0;
    const at = await limited({
      authorize: () => {
        asked += 1;
        return true;
      },
    });
    const client = at.manager.requireClient(await (await open(at, 'ada')).clientId(), 'ada');
    client.authorize('first');
    client.authorize('first');
    expect(asked).toBe(1);
    for (let i = 0; i < 1000; i += 1) client.authorize(`${i}`);
    client.authorize('first');
    expect(asked).toBe(1002);
  });

  test('in the URL: one more is 400', async () => {
    const at = await limited({ maxSubscriptions: 3 });
    const status = async (resources: string) => {
      const response = await fetch(`${at.url}/api/events?resources=${resources}&token=${await server.token()}`);
      await response.body?.cancel();
      return response.status;
    };
    expect([await status('a,b,c'), await status('a,b,c,d')]).toEqual([200, 400]);
  });
});

describe('requests other than GET of one subject', () => {
  test('are 429 beyond the measure, whatever they ask for, and come again after Retry-After', async () => {
    const at = await limited({ maxPostsPerS: 2 });
    const tried = await Promise.all(
      Array.from({ length: 100 }, () => post(at, '/api/events/subscribe', { clientId: 'a', resource: 'a' }, 'eilig')),
    );
    const refused = tried.filter(({ status }) => status === 429);
    // Four seconds' worth pass at once, 8, and 2 for each second that all of them take
    expect(refused.length).toBeGreaterThan(8);
    expect(tried.length - refused.length).toBeGreaterThanOrEqual(8);
    for (const { retryAfter, body } of refused) {
      expect(retryAfter).toBe('1');
      expect(body).toEqual({ error: { code: 'too_many_requests', message: expect.any(String) } });
    }
    // Others continue, and so does reading
    expect((await post(at, '/api/veranstaltungen', {}, 'andere')).status).toBe(400);
    const list = await fetch(`${at.url}/api/veranstaltungen?token=${await server.token({ sub: 'eilig' })}`);
    expect(list.status).toBe(200);
    await until(async () => (await post(at, '/api/veranstaltungen', {}, 'eilig')).status === 400, 'the next to pass');
  });

  test('many subjects cost no memory without end', () => {
    const rate = new RequestRate({ perSecond: 1, maxSubjects: 10 });
    const request = (subject: string) => rate.take('POST', subject);
    const spend = (subject: string) => {
      for (let i = 0; i < 4; i += 1) request(subject);
      expect(() => request(subject)).toThrow('At most 1');
    };
    spend('a');
    for (let i = 0; i < 9; i += 1) request(`${i}`);
    expect(() => request('a')).toThrow('At most 1');
    // Ten others later it is forgotten, and begins anew
    for (let i = 10; i < 20; i += 1) request(`${i}`);
    spend('a');
  });
});

describe('a body', () => {
  const send = async (at: RunningServer, body: RequestInit['body'] & {}, headers = {}) => {
    const response = await fetch(`${at.url}/api/veranstaltungen`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${await server.token()}`, ...headers },
      body,
      duplex: 'half',
    } as RequestInit);
    return { status: response.status, body: await response.json() };
  };
  const tooLong = { status: 413, body: { error: { code: 'payload_too_large', message: expect.any(String) } } };

  test('that is too long is 413, announced or not', async () => {
    const at = await limited({ maxBodyKb: 1 });
    const text = JSON.stringify({ name: 'x'.repeat(1100) });
    expect(await send(at, text)).toEqual(tooLong);
    expect(await send(at, new Blob([text]).stream())).toEqual(tooLong);
    expect((await send(at, '{}')).status).toBe(400);
    expect((await send(server, text)).status).toBe(400);
  });

  test('that is small and unpacks to 100 MB is 413', async () => {
    const bomb = gzipSync(Buffer.alloc(100_000_000, ' '));
    expect(bomb.length).toBeLessThan(100_000);
    expect(await send(await limited({ maxBodyKb: 256 }), bomb, { 'Content-Encoding': 'gzip' })).toEqual(tooLong);
  });
});

test('a huge token is refused before it is looked at', async () => {
  const huge = 'x'.repeat(20_000);
  for (const [query, headers] of [
    [`?token=${huge}`, {}],
    ['', { Authorization: `Bearer ${huge}` }],
  ] as const) {
    const response = await fetch(`${server.url}/api/anmeldungen${query}`, { headers });
    expect({ status: response.status, body: await response.json() }).toEqual({
      status: 400,
      body: { error: { code: 'bad_request', message: 'The URL and the headers are too long' } },
    });
  }
  const roomy = await limited({ maxHeaderKb: 64 });
  expect((await fetch(`${roomy.url}/api/anmeldungen?token=${huge}`)).status).toBe(401);
});

test('a name of over 200 bytes is refused, and counted in bytes', async () => {
  const status = async (resource: string) => {
    const response = await fetch(
      `${server.url}/api/events?resources=${encodeURIComponent(resource)}&token=${await server.token()}`,
    );
    await response.body?.cancel();
    return response.status;
  };
  expect([await status('ä'.repeat(100)), await status(`${'ä'.repeat(100)}x`)]).toEqual([200, 400]);
});

test('a client that does not read its stream is cut off after STALL_S, and others never wait for it', async () => {
  const at = await limited({ stallMs: 300 });
  const token = await server.token({ sub: 'stumm' });
  const unreading = connect(Number(new URL(at.url).port), '127.0.0.1');
  unreading.pause();
  unreading.write(`GET /api/events?resources=flut&token=${token} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const witness = await openStream(`${at.url}/api/events?resources=flut,marke&token=${await server.token()}`);
  streams.push(witness);
  await until(() => [...at.manager.clients()].length === 2);
  const data = JSON.stringify('x'.repeat(60_000));
  const isThere = () => [...at.manager.clients()].some(({ subject }) => subject === 'stumm');
  // One after the other: two that are read together would be summed up, and fill no socket
  for (let sent = 1; isThere(); sent += 1) {
    await server.psql(`select change_feed.emit('flut', $1)`, [data]);
    await until(() => witness.updates.length >= sent, 'the witness to receive');
  }
  await server.psql(`select change_feed.emit('marke')`);
  await until(() => witness.updates.includes('marke'));
  // And with it what waited for it in the kernel, which is megabytes
  let bytes = 0;
  let ended = false;
  unreading.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  unreading.on('error', () => {});
  unreading.on('close', () => {
    ended = true;
  });
  unreading.resume();
  await until(() => ended, 'the end');
  expect(bytes).toBeLessThan(500_000);
});
