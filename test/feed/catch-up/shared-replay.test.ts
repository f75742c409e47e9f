import { expect, test } from '@jest/globals';
import type { LoggedChange } from '../../../src/change.js';
import { SharedReplay } from '../../../src/feed/catch-up/shared-replay.js';
import { formatPosition, hasSeen, isAtLeast, type Position, parsePosition } from '../../../src/feed/log/position.js';
import type { Reading } from '../../../src/feed/log/reading.js';

const at = (text: string) => parsePosition(`e.${text}`) as Position;
const change = (xid: number, resource = 'a'): LoggedChange => ({ xid: BigInt(xid), resource, operation: 'update' });
const xids = ({ changes }: Reading) => changes.map(({ xid }) => Number(xid));

/** A log of the changes 1 to 99, one a transaction, whose first `pruned` are gone; and what was asked of it. */
function logOf({ pruned = 0, now = at('100:100:') }: { pruned?: number; now?: Position } = {}) {
  const asked: string[] = [];
  const answers: (() => void)[] = [];
  const missed = new SharedReplay({
    read: async (since, resources) => {
      asked.push(`${formatPosition(since)} ${resources ?? 'all'}`);
      await new Promise<void>((resolve) => answers.push(resolve));
      const lost = !isAtLeast(now, since) || !isAtLeast(since, at(`${pruned + 1}:${pruned + 1}:`));
      const all = Array.from({ length: 99 }, (_, i) => change(i + 1, i % 2 ? 'b' : 'a'));
      const changes = all.filter(
        ({ xid, resource }) => !hasSeen(since, xid ?? 0n) && (resources ?? [resource]).includes(resource),
      );
      return { position: now, changes: lost ? [] : changes, lost };
    },
    recent: () => undefined,
    now: () => now,
  });
  const answerAll = async () => {
    for (let idle = 0; idle < 5; idle += 1) {
      for (let answer = answers.shift(); answer; answer = answers.shift()) {
        idle = 0;
        answer();
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { missed, asked, answerAll };
}

test('a thousand who come back at once, each from elsewhere, cost two queries, and each hears what it missed', async () => {
  const { missed, asked, answerAll } = logOf();
  const starts = Array.from({ length: 1000 }, (_, i) => 20 + (i % 70));
  const readings = Promise.all(starts.map((start) => missed.since(at(`${start}:${start}:`), ['a'])));
  await answerAll();
  for (const [place, reading] of (await readings).entries()) {
    const start = starts[place] as number;
    expect(reading.lost).toBe(false);
    expect(xids(reading)).toEqual(
      Array.from({ length: 100 - start }, (_, i) => start + i).filter((xid) => xid % 2 === 1),
    );
  }
  expect(asked).toEqual(['e.20:20: a', 'e.20:20: all']);
  // One that comes later is served without a query.
  expect(xids(await missed.since(at('97:99:97'), ['a']))).toEqual([97, 99]);
  expect(asked).toHaveLength(2);
});

test('what was open for one of them is told to that one', async () => {
  const { missed, answerAll } = logOf();
  const readings = Promise.all([
    missed.since(at('98:98:')),
    missed.since(at('10:98:10')),
    missed.since(at('97:99:97')),
  ]);
  await answerAll();
  expect((await readings).map(xids)).toEqual([
    [98, 99],
    [10, 98, 99],
    [97, 99],
  ]);
});

test('one whose position is lost, or none, takes nobody along', async () => {
  const { missed, asked, answerAll } = logOf({ pruned: 50 });
  const starts = [
    '60:60:',
    '10:10:',
    '999:999:',
    '80:80:',
    ...Array.from({ length: 500 }, (_, i) => `${60 + (i % 30)}:99:${60 + (i % 30)}`),
  ];
  const readings = Promise.all(starts.map((start) => missed.since(at(start))));
  await answerAll();
  const lost = (await readings).map((reading) => reading.lost);
  expect(lost.slice(0, 4)).toEqual([false, true, true, false]);
  expect(lost.slice(4).every((each) => !each)).toBe(true);
  expect(asked.length).toBeLessThanOrEqual(12);
});

test('a few queries show that all of many clients are lost', async () => {
  const { missed, asked, answerAll } = logOf({ pruned: 90 });
  const readings = Promise.all(
    Array.from({ length: 1000 }, (_, i) => missed.since(at(`${1 + (i % 80)}:${1 + (i % 80)}:`))),
  );
  await answerAll();
  expect((await readings).every(({ lost }) => lost)).toBe(true);
  expect(asked.length).toBeLessThanOrEqual(20);
});

test('a failed read rejects all who waited for it, and the next one is tried', async () => {
  let failing = true;
  const missed = new SharedReplay({
    read: async (since) => {
      if (failing) throw new Error('gone');
      return { position: since, changes: [], lost: false };
    },
    recent: () => undefined,
    now: () => at('100:100:'),
  });
  const results = await Promise.allSettled([
    missed.since(at('1:1:')),
    missed.since(at('2:2:')),
    missed.since(at('3:3:')),
  ]);
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  failing = false;
  expect((await missed.since(at('1:1:'))).lost).toBe(false);
});
