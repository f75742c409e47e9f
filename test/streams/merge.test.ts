import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { LoggedChange, Operation } from '../../src/change.js';
import { mergeChanges } from '../../src/streams/merge.js';

const origin = { application: 'psql' };
const changeOf = (key: unknown, operation: Operation = 'update', more: Partial<LoggedChange> = {}): LoggedChange => ({
  resource: 'a',
  operation,
  keys: [key],
  origin,
  xid: 7n,
  ...more,
});
const times = (count: number, make: (place: number) => LoggedChange) =>
  Array.from({ length: count }, (_, i) => make(i));

describe('the changes of one read', () => {
  test('ten changes of a resource: each by itself', () => {
    const changes = times(10, (i) => changeOf(i));
    expect(mergeChanges(changes)).toEqual(changes);
    const beside = [...changes, ...times(10, (i) => changeOf(i, 'update', { resource: 'b' }))];
    expect(mergeChanges(beside)).toEqual(beside);
  });

  test('more: one with all keys, each once', () => {
    const changes = times(30, (i) => changeOf([i % 20, 'x']));
    expect(mergeChanges(changes)).toEqual([
      { resource: 'a', operation: 'update', keys: times(20, (i) => [i, 'x'] as never), origin },
    ]);
  });

  test('a hundred keys at the most', () => {
    expect(mergeChanges(times(150, (i) => changeOf(i))).map(({ keys }) => keys?.length)).toEqual([100, 50]);
  });

  test('never across another operation, origin, or a change without keys or with data', () => {
    const cuts: LoggedChange[] = [
      changeOf(1, 'delete'),
      changeOf(1, 'update', { origin: { application: 'psql', actor: 'grace' } }),
      { resource: 'a', operation: 'truncate', xid: 7n },
      { resource: 'a', operation: 'emit', data: 5, xid: 7n },
    ];
    for (const cut of cuts) {
      const merged = mergeChanges([...times(10, (i) => changeOf(i)), cut, ...times(10, (i) => changeOf(i))]);
      expect(merged).toHaveLength(3);
      expect(merged[1]).toBe(cut);
    }
  });

  test('over a hundred that cannot be merged: that it changed, and the other resource as it was', () => {
    const other = changeOf(1, 'insert', { resource: 'b' });
    const changes = times(202, (i) => changeOf(i, i % 2 ? 'insert' : 'delete'));
    expect(mergeChanges([...changes, other])).toEqual([{ resource: 'a' }, other]);
  });

  test("a row's last change is the last that names it", () => {
    const history = fc.array(
      fc.record({ key: fc.integer({ min: 1, max: 5 }), insert: fc.boolean(), b: fc.boolean() }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(history, (steps) => {
        const changes = steps.map(({ key, insert, b }) =>
          changeOf(key, insert ? 'insert' : 'delete', { resource: b ? 'b' : 'a' }),
        );
        const lastOf = (list: readonly LoggedChange[]) => {
          const last = new Map<string, Operation | undefined>();
          for (const { resource, operation, keys } of list)
            for (const key of keys ?? []) last.set(`${resource} ${key}`, operation);
          return last;
        };
        expect(lastOf(mergeChanges(changes))).toEqual(lastOf(changes));
      }),
    );
  });
});
