import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { type Change, SSEService, type SSEServiceOptions } from '../../src/client/index.js';
import { ScriptedServer } from './scripted-server.js';

// Who asks: a token, a cookie, or a header of the application's own.

let server: ScriptedServer;
let service: SSEService;
let sent: RequestInit[];

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  server = new ScriptedServer();
  sent = [];
});

afterEach(() => {
  service.disconnect();
  jest.useRealTimers();
});

const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);

function listen(options: SSEServiceOptions): Change[] {
  const told: Change[] = [];
  service = new SSEService({
    url: 'http://server/api/events',
    fetch: (input, init = {}) => {
      sent.push(init);
      return server.fetch(input, init);
    },
    logger: { debug: () => {}, warn: () => {} },
    ...options,
  });
  service.on('a', (change) => told.push(change));
  return told;
}
const headersOf = (init: RequestInit | undefined) => Object.fromEntries(new Headers(init?.headers));

test('no token at all: a cookie goes along, and a header against CSRF with every request', async () => {
  let asked = 0;
  listen({
    getToken: null,
    credentials: 'include',
    headers: () => {
      asked += 1;
      return { 'X-CSRF': `csrf ${asked}` };
    },
  });
  await pass(1000);
  service.on('b', () => {}, { since: server.position });
  await pass(2000);
  expect(service.status).toBe('connected');
  expect(server.requests.map(({ path }) => path)).toEqual(['/api/events', '/api/events/subscribe', '/api/events/poll']);
  for (const [place, init] of sent.entries()) {
    expect(init.credentials).toBe('include');
    expect(headersOf(init)).toMatchObject({ 'x-csrf': `csrf ${place + 1}` });
    expect(headersOf(init)).not.toHaveProperty('authorization');
  }
});

test('cookies stay with the same origin unless told otherwise', async () => {
  listen({ getToken: () => 'token' });
  await pass(0);
  expect(sent[0]?.credentials).toBe('same-origin');
  expect(headersOf(sent[0])).toMatchObject({ authorization: 'Bearer token' });
});

test.each([null, undefined, ''])('a token that is %p: nothing is sent, and connect() asks again', async (nothing) => {
  let token: string | null | undefined = nothing;
  listen({ getToken: async () => token });
  await pass(5000);
  expect(service.status).toBe('unauthorized');
  expect(server.requests).toEqual([]);
  token = 'token';
  service.connect();
  await pass(100);
  expect(service.status).toBe('connected');
});

test('a getToken that never answers is a failure after half a minute', async () => {
  listen({ getToken: () => new Promise(() => {}) });
  await pass(29_900);
  expect(service.status).toBe('connecting');
  await pass(200);
  expect(service.status).toBe('waiting');
});

test('rights that were withdrawn: it does not come back by itself, and connects again when it is told to', async () => {
  // A page that can be hidden, shown, and cut off
  const page = {
    document: Object.assign(new EventTarget(), { visibilityState: 'visible' }),
    window: new EventTarget(),
  };
  Object.assign(globalThis, page);
  listen({ getToken: () => 'a token that still holds', tabs: false });
  await pass(1000);
  server.say('event: revoked\ndata: {}\n\n');
  await pass(1000);
  expect(service.state).toMatchObject({ status: 'revoked', nextAttemptAt: null, staleSince: expect.any(Number) });
  const asked = server.requests.length;
  // Neither by itself, nor for a further listener, nor when the page is shown
  service.on('b', () => {});
  page.document.dispatchEvent(new Event('visibilitychange'));
  page.window.dispatchEvent(new Event('online'));
  await pass(60 * 60_000);
  expect({ status: service.status, requests: server.requests.length }).toEqual({ status: 'revoked', requests: asked });
  service.connect();
  await pass(1000);
  expect(service.status).toBe('connected');
  service.disconnect();
  for (const name of Object.keys(page)) Reflect.deleteProperty(globalThis, name);
});

test('rights that are withdrawn while it polls, because streams are kept back: it does not come back either', async () => {
  server.mute = true;
  listen({ getToken: () => 'a token that still holds', connectMs: 1000 });
  await pass(5000);
  expect(service.status).toBe('connected');
  server.fault = ({ path }) => (path.endsWith('/poll') ? 'revoked' : undefined);
  server.commit('a', 1);
  await pass(60_000);
  expect(service.state).toMatchObject({ status: 'revoked', nextAttemptAt: null });
  const asked = server.requests.length;
  await pass(60 * 60_000);
  expect(server.requests.length).toBe(asked);
});
