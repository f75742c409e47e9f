import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { QueryClient, VueQueryPlugin } from '@tanstack/vue-query';
import { createApp, type EffectScope, effectScope, ref } from 'vue';
import { type Change, SSEService } from '../../src/client/index.js';
import { useSSE } from '../../src/vue/index.js';
import { useLiveQuery } from '../../src/vue-query/index.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { until } from '../until.js';

let server: TestServer;
let service: SSEService;

beforeEach(async () => {
  server = await startTestServer();
  service = new SSEService({
    url: `${server.url}/api/events`,
    getToken: () => server.token(),
    lastEventId: await server.feed.currentPosition(),
    logger: { debug: () => {}, warn: () => {} },
  });
});

afterEach(async () => {
  service.disconnect();
  await server.stop();
});

const emit = (...resources: string[]) =>
  server.psql('select change_feed.emit(r) from unnest($1::text[]) r', [resources]);
const subscriptions = () => [...server.manager.clients()].flatMap((client) => [...client.subscriptions.keys()]).sort();

describe('useSSE', () => {
  test('connects, tells, follows its resource, and unsubscribes with its scope', async () => {
    const scope = effectScope();
    const heard: Change[] = [];
    const resource = ref<string | undefined>('a');
    const sse = scope.run(() => useSSE(resource, (change) => heard.push(change), { service }));
    expect(sse?.connecting.value).toBe(true);
    await until(() => sse?.connected.value === true);
    await emit('a', 'b');
    await until(() => heard.length === 1);

    resource.value = 'b';
    await until(() => subscriptions().join() === 'b');
    await emit('a', 'b');
    await until(() => heard.length === 2);
    expect(heard.map(({ resource }) => resource)).toEqual(['a', 'b']);

    resource.value = undefined;
    await until(() => subscriptions().join() === '');
    resource.value = 'a';
    await until(() => subscriptions().join() === 'a');
    scope.stop();
    // What the new subscription repeats may have arrived before
    const before = heard.length;
    const later: Change[] = [];
    service.on('later', (change) => later.push(change));
    await until(() => subscriptions().join() === 'later');
    await emit('a', 'later');
    await until(() => later.length > 0);
    expect(heard).toHaveLength(before);
  });

  test('a burst is told at once, and once at its end', async () => {
    const scope = effectScope();
    const heard: Change[] = [];
    scope.run(() => useSSE('a', (change) => heard.push(change), { service, burstMs: 500 }));
    await until(() => service.status === 'connected');
    await emit(...Array.from({ length: 50 }, () => 'a'));
    await until(() => heard.length === 2);
    expect(heard).toEqual([{ resource: 'a', operation: 'emit', origin: { application: 'psql' } }, { resource: 'a' }]);
    scope.stop();
  });

  test('a resource that stays among the names keeps what its throttle holds', async () => {
    const scope = effectScope();
    const heard: Change[] = [];
    const resources = ref(['a']);
    scope.run(() => useSSE(resources, (change) => heard.push(change), { service, burstMs: 2000 }));
    const direct: Change[] = [];
    service.on('a', (change) => direct.push(change));
    await until(() => service.status === 'connected');
    await emit('a', 'a', 'a');
    await until(() => direct.length === 3);
    expect(heard).toHaveLength(1);
    resources.value = ['b', 'a'];
    await until(() => heard.length === 2);
    expect(heard[1]).toEqual({ resource: 'a' });
    scope.stop();
  });

  test('passes over own changes when told to', async () => {
    const scope = effectScope();
    const heard: Change[] = [];
    scope.run(() => useSSE('a', (change) => heard.push(change), { service, ignoreOwn: true, burstMs: 0 }));
    await until(() => service.status === 'connected');
    await server.psql(
      `begin; set local change_feed.client = '${service.clientId}'; select change_feed.emit('a'); commit`,
    );
    await server.psql(`begin; set local change_feed.client = 'another'; select change_feed.emit('a'); commit`);
    await until(() => heard.length > 0);
    expect(heard.map(({ origin }) => origin?.client)).toEqual(['another']);
    scope.stop();
  });

  test('disconnect() and connect()', async () => {
    const scope = effectScope();
    const sse = scope.run(() => useSSE('a', () => {}, { service }));
    await until(() => sse?.connected.value === true);
    sse?.disconnect();
    expect(sse?.status.value).toBe('idle');
    sse?.connect();
    await until(() => sse?.connected.value === true);
    scope.stop();
  });

  test('outside of a scope it says so', () => {
    expect(() => useSSE('a', () => {}, { service })).toThrow('setup()');
  });
});

