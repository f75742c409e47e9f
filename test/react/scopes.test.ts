import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { act, createElement, StrictMode } from 'react';
import { create, type ReactTestRenderer } from 'react-test-renderer';
import type { SSEService } from '../../src/client/index.js';
import { useSSE } from '../../src/react/index.js';
import { useLiveQuery } from '../../src/react-query/index.js';
import { ScriptedServer } from '../client/scripted-server.js';

let server: ScriptedServer;
let service: SSEService;
let root: ReactTestRenderer | undefined;
let told: unknown[];
let fetched: unknown[];

beforeEach(() => {
  // The renderer says at each start that others are preferred; they need a DOM.
  jest.spyOn(console, 'error').mockImplementation(() => {});
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  server = new ScriptedServer();
  told = [];
  fetched = [];
  service = server.service({ lastEventId: server.position });
});

afterEach(async () => {
  await act(async () => root?.unmount());
  root = undefined;
  service.disconnect();
  jest.useRealTimers();
  jest.restoreAllMocks();
});

const pass = (ms: number) => act(() => jest.advanceTimersByTimeAsync(ms));
const commit = (data: number, ...ids: number[]) =>
  server.commit(
    'anmeldung',
    data,
    ids.map((id) => ({ veranstaltung_id: String(id) })),
  );
const topics = () => [...(server.open[0]?.topics ?? [])].sort();

const queryClient = new QueryClient();
function Part({ id }: { id: number | undefined }) {
  // Another object in each render
  const part = { resource: 'anmeldung', scope: { veranstaltung_id: id } };
  useSSE(part, ({ scope, data }) => told.push([scope?.veranstaltung_id, data]), { service, burstMs: 0 });
  const queryFn = async () => fetched.push(id);
  useLiveQuery(part, { queryKey: ['part', id], queryFn, enabled: id !== undefined }, { service, burstMs: 0 });
  return null;
}
const render = (id?: number) =>
  act(async () => {
    const app = createElement(QueryClientProvider, { client: queryClient }, createElement(Part, { id }));
    const strict = createElement(StrictMode, null, app);
    if (root) root.update(strict);
    else root = create(strict);
  });

test('a value of a scope may change, and be unknown; renders with another object subscribe to nothing anew', async () => {
  await render();
  await pass(1000);
  expect(server.requests).toEqual([]);
  await render(7);
  await pass(1000);
  const requests = server.requests.length;
  for (let i = 0; i < 5; i += 1) await render(7);
  await pass(1000);
  expect(server.requests).toHaveLength(requests);
  expect(topics()).toEqual(['anmeldung?veranstaltung_id=7']);
  commit(1, 7);
  commit(2, 8);
  server.beat();
  await pass(100);
  await render(8);
  commit(3, 7, 8);
  await pass(2000);
  commit(4, 8);
  commit(5, 7);
  await pass(1000);
  expect(topics()).toEqual(['anmeldung?veranstaltung_id=8']);
  expect(told).toEqual([
    ['7', 1],
    ['8', 3],
    ['8', 4],
  ]);
  expect(fetched.filter((id) => id === 7)).toHaveLength(2);
  expect(fetched.at(-1)).toBe(8);
  await render();
  await pass(2000);
  expect(topics()).toEqual([]);
});
