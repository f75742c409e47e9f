import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { QueryClient, type UseQueryOptions, VueQueryPlugin } from '@tanstack/vue-query';
import { computed, createApp, type EffectScope, effectScope, nextTick, ref } from 'vue';
import type { SSEService } from '../../src/client/index.js';
import type { UseSSEOptions } from '../../src/vue/index.js';
import { type LiveResources, useLiveQuery } from '../../src/vue-query/index.js';
import { ScriptedServer } from '../client/scripted-server.js';

let server: ScriptedServer;
let service: SSEService;
let scope: EffectScope;
/** The keys of all fetches so far. */
let fetched: unknown[];

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  server = new ScriptedServer();
  scope = effectScope();
  fetched = [];
  service = server.service();
});

afterEach(() => {
  scope.stop();
  service.disconnect();
  jest.useRealTimers();
});

const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);
const commit = (id: number) => server.commit('anmeldung', id, [{ veranstaltung_id: String(id) }]);

/** A live query in a component, whose fetches take 100 ms. */
function live(resource: LiveResources, queryOptions: UseQueryOptions<number>, options: UseSSEOptions = {}) {
  const app = createApp({}).use(VueQueryPlugin, { queryClient: new QueryClient() });
  return app.runWithContext(() =>
    scope.run(() => useLiveQuery(resource, queryOptions, { service, burstMs: 0, ...options })),
  ) as ReturnType<typeof useLiveQuery<number>>;
}
const queryFn = async ({ queryKey }: { queryKey: readonly unknown[] }) => {
  fetched.push(queryKey.at(-1));
  const number = fetched.length;
  await new Promise((resolve) => setTimeout(resolve, 100));
  return number;
};

test('data with its position is fetched once, and not once more with the first connection', async () => {
  const { data } = live('anmeldung', { queryKey: ['a'], queryFn, initialData: 0 }, { since: server.position });
  await pass(3000);
  expect([fetched, data.value]).toEqual([['a'], 1]);
  expect(service.status).toBe('connected');
  commit(7);
  await pass(1000);
  expect(fetched).toHaveLength(2);
});

test('a first fetch that may have read before the change is followed by one other, however many changes come', async () => {
  const { data } = live('anmeldung', { queryKey: ['a'], queryFn }, { since: server.position });
  await pass(50);
  for (const id of [1, 2, 3]) commit(id);
  await pass(1000);
  expect([fetched, data.value]).toEqual([['a', 'a'], 2]);
});

test('the key of getters, and options in a ref', async () => {
  const page = ref(1);
  live('anmeldung', { queryKey: ['a', () => page.value], queryFn }, { since: server.position });
  live(
    'anmeldung',
    computed(() => ({ queryKey: ['b', `b ${page.value}`], queryFn })),
    { since: server.position },
  );
  await pass(1000);
  page.value = 2;
  await pass(1000);
  expect(fetched).toEqual([1, 'b 1', 2, 'b 2']);
  commit(7);
  await pass(1000);
  expect(fetched.slice(4)).toEqual([2, 'b 2']);
});

test('a query of a scope is not fetched for another', async () => {
  const id = ref(7);
  let position = server.position;
  const fetchPart = (context: Parameters<typeof queryFn>[0]) => {
    position = server.position;
    return queryFn(context);
  };
  live(
    { resource: 'anmeldung', scope: { veranstaltung_id: id } },
    { queryKey: ['anmeldungen', id], queryFn: fetchPart },
    { since: () => position },
  );
  await pass(1000);
  expect(fetched).toEqual([7]);
  commit(8);
  server.beat();
  await pass(1000);
  expect(fetched).toEqual([7]);
  commit(7);
  await pass(1000);
  expect(fetched).toEqual([7, 7]);
  id.value = 8;
  await nextTick();
  await pass(2000);
  expect(fetched).toEqual([7, 7, 8]);
  commit(8);
  await pass(1000);
  expect(fetched).toEqual([7, 7, 8, 8]);
});
