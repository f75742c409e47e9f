import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import pg from 'pg';
import { RecentChanges } from '../../src/feed/catch-up/recent-changes.js';
import { ChangeLog } from '../../src/feed/log/change-log.js';
import {
  formatPosition,
  hasSeen,
  isAtLeast,
  MAX_POSITION_BYTES,
  type Position,
  parsePosition,
} from '../../src/feed/log/position.js';
import type { Reading } from '../../src/feed/log/reading.js';
import { createTestDatabase, type TestDatabase } from '../test-database.js';

// Random histories of several sessions on a real Postgres, beside a model that knows what committed when.

const SESSIONS = 4;

let database: TestDatabase;
let log: ChangeLog;
let sessions: pg.Client[];
let written = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  log = new ChangeLog(database.url, () => {});
  sessions = await Promise.all(
    Array.from({ length: SESSIONS }, async () => {
      const client = new pg.Client({ connectionString: database.url });
      client.on('error', () => {}); // dropping the database ends it
      await client.connect();
      return client;
    }),
  );
  await sessions[0]?.query(`create table wert (id int primary key); select change_feed.watch('wert')`);
});

afterAll(async () => {
  await Promise.all(sessions.map((client) => client.end()));
  await log.close();
  await database.drop();
});

type Step = {
  readonly session: number;
  readonly action: 'begin' | 'write' | 'savepoint' | 'rollback to' | 'commit' | 'abort' | 'read';
};

const step: fc.Arbitrary<Step> = fc.record({
  session: fc.nat(SESSIONS - 1),
  action: fc.oneof(
    { weight: 5, arbitrary: fc.constant('write' as const) },
    { weight: 3, arbitrary: fc.constant('read' as const) },
    { weight: 3, arbitrary: fc.constantFrom('begin' as const, 'commit' as const) },
    { weight: 1, arbitrary: fc.constantFrom('savepoint' as const, 'rollback to' as const, 'abort' as const) },
  ),
});

/** What the model knows of a session that is in a transaction: what it wrote, in its savepoints. */
type Open = number[][];

/** A moment at which a reader stood somewhere, and how many commits the model had seen by then. */
interface Moment {
  readonly position: Position;
  readonly commits: number;
}

/** Runs a history; returns the moments of its reads, and what each commit brought. */
async function run(history: readonly Step[], onRead: (reading: Reading) => void) {
  const open = new Map<number, Open>();
  const commits: number[][] = [];
  const start = await log.begin();
  const moments: Moment[] = [{ position: start, commits: 0 }];
  let last = start;
  for (const { session, action } of history) {
    const client = sessions[session] as pg.Client;
    const levels = open.get(session);
    if (action === 'read') {
      const reading = await log.read(last);
      onRead(reading);
      last = reading.position;
      moments.push({ position: last, commits: commits.length });
    } else if (action === 'write') {
      written += 1;
      await client.query('insert into wert values ($1)', [written]);
      if (levels) levels.at(-1)?.push(written);
      else commits.push([written]);
    } else if (action === 'begin') {
      if (levels) continue;
      await client.query('begin');
      open.set(session, [[]]);
    } else if (levels) {
      if (action === 'savepoint') {
        await client.query(`savepoint s${levels.length}`);
        levels.push([]);
      } else if (action === 'rollback to') {
        if (levels.length === 1) continue;
        await client.query(`rollback to savepoint s${levels.length - 1}`);
        levels[levels.length - 1] = [];
      } else {
        await client.query(action);
        open.delete(session);
        if (action === 'commit') commits.push(levels.flat());
      }
    }
  }
  return {
    moments,
    commits,
    last,
    end: () => Promise.all([...open.keys()].map((session) => sessions[session]?.query('rollback'))),
  };
}

const writtenBy = ({ changes, lost }: Reading) => {
  expect(lost).toBe(false);
  return changes.map(({ keys }) => Number(keys?.[0]));
};
const ascending = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b);

