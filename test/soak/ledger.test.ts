import { expect, test } from '@jest/globals';
import { judge, type Told, type Written } from './ledger.js';

const insert = (more: Partial<Written> = {}): Written => ({
  resource: 'soak_a',
  key: 1,
  operation: 'insert',
  commitSent: 100,
  commitAnswered: 110,
  outcome: 'committed',
  unnamed: false,
  ...more,
});
const event = (more: Partial<Told> = {}): Told => ({
  at: 120,
  resource: 'soak_a',
  operation: 'insert',
  keys: [1],
  resync: false,
  ...more,
});
const refetch = (more: Partial<Told> = {}): Told => ({ at: 120, resource: 'soak_a', resync: false, ...more });
const judged = (written: Written[], told: Told[]) => judge(written, [{ name: 'client', since: 0, told, steady: true }]);

test('a change is covered by its event, by a refetch, or by a resync, and its delay counts', () => {
  expect(judged([insert()], [event()])).toMatchObject({ coveredByName: 1, longestDelayMs: 10, wrongs: [] });
  expect(judged([insert()], [refetch()])).toMatchObject({ coveredByRefetch: 1, wrongs: [] });
  expect(judged([insert()], [refetch({ at: 90 }), refetch({ at: 200, resync: true })])).toMatchObject({
    coveredByResync: 1,
    longestDelayMs: 90,
    wrongs: [],
  });
});

test.each<[string, Written[], Told[], RegExp]>([
  ['missed', [insert()], [], /missed/],
  ['covered only by a refetch of before', [insert()], [refetch({ at: 90 })], /missed/],
  ['covered only by a keyless event of another statement', [insert()], [refetch({ operation: 'insert' })], /missed/],
  ['told before its commit', [insert()], [event({ at: 50 })], /before its commit/],
  ['told though it was rolled back', [insert({ outcome: 'rolled back' })], [event()], /rolled back/],
  ['lost with a crash, and nobody said so', [insert({ outcome: 'lost' })], [refetch({ at: 110 }), event()], /was lost/],
  [
    'told before what was done to its row earlier',
    [insert(), insert({ operation: 'update' })],
    [event({ operation: 'update' }), event({ at: 130 })],
    /update before insert/,
  ],
])('a change that was %s is wrong', (_name, written, told, wrong) => {
  expect(judged(written, told).wrongs).toEqual([expect.stringMatching(wrong)]);
});

test('a tenant has to be told of its rows, and must not be told the keys of others', () => {
  const judgeTenant = (told: Told[]) =>
    judge([insert({ key: 5 }), insert({ key: 6 })], [{ name: 'client', since: 0, told, steady: true, tenant: 1 }]);
  expect(judgeTenant([event({ keys: [5] })])).toMatchObject({ pairs: 1, coveredByName: 1, wrongs: [] });
  expect(judgeTenant([]).wrongs).toEqual([expect.stringMatching(/insert soak_a 5 missed/)]);
  expect(judgeTenant([event({ keys: [5, 6] })]).wrongs).toEqual([
    expect.stringMatching(/6 is a row of another tenant/),
  ]);
});
