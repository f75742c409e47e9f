import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { computed, type EffectScope, effectScope, ref, shallowRef } from 'vue';
import type { Change, SSEService } from '../../src/client/index.js';
import { useSSE } from '../../src/vue/index.js';
import { ScriptedServer } from '../client/scripted-server.js';

let server: ScriptedServer;
let service: SSEService;
let scope: EffectScope;

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  server = new ScriptedServer();
  scope = effectScope();
  service = server.service({ lastEventId: server.position });
});

afterEach(() => {
  scope.stop();
  service.disconnect();
  jest.useRealTimers();
});

const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);
const topics = () => [...(server.open[0]?.topics ?? [])].sort();
let committed = 0;
/** Commits a change of the registrations of one event, or of two where a row moves. */
const commit = (...ids: number[]) => {
  committed += 1;
  server.commit(
    'anmeldung',
    committed,
    ids.map((id) => ({ veranstaltung_id: String(id) })),
  );
  return committed;
};

test('a ref as the value of a scope: the old one ends, the new one begins where the page is; nothing is lost, nothing told twice', async () => {
  const id = ref<number>();
  const told: [id: string | undefined, number: unknown][] = [];
  scope.run(() =>
    useSSE(
      { resource: 'anmeldung', scope: { veranstaltung_id: id } },
      ({ scope: part, data }) => told.push([part?.veranstaltung_id, data]),
      { service, burstMs: 0 },
    ),
  );
  await pass(1000);
  expect(server.requests).toEqual([]);
  id.value = 7;
  await pass(1000);
  expect(topics()).toEqual(['anmeldung?veranstaltung_id=7']);
  const seven = [commit(7), commit(7)];
  commit(8);
  server.beat();
  await pass(10);
  id.value = 8;
  // Before the server knows of it, while it subscribes, and while what was missed is fetched
  const eight = [commit(8), commit(7, 8)];
  for (let i = 0; i < 30; i += 1) {
    await pass(100);
    eight.push(commit(8));
    commit(7);
  }
  await pass(0);
  expect(topics()).toEqual(['anmeldung?veranstaltung_id=8']);
  expect(told).toEqual([...seven.map((number) => ['7', number]), ...eight.map((number) => ['8', number])]);
  id.value = undefined;
  await pass(2000);
  expect(topics()).toEqual([]);
});

test('a getter gives the scope, and a ref the position of its data', async () => {
  const id = ref(7);
  const since = shallowRef(server.position);
  const told: unknown[] = [];
  commit(7);
  scope.run(() =>
    useSSE(
      () => ({ resource: 'anmeldung', scope: { veranstaltung_id: id.value } }),
      ({ data }) => told.push(data),
      { service, since, burstMs: 0 },
    ),
  );
  await pass(1000);
  expect(told).toEqual([committed]);
  commit(8);
  since.value = server.position;
  const after = commit(8);
  id.value = 8;
  await pass(3000);
  expect(told.slice(1)).toEqual([after]);
});

test('what stays the same is not subscribed anew, however often its getter is read', async () => {
  const id = ref(7);
  const other = ref(0);
  scope.run(() =>
    useSSE(
      () => [{ resource: 'anmeldung', scope: { veranstaltung_id: id.value + 0 * other.value } }, 'a'],
      () => {},
      {
        service,
      },
    ),
  );
  await pass(1000);
  const before = server.requests.length;
  other.value += 1;
  await pass(1000);
  expect(server.requests).toHaveLength(before);
  expect(topics()).toEqual(['a', 'anmeldung?veranstaltung_id=7']);
});

// Types, checked by tsc
void (() => {
  useSSE({ resource: 'a', scope: { x: 7, y: ref('b'), z: () => true, id: computed(() => 8n) } }, ({ scope: part }) => {
    part?.x satisfies string | undefined;
  });
  useSSE('a?x=7', (change: Change) => change);
  // @ts-expect-error a value of a scope is text, a number or a boolean
  useSSE({ resource: 'a', scope: { x: new Date() } }, () => {});
  // @ts-expect-error a scope is of a resource
  useSSE({ scope: { x: 7 } }, () => {});
});
