import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import type { Change, SSEService, SSEServiceOptions } from '../../src/client/index.js';
import { ScriptedServer } from './scripted-server.js';

// A service behind proxies that keep streams back, by a clock that the test moves.

let server: ScriptedServer;
let service: SSEService;
let told: Change[];

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  server = new ScriptedServer();
  told = [];
});

afterEach(() => {
  service?.disconnect();
  jest.useRealTimers();
});

const pass = async (ms: number) => {
  await jest.advanceTimersByTimeAsync(ms);
  // The code for polls is loaded when it is needed
  await new Promise(setImmediate);
  await jest.advanceTimersByTimeAsync(0);
};
const MINUTE_MS = 60_000;

async function listen(options: SSEServiceOptions = {}): Promise<void> {
  service = server.service(options);
  service.on('a', (change) => told.push(change));
  await pass(0);
}

const polls = () => server.requests.filter(({ path }) => path.endsWith('/poll'));
const streams = () => server.requests.filter(({ path }) => path === '/api/events');
/** Commits, and says after how many ms it was told. */
async function delayOf(data: number): Promise<number> {
  const begun = performance.now();
  server.commit('a', data);
  while (!told.some((change) => change.data === data)) {
    if (performance.now() - begun > MINUTE_MS) throw new Error('not told within a minute');
    await pass(100);
  }
  return performance.now() - begun;
}

test('a proxy that keeps streams back for ever: polls take its place within the deadline', async () => {
  server.mute = true;
  await listen();
  await pass(10_500);
  expect(service.status).toBe('connected');
  expect(streams()).toHaveLength(1);
  expect(polls()[0]?.query.get('wait')).toBe('0');
  expect(told).toEqual([{ resource: 'a', reason: 'resync' }]);
  for (let i = 1; i <= 5; i += 1) expect(await delayOf(i)).toBeLessThan(1100);
  service.on('b', (change) => told.push(change));
  await pass(2000);
  expect(polls().at(-1)?.query.get('resources')).toBe('a,b');
  server.commit('b', 9);
  await pass(1500);
  expect(told.at(-1)?.data).toBe(9);
});

test('the stream is tried beside the polls after 1, 2, 4, 8 and then every 10 minutes, and taken when it works', async () => {
  server.mute = true;
  await listen();
  await pass(10_500);
  const at: number[] = [];
  const begun = performance.now();
  for (let i = 0; i < 60 * 30; i += 1) {
    const before = streams().length;
    await pass(1000);
    if (streams().length > before) at.push(Math.round((performance.now() - begun) / MINUTE_MS));
  }
  expect(at).toEqual([1, 3, 7, 16, 26]);
  server.mute = false;
  await pass(11 * MINUTE_MS);
  expect(server.open).toHaveLength(1);
  const before = polls().length;
  for (let i = 0; i < 5; i += 1) {
    await pass(20_000);
    server.beat();
  }
  expect(polls()).toHaveLength(before);
  expect(await delayOf(1)).toBeLessThan(200);
});

test('round trips of 12 s are slow, not mute: the stream gets more time', async () => {
  server.delayMs = 12_000;
  await listen();
  await pass(60_000);
  expect(service.status).toBe('connected');
  expect(server.open).toHaveLength(1);
  expect(polls()).toHaveLength(1);
});

test('a proxy that keeps streams back and cuts after 5 s: polls wait for less', async () => {
  server.mute = true;
  server.cutMs = 5000;
  await listen();
  await pass(60_000);
  expect(service.status).toBe('connected');
  expect(polls().at(-1)?.query.get('wait')).toBe('3');
  for (let i = 1; i <= 5; i += 1) expect(await delayOf(i)).toBeLessThan(1100);
});

test('a proxy that answers streams with HTML, and polls as the server does', async () => {
  server.fault = ({ path }) => (path === '/api/events' ? 'html' : undefined);
  await listen();
  await pass(5000);
  expect(service.status).toBe('connected');
  expect(await delayOf(1)).toBeLessThan(1100);
});

test('the server goes away while it polls: that is shown, and it comes back', async () => {
  server.mute = true;
  await listen();
  await pass(11_000);
  server.fault = () => 'drop';
  server.cutMs = 1;
  server.commit('a', 1);
  await pass(30_000);
  expect(service.status).toBe('waiting');
  expect(service.staleSince).not.toBeNull();
  server.commit('a', 2);
  server.fault = () => undefined;
  server.cutMs = Number.POSITIVE_INFINITY;
  await pass(20_000);
  expect(service.status).toBe('connected');
  expect(told.map(({ data, reason }) => reason ?? data)).toEqual(['resync', 1, 2]);
});

test('a resource that the server refuses keeps the others from nothing', async () => {
  server.mute = true;
  server.fault = ({ query }) => (query.get('resources')?.includes('secret') ? 'forbidden' : undefined);
  await listen();
  service.on('secret', (change) => told.push(change));
  await pass(30_000);
  expect(service.status).toBe('connected');
  expect(await delayOf(1)).toBeLessThan(1100);
});
