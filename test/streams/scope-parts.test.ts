import { describe, expect, test } from '@jest/globals';
import type { LoggedChange } from '../../src/change.js';
import { statementOf } from '../../src/feed/log/logged-scopes.js';
import { partsFor } from '../../src/streams/scope-parts.js';
import { type ScopedTopic, scopedTopic } from '../../src/streams/scoped-topic.js';

/** A change as the log has it: the rows that each tenant has of it by their keys. */
function logged(
  operation: LoggedChange['operation'],
  scopes: object | null,
  more: Partial<LoggedChange> = {},
): LoggedChange {
  const change: LoggedChange = { resource: 'a', xid: 1n, ...(operation && { operation }), ...more };
  return scopes ? { ...change, statements: [statementOf(change, JSON.stringify(scopes))] } : change;
}

const of = (text: string) => scopedTopic(text) as ScopedTopic;
const seven = of('a?m=7');

/** Lists the operation and keys of each change that the subscribers of tenant 7 receive. */
function told(...changes: LoggedChange[]): unknown[] {
  return partsFor(seven, changes).map(({ operation, keys }) => [operation ?? 'something', ...(keys ?? ['all'])]);
}

describe('subscribers of a scope receive', () => {
  test('the keys of their rows and no others', () => {
    const change = logged('update', { m: { '7': [1, 2], '8': [3] } }, { keys: [1, 2, 3], keysText: '[1,2,3]' });
    expect(partsFor(seven, [change])).toEqual([
      { resource: 'a', scope: { m: '7' }, operation: 'update', keys: [1, 2], keysText: '[1,2]', xid: 1n },
    ]);
    expect(told(logged('delete', { m: { '8': [3] } }), logged('insert', { m: {} }))).toEqual([]);
  });

  test('who wrote, unless the statement changed rows of others, too', () => {
    const origin = { application: 'psql', actor: 'ada' };
    const [alone] = partsFor(seven, [logged('update', { m: { '7': [1, 2] } }, { origin })]);
    const [both] = partsFor(seven, [logged('update', { m: { '7': [1], '8': [2] } }, { origin })]);
    const [many] = partsFor(seven, [logged('update', { m: ['7', '8'] }, { origin })]);
    expect(alone?.origin).toEqual(origin);
    expect(both).not.toHaveProperty('origin');
    expect(many).toEqual({ resource: 'a', scope: { m: '7' }, operation: 'update', xid: 1n });
  });

  test('the origin by the scope of several columns that they are subscribed to', () => {
    const change = logged(
      'update',
      { m: { '7': [1, 2] }, 'm&p': { '["7","1"]': [1], '["7", "2"]': [2] } },
      { origin: { actor: 'ada' } },
    );
    expect(partsFor(seven, [change])[0]?.origin).toEqual({ actor: 'ada' });
    expect(partsFor(of('a?p=2&m=7'), [change])).toEqual([
      { resource: 'a', scope: { m: '7', p: '2' }, operation: 'update', keys: [2], keysText: '[2]', xid: 1n },
    ]);
  });

  test('the data of an own event for their scope, and none of one for everybody', () => {
    const data = { fertig: true };
    expect(partsFor(seven, [logged('emit', { m: ['7'] }, { data, dataText: '{"fertig":true}' })])[0]?.data).toEqual(
      data,
    );
    expect(partsFor(seven, [logged('emit', { m: ['8'] }, { data })])).toEqual([]);
    expect(partsFor(seven, [logged('emit', { n: ['7'] }, { data })])).toEqual([]);
    expect(partsFor(seven, [logged('emit', null, { data, origin: { actor: 'ada' } })])).toEqual([
      { resource: 'a', scope: { m: '7' }, xid: 1n },
    ]);
  });

  test('that something changed, where it is not known what: once, and behind what is known', () => {
    const unknown = logged('truncate', null, { origin: { actor: 'ada' } });
    const other = logged('update', { n: { '1': [5] } }, { xid: 2n });
    expect(told(unknown, logged('insert', { m: { '7': [1] } }, { xid: 3n }), other)).toEqual([
      ['insert', 1],
      ['something', 'all'],
    ]);
  });

  test('a row to which one transaction did different things once, without operation', () => {
    const insert = logged('insert', { m: { '7': [1, 2] } });
    expect(told(insert, logged('update', { m: { '7': [1] } }))).toEqual([
      ['insert', 2],
      ['something', 1],
    ]);
    expect(told(insert, logged('update', { m: { '7': [1] } }, { xid: 2n }))).toEqual([
      ['insert', 1, 2],
      ['update', 1],
    ]);
  });

  test('the same operations, whatever the transaction did to rows of others', () => {
    const own = [logged('insert', { m: { '7': [1] } }), logged('insert', { m: { '7': [2] } })];
    const others = [logged('update', { m: ['8', '9'] }), logged('delete', { m: { '8': [1, 2] } })];
    const [first, second] = own as [LoggedChange, LoggedChange];
    const [third, fourth] = others as [LoggedChange, LoggedChange];
    expect(told(third, first, fourth, second)).toEqual(told(first, second));
  });
});

test('only what was missed', () => {
  const changes = [
    logged('insert', { m: { '7': [1] } }),
    logged('update', { m: { '7': [1] } }, { xid: 2n }),
    logged('truncate', null),
  ];
  expect(partsFor(seven, changes, { missed: (xid) => xid === 2n })).toHaveLength(1);
});
