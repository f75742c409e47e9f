import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { act, createElement, type ReactNode, StrictMode } from 'react';
import { create, type ReactTestRenderer } from 'react-test-renderer';
import { type Change, SSEService } from '../../src/client/index.js';
import { useSSE } from '../../src/react/index.js';
import { useLiveQuery } from '../../src/react-query/index.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { until } from '../until.js';

let server: TestServer;
let service: SSEService;
let root: ReactTestRenderer | undefined;

beforeEach(async () => {
  // The renderer says at each start that others are preferred; they need a DOM.
  jest.spyOn(console, 'error').mockImplementation(() => {});
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
  server = await startTestServer();
  service = new SSEService({
    url: `${server.url}/api/events`,
    getToken: () => server.token(),
    lastEventId: await server.feed.currentPosition(),
    logger: { debug: () => {}, warn: () => {} },
  });
});

afterEach(async () => {
  await act(async () => root?.unmount());
  root = undefined;
  service.disconnect();
  await server.stop();
  jest.restoreAllMocks();
});

const emit = (...resources: string[]) =>
  server.psql('select change_feed.emit(r) from unnest($1::text[]) r', [resources]);
const subscriptions = () => [...server.manager.clients()].flatMap((client) => [...client.subscriptions.keys()]).sort();

/** Renders as development does: StrictMode ends each effect and begins it again. */
async function render(element: ReactNode): Promise<void> {
  const strict = createElement(StrictMode, null, element);
  await act(async () => {
    if (root) root.update(strict);
    else root = create(strict);
  });
}

/** Waits, and lets React render what has come meanwhile. */
const rendered = (condition: () => boolean) =>
  until(async () => {
    await act(async () => {
      await new Promise(setImmediate);
    });
    return condition();
  });

describe('useSSE', () => {
  const heard: Change[] = [];
  let shown: ReturnType<typeof useSSE>;
  function Follower(props: { names: string | string[] | undefined; burstMs?: number; label?: string }) {
    const { names, burstMs = 0, label } = props;
    shown = useSSE(
      names,
      (change) => heard.push(label ? { ...change, resource: `${label}:${change.resource}` } : change),
      { service, burstMs },
    );
    return null;
  }
  beforeEach(() => {
    heard.length = 0;
  });

  test('StrictMode: one stream, each change once, and nothing after it unmounts', async () => {
    await render(createElement(Follower, { names: 'a' }));
    expect(shown.connecting).toBe(true);
    await rendered(() => shown.connected);
    expect(shown.staleSince).toBeNull();
    await emit('a', 'b', 'a');
    await rendered(() => heard.length === 2);
    expect([...server.manager.clients()]).toHaveLength(1);
    await act(async () => root?.unmount());
    root = undefined;
    const later: Change[] = [];
    service.on('later', (change) => later.push(change));
    await until(() => subscriptions().join() === 'later');
    await emit('a', 'later');
    await until(() => later.length > 0);
    expect(heard).toHaveLength(2);
  });

  test('an array that is new in each render, and a changed callback, do not subscribe again', async () => {
    const on = jest.spyOn(service, 'on');
    await render(createElement(Follower, { names: ['a', 'b'] }));
    await rendered(() => shown.connected);
    const calls = on.mock.calls.length;
    await render(createElement(Follower, { names: ['b', 'a'], label: 'second' }));
    expect(on.mock.calls).toHaveLength(calls);
    await emit('b');
    await rendered(() => heard.length === 1);
    expect(heard[0]?.resource).toBe('second:b');
  });

  test('follows the names as they change, and keeps what a throttle holds of those that stay', async () => {
    await render(createElement(Follower, { names: 'a', burstMs: 2000 }));
    const direct: Change[] = [];
    service.on('a', (change) => direct.push(change));
    await rendered(() => shown.connected);
    await emit('a', 'a', 'a');
    await until(() => direct.length === 3);
    expect(heard).toHaveLength(1);
    await render(createElement(Follower, { names: ['b', 'a'], burstMs: 2000 }));
    await until(() => subscriptions().join() === 'a,b');
    await rendered(() => heard.length === 2);
    expect(heard[1]).toEqual({ resource: 'a' });
    await emit('b');
    await rendered(() => heard.some(({ resource }) => resource === 'b'));
    await render(createElement(Follower, { names: undefined, burstMs: 2000 }));
    await until(() => subscriptions().join() === 'a');
  });

  test('disconnect() and connect()', async () => {
    await render(createElement(Follower, { names: 'a' }));
    await rendered(() => shown.connected);
    await act(async () => shown.disconnect());
    expect(shown.status).toBe('idle');
    await act(async () => shown.connect());
    await rendered(() => shown.connected);
  });
});

describe('useLiveQuery', () => {
  const fetched: string[] = [];
  let data: string | undefined;
  let gate: Promise<void> | undefined;
  function Live({ id, resource = 'a' }: { id: number; resource?: string }) {
    const queryFn = async () => {
      fetched.push(`${resource}${id}`);
      const text = `${resource}${id} ${fetched.length}`;
      await gate;
      return text;
    };
    data = useLiveQuery(resource, { queryKey: [resource, id], queryFn }, { service, burstMs: 0 }).data;
    return null;
  }
  let queryClient: QueryClient;
  const live = (id: number, resource = 'a') =>
    render(createElement(QueryClientProvider, { client: queryClient }, createElement(Live, { id, resource })));
  beforeEach(() => {
    queryClient = new QueryClient();
    fetched.length = 0;
    gate = undefined;
  });
  afterEach(() => queryClient.clear());

  test('fetches again with each change, of the key and the resource that are shown', async () => {
    await live(1);
    await rendered(() => service.status === 'connected' && data !== undefined);
    let before = fetched.length;
    await emit('a');
    await rendered(() => data === `a1 ${before + 1}`);

    await live(2);
    await rendered(() => data === `a2 ${before + 2}`);
    before = fetched.length;
    await emit('a');
    await rendered(() => data === `a2 ${before + 1}`);
    expect(fetched.slice(before)).toEqual(['a2']);

    await live(1);
    await rendered(() => data === `a1 ${before + 2}`);

    await live(2, 'b');
    await rendered(() => data?.startsWith('b2') === true && subscriptions().join() === 'b');
    before = fetched.length;
    await emit('a', 'b');
    await rendered(() => data === `b2 ${before + 1}`);
    expect(fetched.slice(before)).toEqual(['b2']);
  });

  test('once more after a first fetch that may have read before the change', async () => {
    let open = () => {};
    gate = new Promise((resolve) => {
      open = resolve;
    });
    await live(1);
    const direct: Change[] = [];
    service.on('a', (change) => direct.push(change));
    await until(() => service.status === 'connected');
    await emit('a', 'a', 'a');
    await until(() => direct.length === 3);
    const before = fetched.length;
    gate = undefined;
    open();
    await rendered(() => data === `a1 ${before + 1}`);
    expect(fetched).toHaveLength(before + 1);
  });
});

// Types, checked by tsc
void (() => {
  useSSE('veranstaltung', ({ keys, reason }) => [keys, reason]).status satisfies string;
  useSSE(undefined, () => {}, { since: null });
  // @ts-expect-error a resource is a name
  useSSE(7, () => {});
  useLiveQuery('a', { queryKey: ['a'], queryFn: async () => 5 }).data satisfies number | undefined;
  useLiveQuery('a', { queryKey: ['a'], queryFn: async () => 5, select: String }).data satisfies string | undefined;
});