test('what a reader gets next is exactly what committed since, in order, whatever stays open', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (history) => {
      const readings: number[][] = [];
      const { moments, commits, last, end } = await run(history, (reading) => readings.push(writtenBy(reading)));
      try {
        // Each read on its own, against the commits between it and the one before
        for (const [i, numbers] of readings.entries()) {
          expect(numbers).toEqual(ascending(commits.slice(moments[i]?.commits, moments[i + 1]?.commits).flat()));
        }
        // From each moment to the end, while transactions are still open
        for (const { position, commits: seen } of moments) {
          const expected = commits.slice(seen).flat();
          expect(writtenBy(await log.replay(position))).toEqual(ascending(expected));

          // Shortened at each open transaction: may repeat, never misses, and tells nothing that did not commit
          for (const [k, xid] of position.xip.entries()) {
            // One of another database of this cluster, open since before this history, leads back into earlier ones.
            if (xid < (moments[0]?.position.xmax ?? 0n)) continue;
            const numbers = writtenBy(await log.replay({ ...position, xmax: xid, xip: position.xip.slice(0, k) }));
            expect(numbers).toEqual(expect.arrayContaining(expected));
            expect(commits.flat()).toEqual(expect.arrayContaining(numbers));
          }
        }
        expect(writtenBy(await log.read(last))).toEqual(ascending(commits.slice(moments.at(-1)?.commits).flat()));
      } finally {
        await end();
      }
    }),
    { numRuns: 150 },
  );
});

test('memory tells a client that comes back what the log would, or nothing', async () => {
  let answered = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), fc.nat(12), async (history, size) => {
      let recent: RecentChanges | undefined;
      const first = await log.begin();
      const { moments, last, end } = await run(history, (reading) => {
        recent ??= new RecentChanges(size, first);
        recent.add(reading);
      });
      try {
        for (const { position } of moments) {
          const known = recent?.since(position, last);
          if (!known) continue;
          answered += 1;
          const from = new Set(writtenBy(await log.replay(position)));
          const after = new Set(writtenBy(await log.replay(last)));
          expect(new Set(writtenBy(known))).toEqual(new Set([...from].filter((number) => !after.has(number))));
        }
      } finally {
        await end();
      }
    }),
    { numRuns: 40 },
  );
  expect(answered).toBeGreaterThan(20);
});

/** A snapshot as a busy server has it: up to 300 open transactions. */
const snapshot = fc
  .tuple(fc.bigInt(3n, 2n ** 62n), fc.uniqueArray(fc.nat(5000), { maxLength: 300, size: 'max' }), fc.nat(1000))
  .map(([xmin, gaps, more]): Position => {
    const xip = gaps.sort((a, b) => a - b).map((gap) => xmin + BigInt(gap));
    return { epoch: 'abcdef012345', xmin, xmax: (xip.at(-1) ?? xmin) + BigInt(more) + 1n, xip };
  });

test('a position of any length is sent as one of at most 512 bytes that has seen no more', () => {
  let shortened = 0;
  fc.assert(
    fc.property(snapshot, fc.array(fc.nat(6100)), (whole, offsets) => {
      const text = formatPosition(whole);
      expect(text.length).toBeLessThanOrEqual(MAX_POSITION_BYTES);
      const sent = parsePosition(text) as Position;
      expect(isAtLeast(whole, sent)).toBe(true);
      if (text.length < MAX_POSITION_BYTES - 40) expect(sent).toEqual(whole);
      else shortened += 1;
      for (const xid of [...whole.xip, ...offsets.map((offset) => whole.xmin + BigInt(offset))]) {
        if (hasSeen(sent, xid)) expect(hasSeen(whole, xid)).toBe(true);
      }
    }),
  );
  expect(shortened).toBeGreaterThan(0);
});

test('isAtLeast says what hasSeen says of every transaction', () => {
  const small = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.subarray([0, 1, 2, 3, 4, 5]), fc.nat(4)).map(
    ([xmin, gaps, more]): Position => ({
      epoch: 'e',
      xmin: BigInt(xmin),
      xmax: BigInt(xmin + (gaps.at(-1) ?? -1) + 1 + more),
      xip: gaps.map((gap) => BigInt(xmin + gap)),
    }),
  );
  fc.assert(
    fc.property(small, small, (one, other) => {
      let sawAll = one.xmax >= other.xmax;
      for (let xid = 1n; xid < 30n; xid += 1n) if (hasSeen(other, xid) && !hasSeen(one, xid)) sawAll = false;
      expect(isAtLeast(one, other)).toBe(sawAll);
    }),
    { numRuns: 2000 },
  );
});

test('no text makes a position that its own text is not', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 600 }),
    fc.string({ unit: fc.constantFrom(...'0123456789abcdef.:,- \n'), maxLength: 60 }),
    snapshot.map(formatPosition),
  );
  let positions = 0;
  fc.assert(
    fc.property(text, (given) => {
      const position = parsePosition(given);
      if (!position) return;
      positions += 1;
      expect(BigInt(position.xmax)).toBeGreaterThanOrEqual(position.xmin);
      expect(parsePosition(formatPosition(position))).toEqual(position);
    }),
    { numRuns: 1000 },
  );
  expect(positions).toBeGreaterThan(0);
});
