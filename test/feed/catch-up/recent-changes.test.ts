import { describe, expect, test } from '@jest/globals';
import type { LoggedChange } from '../../../src/change.js';
import { RecentChanges } from '../../../src/feed/catch-up/recent-changes.js';
import { type Position, parsePosition } from '../../../src/feed/log/position.js';

const at = (text: string) => parsePosition(`e.${text}`) as Position;
const change = (xid: number, resource = 'a'): LoggedChange => ({ xid: BigInt(xid), resource, operation: 'update' });
const reading = (position: string, ...changes: LoggedChange[]) => ({ position: at(position), changes, lost: false });
const xids = (found: { changes: readonly LoggedChange[] } | undefined) => found?.changes.map(({ xid }) => Number(xid));

describe('recent changes', () => {
  test('are what a position has not seen, in the order in which they were read', () => {
    const recent = new RecentChanges(10, at('10:10:'));
    recent.add(reading('10:13:10', change(11), change(12, 'b')));
    recent.add(reading('14:14:', change(10), change(13)));
    const now = at('14:14:');
    expect(xids(recent.since(at('10:10:'), now))).toEqual([11, 12, 10, 13]);
    // 10 was open: written early, and committed late
    expect(xids(recent.since(at('10:13:10'), now))).toEqual([10, 13]);
    expect(xids(recent.since(at('10:13:10'), now, ['b']))).toEqual([]);
    expect(recent.since(now, now)).toEqual({ position: now, changes: [], lost: false });
  });

  test('are not known for a position from before them, of the future, or of another epoch', () => {
    const recent = new RecentChanges(10, at('10:12:10'));
    recent.add(reading('14:14:', change(13)));
    expect(recent.since(at('9:9:'), at('14:14:'))).toBeUndefined();
    expect(recent.since(at('10:12:10,11'), at('14:14:'))).toBeUndefined();
    expect(recent.since(at('20:20:'), at('14:14:'))).toBeUndefined();
    expect(recent.since({ ...at('12:12:'), epoch: 'f' }, at('14:14:'))).toBeUndefined();
  });

  test('are not taken for those of another question: a name may read like none, or like two', () => {
    const recent = new RecentChanges(10, at('10:10:'));
    recent.add(reading('12:12:', change(10, 'a'), change(11, 'b')));
    const now = at('12:12:');
    for (const names of [['undefined'], ['null'], [''], ['a,b'], ['a', 'b'], ['a","b'], ['a'], []]) {
      const expected = names.includes('a') ? (names.includes('b') ? [10, 11] : [10]) : [];
      expect(xids(recent.since(at('10:10:'), now, names))).toEqual(expected);
    }
    expect(xids(recent.since(at('10:10:'), now))).toEqual([10, 11]);
  });

  test('are forgotten, the oldest first, beyond their number', () => {
    const recent = new RecentChanges(3, at('10:10:'));
    recent.add(reading('12:12:', change(10), change(11)));
    recent.add(reading('14:14:', change(12), change(13)));
    expect(recent.since(at('10:10:'), at('14:14:'))).toBeUndefined();
    expect(xids(recent.since(at('12:12:'), at('14:14:')))).toEqual([12, 13]);
    for (let xid = 14; xid < 30; xid += 1) recent.add(reading(`${xid}:${xid}:`));
    expect(recent.since(at('12:12:'), at('29:29:'))).toBeUndefined();
  });

  test('begin anew where changes were summed up, or lost', () => {
    const recent = new RecentChanges(10, at('10:10:'));
    recent.add(reading('12:12:', { resource: 'a' }));
    expect(recent.since(at('10:10:'), at('12:12:'))).toBeUndefined();
    expect(xids(recent.since(at('12:12:'), at('12:12:')))).toEqual([]);
    recent.add({ ...reading('14:14:'), lost: true });
    expect(recent.since(at('12:12:'), at('14:14:'))).toBeUndefined();
  });
});
