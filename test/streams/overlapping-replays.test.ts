import { PassThrough } from 'node:stream';
import { setImmediate as settled } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { pino } from 'pino';
import type { LoggedChange } from '../../src/change.js';
import type { ChangeFeed } from '../../src/feed/change-feed.js';
import type { FeedListener } from '../../src/feed/feed-listeners.js';
import { formatPosition, hasSeen, type Position } from '../../src/feed/log/position.js';
import type { Reading } from '../../src/feed/log/reading.js';
import { SSEManager } from '../../src/streams/manager.js';
import type { EventStream } from '../event-stream.js';
import { createStreamParser } from '../event-stream.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { until } from '../until.js';

// Several replays of one client at once: nothing older is sent after something newer.

describe('over a real stream', () => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startTestServer();
    await server.psql(`create table zeile (id int primary key); select change_feed.watch('zeile')`);
  });

  afterAll(() => server.stop());

  const received = (stream: EventStream) =>
    stream.events.flatMap(({ data }) => (data.keys ?? []).map((key: number) => `${data.operation} ${key}`));

  /** Holds back what replays have read; `release` lets the newest one continue, again and again, until `work` is done. */
  function heldReplays() {
    const original = server.feed.changesSince.bind(server.feed);
    const held: (() => void)[] = [];
    const spy = jest.spyOn(server.feed, 'changesSince').mockImplementation(async (...given) => {
      const reading = await original(...given);
      await new Promise<void>((resolve) => held.push(resolve));
      return reading;
    });
    return {
      held,
      release: async (work: Promise<unknown>) => {
        let done = false;
        void work.finally(() => {
          done = true;
        });
        while (!done) {
          held.pop()?.();
          await settled();
        }
        spy.mockRestore();
      },
    };
  }

  /** How a client comes to have several replays at once, each from before row `id`. */
  const overlaps: [
    string,
    (id: number, since: string, held: (() => void)[]) => Promise<[EventStream, Promise<unknown>]>,
  ][] = [
    [
      'two POST subscribes',
      async (_id, since) => {
        const stream = await server.stream('');
        const clientId = await stream.clientId();
        const post = () => server.post('/api/events/subscribe', { clientId, resource: 'zeile', since });
        return [stream, Promise.all([post(), post()])];
      },
    ],
    [
      'three POST subscribes, from different positions',
      async (_id, since) => {
        const stream = await server.stream('');
        const clientId = await stream.clientId();
        const now = await server.feed.currentPosition();
        const post = (from: string) =>
          server.post('/api/events/subscribe', { clientId, resource: 'zeile', since: from });
        return [stream, Promise.all([post(now), post(since), post(now)])];
      },
    ],
    [
      'a POST subscribe to the table and one to all',
      async (_id, since) => {
        const stream = await server.stream('');
        const clientId = await stream.clientId();
        const post = (resource: string) => server.post('/api/events/subscribe', { clientId, resource, since });
        return [stream, Promise.all([post('*'), post('zeile')])];
      },
    ],
    [
      'a POST subscribe during a resume',
      async (_id, since, held) => {
        const stream = await server.stream('resources=zeile', { 'Last-Event-ID': since });
        await until(() => held.length > 0);
        // It has been greeted after a second at the latest, also while the log is slow.
        const clientId = await stream.clientId();
        return [stream, server.post('/api/events/subscribe', { clientId, resource: 'zeile', since })];
      },
    ],
    [
      'an unsubscribe and a subscribe during a replay',
      async (_id, since, held) => {
        const stream = await server.stream('');
        const clientId = await stream.clientId();
        const body = { clientId, resource: 'zeile' };
        const first = server.post('/api/events/subscribe', { ...body, since });
        await until(() => held.length > 0);
        await server.post('/api/events/unsubscribe', body);
        return [stream, Promise.all([first, server.post('/api/events/subscribe', { ...body, since })])];
      },
    ],
  ];
  test.each(overlaps)('%s: the last event of a row is what happened last', async (_name, overlap) => {
    const id = overlaps.findIndex(([name]) => name === _name) + 7;
    const since = await server.feed.currentPosition();
    const witness = await server.stream('resources=zeile');
    await witness.clientId();
    await server.psql('insert into zeile values ($1)', [id]);
    await until(() => received(witness).includes(`insert ${id}`));
    const { held, release } = heldReplays();
    const [stream, work] = await overlap(id, since, held);
    await until(() => held.length > 0);
    await server.psql('delete from zeile where id = $1', [id]);
    await until(() => received(witness).includes(`delete ${id}`));
    await release(work);
    await until(() => received(stream).includes(`delete ${id}`));
    await server.psql(`select change_feed.emit('zeile')`);
    await until(() => stream.events.some(({ data }) => data.operation === 'emit'));
    expect(received(stream).filter((text) => text.endsWith(` ${id}`))).toContain(`insert ${id}`);
    expect(received(stream).at(-1)).toBe(`delete ${id}`);
    stream.close();
    witness.close();
  });
});

/** A feed whose reads end when the test says so, and a client of it. */
class Model {
  readonly log: LoggedChange[] = [];
  readonly pending: ((late: boolean) => void)[] = [];
  /** The events that the client received, in order: `resource key operation xid`. */
  readonly received: { resource: string; key: number; operation: string }[] = [];
  readonly manager: SSEManager;
  readonly clientId: string;
  #live = at(0);
  #listener: FeedListener | undefined;

