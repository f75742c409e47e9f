import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { Change, Scope } from '../../src/client/index.js';
import { formatTopic } from '../../src/scope.js';
import { type Fault, ScriptedServer } from './scripted-server.js';

// A service behind a network that does anything: nothing is lost, told out of order, or asked for too often.

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
});

afterEach(() => {
  jest.useRealTimers();
});

/** The topics that somebody may listen to: whole resources, and scopes of `a` and `b`. */
const TOPICS = ['a', 'b', 'c', 'a?x=1', 'a?x=2', 'b?x=1', 'b?x=1&y=2'] as const;
/** The scopes that a change is in: several where its row moved. */
const SCOPES = [{ x: '1' }, { x: '2' }, { x: '1', y: '2' }] as const;

type Step =
  | { readonly do: 'commit'; readonly resource: string; readonly scopes: readonly Scope[] }
  | { readonly do: 'listen'; readonly topic: string; readonly since: boolean }
  | { readonly do: 'leave' }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'cut'; readonly broken: boolean }
  | { readonly do: 'half an event' | 'expire' | 'prune' | 'connect' | 'set the clock' | 'beat' }
  | { readonly do: 'strip' | 'mute'; readonly on: boolean }
  | { readonly do: 'retry'; readonly ms: number }
  | { readonly do: 'faults'; readonly faults: readonly Fault[] };

const resource = fc.constantFrom('a', 'b', 'c');
const scopes = fc.subarray([...SCOPES]);
const topic = fc.constantFrom(...TOPICS);
const fault: fc.Arbitrary<Fault> = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  fc.constantFrom<Fault>('drop', 'html', 'busy', 'forbidden'),
  fc.record({ delayMs: fc.integer({ min: 1, max: 20_000 }) }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('commit' as const), resource, scopes }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('listen' as const), topic, since: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 5000 }) }) },
  fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 5000, max: 300_000 }) }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cut' as const), broken: fc.boolean() }) },
  fc.record({ do: fc.constantFrom('half an event', 'expire', 'prune', 'connect', 'set the clock', 'beat', 'leave') }),
  fc.record({ do: fc.constantFrom('strip', 'mute'), on: fc.boolean() }),
  fc.record({ do: fc.constant('retry' as const), ms: fc.constantFrom(0, 1, 1000, 10_000) }),
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('faults' as const), faults: fc.array(fault, { maxLength: 6 }) }),
  },
) as fc.Arbitrary<Step>;

/** One listener, and what it was told: numbers of changes, and between which of them it was told to refetch. */
interface Heard {
  readonly topic: string;
  /** Changes from this number on have to be told. */
  readonly from: number;
  readonly told: { readonly change: number | 'refetch'; readonly committed: number }[];
  readonly off: () => void;
  gone: boolean;
}

async function run(steps: readonly Step[]): Promise<void> {
  const server = new ScriptedServer();
  const service = server.service({ url: 'http://server/api/events?tenant=acme' });
  const committed: { topics: string[]; number: number }[] = [];
  const listeners: Heard[] = [];
  let faults: Fault[] = [];
  server.fault = () => faults.shift();

  const listen = (name: string, withSince: boolean) => {
    const told: Heard['told'] = [];
    const since = withSince ? server.position : undefined;
    const off = service.on(
      name,
      // Where another listener has the whole, one of a scope learns that something changed.
      ({ data }: Change) =>
        told.push({ change: data === undefined ? 'refetch' : Number(data), committed: committed.length }),
      { since },
    );
    listeners.push({ topic: name, from: committed.length, told, off, gone: false });
  };
  const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);

  listen('a', false);
  for (const each of steps) {
    switch (each.do) {
      case 'commit':
        server.commit(each.resource, committed.length, each.scopes);
        committed.push({
          topics: [each.resource, ...each.scopes.map((scope) => formatTopic({ resource: each.resource, scope }))],
          number: committed.length,
        });
        break;
      case 'listen':
        listen(each.topic, each.since);
        break;
      case 'leave': {
        const one = listeners.find(({ gone }) => !gone);
        one?.off();
        if (one) one.gone = true;
        break;
      }
      case 'pass':
        await pass(each.ms);
        break;
      case 'cut':
        server.cut(each.broken);
        break;
      case 'half an event':
        server.say('id: e.999:999:\nevent: table-update\ndata: {"resource":"a"');
        server.cut(true);
        break;
      case 'expire':
        server.say('event: expired\ndata: {}\n\n');
        server.cut();
        break;
      case 'prune':
        server.prune();
        break;
      case 'connect':
        if (listeners.some(({ gone }) => !gone)) service.connect();
        break;
      case 'set the clock':
        jest.setSystemTime(Date.now() + 86_400_000 * (committed.length % 2 === 0 ? 1 : -1));
        break;
      case 'beat':
        server.beat();
        break;
      case 'strip':
        server.stripsPosition = each.on;
        break;
      case 'mute':
        server.mute = each.on;
        server.cut();
        break;
      case 'retry':
        server.retryMs = each.ms;
        break;
      case 'faults':
        faults = [...each.faults];
    }
  }
  faults = [];
  if (listeners.some(({ gone }) => !gone)) service.connect();
  // A stream may be dead without a word, and a call may wait for 30 s
  for (let minutes = 0; minutes < 3; minutes += 1) {
    await pass(60_000);
    server.beat();
  }

  for (const { topic: name, from, told, gone } of listeners) {
    if (gone) continue;
    const wanted = committed.filter((change) => change.topics.includes(name) && change.number >= from);
    for (const { number } of wanted) {
      const heard = told.some(
        ({ change, committed: then }) => change === number || (change === 'refetch' && then > number),
      );
      if (!heard) throw new Error(`${name} was not told of ${number}: ${JSON.stringify(told)}`);
    }
    const foreign = told.find(({ change }) => change !== 'refetch' && !committed[change]?.topics.includes(name));
    if (foreign) throw new Error(`${name} was told of ${foreign.change}, which is not in it`);
    // In order: what comes again comes after a refetch, or is a repetition of what was told already.
    let last = -1;
    const seen = new Set<number>();
    for (const { change } of told) {
      if (change === 'refetch' || change < from || seen.has(change)) continue;
      seen.add(change);
      if (change < last) throw new Error(`${name} was told ${change} after ${last}`);
      last = change;
    }
  }
  const times = server.requests.map(({ at }) => at);
  for (const [place, at] of times.entries()) {
    const third = times[place + 2];
    if (third !== undefined && third - at < 1000) throw new Error(`three requests within ${third - at} ms`);
  }
  for (const { query } of server.requests.filter(({ path }) => !path.endsWith('subscribe')))
    if (query.get('tenant') !== 'acme') throw new Error('the query of the URL is lost');
  expect(service.status).toBe(listeners.every(({ gone }) => gone) ? 'idle' : 'connected');
  service.disconnect();
  await pass(1);
}

test('each listener is told of every change or of a resync, in order, with at most two requests a second', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), (steps) => run(steps)),
    { numRuns: Number(process.env.RUNS ?? 150), interruptAfterTimeLimit: 90_000, markInterruptAsFailure: false },
  );
});
