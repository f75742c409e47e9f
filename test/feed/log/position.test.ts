import { describe, expect, test } from '@jest/globals';
import {
  formatPosition,
  hasSeen,
  isAtLeast,
  MAX_POSITION_BYTES,
  type Position,
  parsePosition,
  positionOf,
} from '../../../src/feed/log/position.js';

const parsed = (text: string) => parsePosition(text) as Position;

describe('a position', () => {
  test('is read and written', () => {
    expect(parsePosition('3f2a.812:815:812,813')).toEqual({ epoch: '3f2a', xmin: 812n, xmax: 815n, xip: [812n, 813n] });
    expect(formatPosition(parsed('3f2a.812:815:812,813'))).toBe('3f2a.812:815:812,813');
    expect(formatPosition(parsed('3f2a.816:816:'))).toBe('3f2a.816:816:');
  });

  test.each([
    ['', 'nothing'],
    ['17', 'the id of another server'],
    ['resync', 'the id of what can not be resumed'],
    ['3f2a.816:816', 'no list'],
    ['3f2a.816:815:', 'xmax before xmin'],
    ['3f2a.0:815:', 'no transaction is 0'],
    ['3f2a.812:815:811', 'open before xmin'],
    ['3f2a.812:815:815', 'open from xmax on'],
    ['3f2a.812:815:813,812', 'not ascending'],
    ['3f2a.812:815:812,812', 'one twice'],
    ['3f2a.812:815:812,', 'a comma too many'],
    ['3f2a.1:9999999999999999999:', 'more than 63 bits'],
    ['3F2A.816:816:', 'capitals'],
    ["3f2a.816:816:'; drop table change", 'SQL'],
    ['3f2a.816:816:\nid: 1', 'a line break'],
    [`3f2a.1:999999:${Array.from({ length: 200 }, (_, i) => 1000 + i).join(',')}`, 'longer than any of ours'],
  ])('%j is none: %s', (text) => {
    expect(parsePosition(text)).toBeUndefined();
  });

  test('has seen all below xmax that is not open', () => {
    const position = parsed('e.812:815:812,813');
    expect([811n, 812n, 813n, 814n, 815n].map((xid) => hasSeen(position, xid))).toEqual([
      true,
      false,
      false,
      true,
      false,
    ]);
  });

  test('with 500 open transactions is shortened to an earlier one of at most 512 bytes', () => {
    const xip = Array.from({ length: 500 }, (_, i) => 1_000_000_000n + 2n * BigInt(i));
    const whole = positionOf('abcdef012345', `1000000000:1000002000:${xip.join(',')}`);
    const text = formatPosition(whole);
    expect(text.length).toBeLessThanOrEqual(MAX_POSITION_BYTES);
    expect(text.length).toBeGreaterThan(MAX_POSITION_BYTES - 25);
    const short = parsed(text);
    expect(isAtLeast(whole, short)).toBe(true);
    expect(isAtLeast(short, whole)).toBe(false);
    for (let xid = 999_999_999n; xid < 1_000_002_010n; xid += 1n) {
      if (hasSeen(short, xid)) expect(hasSeen(whole, xid)).toBe(true);
    }
  });

  test.each([
    ['e.10:10:', 'e.10:10:', true, 'the same'],
    ['e.10:12:10', 'e.10:10:', true, 'later, the new ones open'],
    ['e.10:10:', 'e.10:12:10', false, 'earlier'],
    ['e.10:20:10', 'e.10:12:10,11', true, 'one of two has ended'],
    ['e.10:20:10,11', 'e.10:12:10', false, 'one is open that the other has seen'],
    ['f.10:20:', 'e.10:10:', false, 'another epoch'],
  ])('%s has seen what %s has: %s (%s)', (one, other, expected) => {
    expect(isAtLeast(parsed(one), parsed(other))).toBe(expected);
  });
});
