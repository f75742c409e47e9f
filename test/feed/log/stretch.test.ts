import { describe, expect, test } from '@jest/globals';
import type { ChangeRow } from '../../../src/feed/log/change-rows.js';
import type { Position } from '../../../src/feed/log/position.js';
import { stepOf } from '../../../src/feed/log/stretch.js';

const at = (xmax: number, xip: number[] = [], epoch = 'e'): Position => ({
  epoch,
  xmin: BigInt(xip[0] ?? xmax),
  xmax: BigInt(xmax),
  xip: xip.map(BigInt),
});
const row = (xid: number | null): ChangeRow => ({
  xid: xid === null ? null : `${xid}`,
  resource: 't',
  operation: 'update',
  keys: '[1]',
  scopes: null,
  data: null,
  origin: null,
  age_ms: 0,
  made: 1,
});

/** 10 and 12 were open at its beginning; 12 and 16 are at its end. */
const stretch = { from: at(13, [10, 12]), to: at(17, [12, 16]), rows: [row(10), row(13), row(14), row(15)] };

describe('a reader', () => {
  test('at the beginning of a stretch tells all of it', () => {
    expect(stepOf(stretch.from, stretch)).toEqual(stretch.rows);
  });

  test('within it, where a read of its own has brought it, tells what it has not seen', () => {
    expect(stepOf(at(15, [10, 12, 13]), stretch)).toEqual([row(10), row(13), row(15)]);
  });

  test('at its end, or behind that, ignores it', () => {
    expect(stepOf(stretch.to, stretch)).toBe('ignore');
    expect(stepOf(at(17, [12]), stretch)).toBe('ignore');
    expect(stepOf(at(30), stretch)).toBe('ignore');
  });

  test('before its beginning reads: something is missing between', () => {
    expect(stepOf(at(13, [10, 11, 12]), stretch)).toBe('read');
    expect(stepOf(at(9), stretch)).toBe('read');
  });

  test('of another epoch reads, wherever it stands', () => {
    for (const position of [at(13, [10, 12], 'f'), at(30, [], 'f'), at(9, [], 'f')]) {
      expect(stepOf(position, stretch)).toBe('read');
    }
    expect(stepOf(stretch.from, { ...stretch, to: { ...stretch.to, epoch: 'f' } })).toBe('read');
  });

  test('that has seen what the end has not, and the reverse, reads: these are no snapshots of one primary', () => {
    expect(stepOf(at(16, [13]), stretch)).toBe('read');
  });

  test('within it tells again what was summed up: nobody knows of which transactions that is', () => {
    expect(stepOf(at(15, [12]), { ...stretch, rows: [row(null), row(13)] })).toEqual([row(null)]);
  });
});
