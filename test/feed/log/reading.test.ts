import { describe, expect, test } from '@jest/globals';
import type { ChangeRow } from '../../../src/feed/log/change-rows.js';
import { readingOf } from '../../../src/feed/log/reading.js';

const position = { epoch: 'abc', xmin: 10n, xmax: 10n, xip: [] };
const row = (more: Partial<ChangeRow>): ChangeRow => ({
  xid: '7',
  resource: 'anmeldung',
  operation: 'update',
  keys: '[1]',
  scopes: null,
  data: null,
  origin: null,
  command: 0,
  age_ms: 5,
  made: 1,
  ...more,
});
const summedUp = (more: Partial<ChangeRow>) => row({ xid: null, operation: null, keys: null, ...more });
const read = (rows: readonly ChangeRow[]) => readingOf(position, rows, performance.now());

describe('rows of changes one by one', () => {
  test('are passed on to other servers as they are', () => {
    const rows = [row({}), row({ xid: '8', keys: '["9007199254740993"]' })];
    expect(read(rows).rows).toEqual(rows);
    expect(read(rows).changes.map(({ keysText }) => keysText)).toEqual(['[1]', '["9007199254740993"]']);
  });
});

describe('rows of what was summed up', () => {
  const ofScopes = [
    summedUp({ made: 300, age_ms: 40, known: '["mandant_id"]' }),
    summedUp({ made: 2, age_ms: 90, known: null }),
    row({ made: 0, columns: 'mandant_id', value: '7', keys: '[4]' }),
    summedUp({ resource: 'buchung', made: 5, age_ms: 1 }),
  ];

  test('make one change of each resource, which tells scopes apart here', () => {
    const { changes, measured } = read(ofScopes);
    expect(changes.map(({ resource, operation }) => [resource, operation])).toEqual([
      ['anmeldung', undefined],
      ['buchung', undefined],
    ]);
    expect(changes.map(({ statements }) => statements?.length)).toEqual([3, undefined]);
    expect(measured?.changes).toBe(307);
    expect(measured?.agesMs).toEqual([90, 1]);
  });

  test('are passed on to other servers as names, with their number and age', () => {
    const { rows = [] } = read(ofScopes);
    expect(rows.map(({ resource, made, age_ms }) => [resource, made, age_ms])).toEqual([
      ['anmeldung', 302, 90],
      ['buchung', 5, 1],
    ]);
    const passedOn = read(rows);
    expect(passedOn.changes).toEqual([{ resource: 'anmeldung' }, { resource: 'buchung' }]);
    expect(passedOn.measured?.changes).toBe(307);
    expect(passedOn.rows).toEqual(rows);
  });

  test('stand beside changes one by one where a message has both', () => {
    const { changes } = read([row({}), ...ofScopes]);
    expect(changes.map(({ resource, operation }) => [resource, operation])).toEqual([
      ['anmeldung', 'update'],
      ['anmeldung', undefined],
      ['buchung', undefined],
    ]);
  });
});