/** Runs a composable as a component's setup() would, with a client for queries. */
function inScope<Result>(composable: () => Result): { result: Result; scope: EffectScope } {
  const app = createApp({});
  app.use(VueQueryPlugin, { queryClient: new QueryClient() });
  const scope = effectScope();
  const result = app.runWithContext(() => scope.run(composable)) as Result;
  return { result, scope };
}

/** A query that gives the number of its fetch, and can be held up. */
function countedFetches() {
  let fetches = 0;
  let gate: Promise<void> | undefined;
  let open = () => {};
  return {
    get count() {
      return fetches;
    },
    queryFn: async () => {
      fetches += 1;
      const mine = fetches;
      await gate;
      return mine;
    },
    hold() {
      gate = new Promise((resolve) => {
        open = resolve;
      });
    },
    release() {
      gate = undefined;
      open();
    },
  };
}

describe('useLiveQuery', () => {
  test('fetches again with each change, and anew when a fetch is under way', async () => {
    const fetches = countedFetches();
    const { result: query, scope } = inScope(() =>
      useLiveQuery('a', { queryKey: ['a'], queryFn: fetches.queryFn }, { service, burstMs: 0 }),
    );
    await until(() => service.status === 'connected' && !query.isFetching.value);
    const before = fetches.count;
    await emit('a');
    await until(() => query.data.value === before + 1);

    fetches.hold();
    await emit('a');
    await until(() => fetches.count === before + 2);
    await emit('a');
    await until(() => fetches.count === before + 3);
    fetches.release();
    await until(() => query.data.value === before + 3);
    scope.stop();
  });

  test('also after its first fetch, which may have read before the change', async () => {
    const fetches = countedFetches();
    fetches.hold();
    const { result: query, scope } = inScope(() =>
      useLiveQuery('a', { queryKey: ['a'], queryFn: fetches.queryFn }, { service, burstMs: 0 }),
    );
    const heard: Change[] = [];
    service.on('a', (change) => heard.push(change));
    await until(() => service.status === 'connected');
    await emit('a', 'a', 'a');
    await until(() => heard.length >= 3);
    expect(fetches.count).toBe(1);
    fetches.release();
    await until(() => query.data.value === 2);
    scope.stop();
  });

  test('of several resources; of a key that is shown again; not while it is disabled', async () => {
    const fetches = countedFetches();
    const page = ref(1);
    const enabled = ref(true);
    const { result: query, scope } = inScope(() =>
      useLiveQuery(['a', 'b'], { queryKey: ['a', page], queryFn: fetches.queryFn, enabled }, { service, burstMs: 0 }),
    );
    await until(() => service.status === 'connected' && !query.isFetching.value);
    for (const resource of ['a', 'b']) {
      const before = fetches.count;
      await emit(resource);
      await until(() => query.data.value === before + 1);
    }
    const shown = fetches.count;
    page.value = 2;
    await until(() => query.data.value === shown + 1);
    page.value = 1;
    await until(() => query.data.value === shown + 2);

    enabled.value = false;
    const heard: Change[] = [];
    service.on('a', (change) => heard.push(change));
    await emit('a');
    await until(() => heard.length > 0);
    expect(fetches.count).toBe(shown + 2);
    enabled.value = true;
    await until(() => query.data.value === shown + 3);
    scope.stop();
  });
});

// Types, checked by tsc
void (() => {
  useSSE('veranstaltung', ({ keys, reason }) => [keys, reason]);
  useSSE(
    () => 'a',
    () => {},
  ).status.value satisfies string;
  // @ts-expect-error a resource is a name
  useSSE(7, () => {});
  // @ts-expect-error onUpdate is needed
  useSSE('a');
  // @ts-expect-error the status is read-only
  useSSE('a', () => {}).status.value = 'idle';
  const { data } = useLiveQuery('a', { queryKey: ['a'], queryFn: async () => 5 });
  data.value satisfies number | undefined;
  // @ts-expect-error no such operation
  const change: Change = { resource: 'a', operation: 'upsert' };
  return change;
});
