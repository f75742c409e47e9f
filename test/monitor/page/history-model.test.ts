import { expect, test } from '@jest/globals';
import { HistoryModel } from '../../../src/monitor/page/history-model.js';
import { BUCKETS } from '../../../src/monitor/report.js';

// The page may be open for days: it keeps an hour, also of resources that no server reports any more.

const HOUR_MS = 3_600_000;
let now = 1_800_000_000_000;

function take(model: HistoryModel, id: string, resources: Record<string, number[]>): void {
  const history = { endAgoMs: 0, buckets: 2, resources, half: [1, 1], most: [2, 2] };
  model.take({ servers: [{ id, self: true, history }] });
}

const labels = ({ lines }: { lines: readonly { label: string }[] }) => lines.map(({ label }) => label);

test('forgets resources that were quiet for an hour, and servers that are gone', () => {
  const model = new HistoryModel(() => now);
  take(model, 'one', Object.fromEntries(Array.from({ length: 20 }, (_, place) => [`early_${place}`, [100, 100]])));
  expect(labels(model.changesASecond())).toHaveLength(8);
  now += HOUR_MS + 10_000;
  take(model, 'other', { late: [0, 5] });
  expect(labels(model.changesASecond())).toEqual(['late']);
  expect(labels(model.delays())).toEqual(['die Hälfte', '99 % an other']);
});

test('keeps the whole hour', () => {
  const model = new HistoryModel(() => now);
  take(model, 'one', { zimmer: [5, 10] });
  now += HOUR_MS - 10_000;
  take(model, 'one', { keller: [1, 1] });
  const { times, lines } = model.changesASecond();
  expect(times).toHaveLength(BUCKETS);
  expect(lines.find(({ label }) => label === 'zimmer')?.values.slice(0, 3)).toEqual([1, 2, 0]);
});