  constructor() {
    const model = this;
    const feed = {
      instanceId: '01234567',
      get position() {
        return model.#live;
      },
      listen: (listener: FeedListener) => {
        model.#listener = listener;
        return () => {};
      },
      health: { database: true, listener: true },
      allResources: async () => ['a', 'b'],
      changesSince: (since: Position, resources?: readonly string[]) =>
        new Promise<Reading>((resolve) => {
          const asked = at(model.log.length);
          model.pending.push((late) => {
            const position = late ? at(model.log.length) : asked;
            const changes = model.log.filter(
              ({ xid = 0n, resource }) =>
                hasSeen(position, xid) && !hasSeen(since, xid) && (resources?.includes(resource) ?? true),
            );
            resolve({ position, changes, lost: false });
          });
        }),
    };
    this.manager = new SSEManager({
      feed: feed as unknown as ChangeFeed,
      logger: pino({ level: 'silent' }),
      holdMs: 0,
      heartbeatMs: 1_000_000,
    });
    const socket = new PassThrough({ highWaterMark: 1_000_000 });
    const parser = createStreamParser(({ event, data }) => {
      if (event !== 'table-update') return;
      for (const key of data.keys) this.received.push({ resource: data.resource, key, operation: data.operation });
    });
    socket.on('data', (chunk) => parser.feed(chunk));
    const client = this.manager.open({
      socket,
      subject: 'ada',
      rights: '*',
      topics: [],
    });
    this.clientId = client.id;
  }

  /** Inserts the row, or deletes it where it is there. */
  write(resource: string, key: number): void {
    const operation = this.last(resource, key) === 'insert' ? 'delete' : 'insert';
    this.log.push({ resource, keys: [key], operation, xid: BigInt(this.log.length) });
  }

  last(resource: string, key: number): string | undefined {
    return this.log.findLast((change) => change.resource === resource && change.keys?.[0] === key)?.operation;
  }

  send(): void {
    const before = this.#live;
    this.#live = at(this.log.length);
    const changes = this.log.filter(({ xid = 0n }) => !hasSeen(before, xid));
    if (changes.length > 0) this.#listener?.onChanges(changes, this.#live);
  }
}

/** The position behind the first `count` changes; their transaction ids are 0 and up, in a world that began before. */
function at(count: number): Position {
  return { epoch: 'e', xmin: BigInt(count), xmax: BigInt(count), xip: [] };
}

const mostlyA = fc.constantFrom('a', 'a', 'a', 'b');
const anyResource = fc.constantFrom('a', 'a', 'a', 'b', '*');
const step = fc.oneof(
  fc.record({ kind: fc.constant('write' as const), resource: mostlyA, key: fc.constantFrom(1, 1, 2) }),
  fc.record({ kind: fc.constant('send' as const) }),
  fc.record({
    kind: fc.constant('subscribe' as const),
    resource: anyResource,
    /** So many changes before the newest. */
    back: fc.option(fc.nat(6)),
  }),
  fc.record({ kind: fc.constant('unsubscribe' as const), resource: anyResource }),
  fc.record({ kind: fc.constant('finish' as const), which: fc.nat(5), late: fc.boolean() }),
);

test('whatever overlaps and in whatever order the reads end: nothing is lost, and the last event is the last change', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const model = new Model();
      const { manager, clientId } = model;
      /** The change from which on each subscription has to receive everything. */
      const from = new Map<string, number>();
      for (const one of [...steps, { kind: 'send' as const }]) {
        if (one.kind === 'write') model.write(one.resource, one.key);
        else if (one.kind === 'send') model.send();
        else if (one.kind === 'unsubscribe') {
          manager.unsubscribe(clientId, 'ada', one.resource);
          from.delete(one.resource);
        } else if (one.kind === 'finish') {
          model.pending.splice(one.which % Math.max(model.pending.length, 1), 1)[0]?.(one.late);
        } else {
          const since = one.back === null ? undefined : Math.max(model.log.length - one.back, 0);
          void manager.subscribe(clientId, 'ada', one.resource, since === undefined ? undefined : at(since));
          const start = since ?? model.log.length;
          from.set(one.resource, Math.min(from.get(one.resource) ?? start, start));
        }
        await settled();
      }
      while (model.pending.length > 0) {
        model.pending.shift()?.(true);
        await settled();
      }
      model.send();
      await settled();
      for (const resource of ['a', 'b']) {
        const start = Math.min(
          from.get(resource) ?? Number.POSITIVE_INFINITY,
          from.get('*') ?? Number.POSITIVE_INFINITY,
        );
        if (start === Number.POSITIVE_INFINITY) continue;
        for (const key of [1, 2]) {
          const happened = model.log
            .slice(start)
            .filter((change) => change.resource === resource && change.keys?.[0] === key);
          const received = model.received.filter((event) => event.resource === resource && event.key === key);
          expect(received.length).toBeGreaterThanOrEqual(happened.length);
          if (happened.length > 0) expect(received.at(-1)?.operation).toBe(model.last(resource, key));
        }
      }
      expect(formatPosition(at(model.log.length))).toBe(manager.requireClient(clientId, 'ada').currentId);
      await manager.close();
    }),
    {
      numRuns: 1000,
      examples: [
        // A change waits for a replay whose read began before it, and the next replay begins behind it.
        [
          [
            { kind: 'subscribe', resource: 'a', back: 0 },
            { kind: 'write', resource: 'a', key: 1 },
            { kind: 'send' },
            { kind: 'subscribe', resource: 'a', back: 0 },
            { kind: 'finish', which: 0, late: false },
          ],
        ],
      ],
    },
  );
});
