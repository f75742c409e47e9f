import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { QueryClient, QueryObserver } from '@tanstack/query-core';
import type { SSEService } from '../../src/client/index.js';
import { type BindOptions, bindQueryClient, type FollowedQueries } from '../../src/query/index.js';
import { ScriptedServer } from '../client/scripted-server.js';

let server: ScriptedServer;
let service: SSEService;
let queryClient: QueryClient;
let ends: (() => void)[];

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  server = new ScriptedServer();
  service = server.service();
  queryClient = new QueryClient();
  queryClient.mount();
  ends = [];
});

afterEach(() => {
  for (const end of ends) end();
  service.disconnect();
  queryClient.unmount();
  queryClient.clear();
  jest.useRealTimers();
});

const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);
const bind = (queries: FollowedQueries, options: BindOptions = {}) => {
  const end = bindQueryClient(queryClient, queries, { service, ...options });
  ends.push(end);
  return end;
};

/** Shows a query that takes `ms`, and counts its fetches. */
function show(queryKey: readonly unknown[], ms = 0) {
  const fetches = { begun: 0 };
  const observer = new QueryObserver(queryClient, {
    queryKey,
    queryFn: async () => {
      fetches.begun += 1;
      const number = fetches.begun;
      await new Promise((resolve) => setTimeout(resolve, ms));
      return number;
    },
  });
  ends.push(observer.subscribe(() => {}));
  return { fetches, observer };
}

test('one call binds any number of queries to resources', async () => {
  bind({ a: ['as'], b: ({ keys = [] }) => keys.map((key) => ['b', key]) }, { burstMs: 0, since: server.position });
  const [list, page, seven, eight] = [show(['as']), show(['as', 2]), show(['b', 7]), show(['b', 8])];
  await pass(1000);
  server.commit('a', 1);
  await pass(10);
  server.say('event: table-update\ndata: {"resource":"b","operation":"update","keys":[7]}\n\n');
  await pass(10);
  expect([list, page, seven, eight].map(({ fetches }) => fetches.begun)).toEqual([2, 2, 2, 1]);
});

test('data and its position: nothing is fetched twice at the start', async () => {
  const since = server.position;
  queryClient.setQueryData(['as'], 0);
  queryClient.setQueryDefaults(['as'], { staleTime: Number.POSITIVE_INFINITY });
  const end = bind({ a: ['as'] }, { since });
  const { fetches } = show(['as']);
  await pass(2000);
  expect(fetches.begun).toBe(0);
  server.commit('a', 1);
  await pass(1000);
  expect(fetches.begun).toBe(1);
  end();
  server.commit('a', 2);
  await pass(1000);
  expect(fetches.begun).toBe(1);
});

test('without a position everything is fetched once more with the first connection', async () => {
  bind({ a: ['as'] }, { since: null });
  const { fetches } = show(['as']);
  await pass(2000);
  expect(fetches.begun).toBe(2);
});

test('a fetch that may have read before the change is followed by another, the first one, too', async () => {
  bind({ a: ['as'] }, { since: server.position, burstMs: 0 });
  await pass(1000);
  const { fetches, observer } = show(['as'], 500);
  await pass(100);
  server.commit('a', 1);
  await pass(2000);
  expect(fetches.begun).toBe(2);
  expect(observer.getCurrentResult().data).toBe(2);
  server.commit('a', 2);
  await pass(100);
  server.commit('a', 3);
  await pass(2000);
  expect(observer.getCurrentResult().data).toBe(fetches.begun);
});

test('a burst is fetched at once and once at its end, with the keys of its rows', async () => {
  const seen: unknown[] = [];
  const follow = ({ keys }: { keys?: readonly unknown[] }) => {
    seen.push(keys);
    return [];
  };
  bind({ a: follow }, { since: server.position });
  await pass(1000);
  const say = (...keys: number[]) =>
    server.say(`event: table-update\ndata: ${JSON.stringify({ resource: 'a', operation: 'update', keys })}\n\n`);
  say(1);
  for (let key = 2; key <= 40; key += 1) say(key, 2);
  await pass(300);
  expect(seen).toEqual([[1], Array.from({ length: 39 }, (_, i) => i + 2)]);
  await pass(1000);
  say(1);
  for (let key = 2; key <= 200; key += 1) say(key);
  await pass(300);
  expect(seen.slice(2)).toEqual([[1], undefined]);
});

test('of all resources a burst forgets none', async () => {
  const seen: string[] = [];
  bind(
    {
      '*': ({ resource }) => {
        seen.push(resource);
        return [];
      },
    },
    { since: server.position },
  );
  await pass(1000);
  for (const name of ['a', 'b', 'c', 'b']) server.commit(name, 1);
  await pass(300);
  expect(seen).toEqual(['a', 'b', 'c']);
});

test('passes over own changes when told to', async () => {
  bind({ a: ['as'] }, { since: server.position, ignoreOwn: true });
  const { fetches } = show(['as']);
  await pass(1000);
  const own = { resource: 'a', operation: 'update', keys: [1], origin: { client: service.clientId } };
  server.say(`event: table-update\ndata: ${JSON.stringify(own)}\n\n`);
  await pass(1000);
  expect(fetches.begun).toBe(1);
});
