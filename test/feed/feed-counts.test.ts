import { expect, test } from '@jest/globals';
import { FeedCounts } from '../../src/feed/feed-counts.js';

test('an age that is no number is left out of the lag, and the others count', async () => {
  const counts = new FeedCounts();
  const measured = {
    changes: 3,
    begunAt: performance.now(),
    readAt: performance.now(),
    agesMs: [Number.NaN, Number.POSITIVE_INFINITY, 5],
    countsOf: () => new Map(),
  };
  counts.read({ changes: [], lost: false, position: {} as never, measured });
  counts.read({ changes: [], lost: false, position: {} as never, measured });
  const { values } = await counts.lag.get();
  expect(values.find(({ metricName }) => metricName?.endsWith('_count'))?.value).toBe(3);
});
