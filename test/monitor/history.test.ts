import { expect, test } from '@jest/globals';
import { History } from '../../src/monitor/history.js';

// An hour of changes and delays, in memory of a fixed size.

const BUCKET_MS = 5000;
let now = 0;
const counted = (resource: string, count: number) => new Map([[resource, count]]);

test('keeps an hour, in buckets of 5 s, and forgets what is older', () => {
  now = 0;
  const history = new History(() => now);
  history.add(counted('zimmer', 3), [1, 2, 30]);
  now += BUCKET_MS;
  history.add(counted('zimmer', 4), [5]);
  expect(history.report()).toMatchObject({
    buckets: 1,
    endAgoMs: 0,
    resources: { zimmer: [3] },
    half: [2],
    most: [30],
  });
  now += 2 * BUCKET_MS + 100;
  expect(history.report()).toMatchObject({ endAgoMs: 100, resources: { zimmer: [3, 4, 0] }, most: [30, 5, null] });
  expect(history.report(2).resources).toEqual({ zimmer: [4, 0] });
  now += 718 * BUCKET_MS;
  expect(history.report()).toMatchObject({ buckets: 719, resources: {} });
  // Nothing of the hour before comes back in the place where it was.
  history.add(counted('keller', 1), [1]);
  now += BUCKET_MS;
  expect(history.report().resources.keller?.filter((count) => count > 0)).toEqual([1]);
});

test('counts resources beyond thirty as one, until some have not changed for an hour', () => {
  now = 0;
  const history = new History(() => now);
  for (let each = 0; each < 1000; each += 1) history.add(counted(`name_${each}`, 1), []);
  now += BUCKET_MS;
  const { resources } = history.report();
  expect(Object.keys(resources)).toHaveLength(31);
  expect(resources['(other)']).toEqual([970]);
  now += 720 * BUCKET_MS;
  history.add(counted('late', 1), []);
  now += BUCKET_MS;
  expect(history.report(1).resources).toEqual({ late: [1] });
});

test('says the delay of the last minute, of any number of changes', () => {
  now = 0;
  const history = new History(() => now);
  expect(history.lastMinute()).toBeUndefined();
  history.add(
    counted('zimmer', 10_000),
    Array.from({ length: 10_000 }, (_, each) => each % 100),
  );
  const { half = 0, most = 0 } = history.lastMinute() ?? {};
  expect(half).toBeGreaterThan(35);
  expect(half).toBeLessThan(65);
  expect(most).toBeGreaterThan(90);
  now += 12 * BUCKET_MS;
  expect(history.lastMinute()).toBeUndefined();
});
