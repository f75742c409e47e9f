import { describe, expect, test } from '@jest/globals';
import { change, type Recorded, useWatchedDatabase } from '../watched-database.js';

const database = useWatchedDatabase(`create table event (id int primary key);
    create table booking (id int primary key, event_id int references event on delete cascade on update cascade, note text);
    insert into event values (7), (8), (9); select change_feed.watch('booking', scopes => '{event_id}')`);

const scoped = (operation: string, keys: unknown[] | null, scopes: unknown, rows?: number): Recorded => ({
  ...change('booking', operation, keys, rows),
  scopes: { event_id: scopes },
});

describe('the log has the scopes of the changed rows', () => {
  test.each<[string, string, Recorded]>([
    ['an INSERT', 'insert into booking values (1, 7)', scoped('insert', [1], { 7: [1] })],
    [
      'one of several rows',
      'insert into booking values (2, 7), (3, 8), (4, null)',
      scoped('insert', [2, 3, 4], { 7: [2], 8: [3] }),
    ],
    ['an UPDATE', `update booking set note = 'x' where id = 1`, scoped('update', [1], { 7: [1] })],
    ['one that moves a row', 'update booking set event_id = 8 where id = 1', scoped('update', [1], { 7: [1], 8: [1] })],
    ['one that moves it nowhere', 'update booking set event_id = null where id = 1', scoped('update', [1], { 8: [1] })],
    ['one of nobody', `update booking set note = 'y' where id = 1`, scoped('update', [1], {})],
    ['one that changes a key', 'update booking set id = 20 where id = 2', scoped('update', [2, 20], { 7: [2, 20] })],
    ['a cascade from the parent', 'delete from event where id = 8', scoped('delete', [3], { 8: [3] })],
    [
      'over 100 rows',
      'insert into booking select 100 + i, 7 + 2 * (i % 2) from generate_series(1, 101) i',
      scoped('insert', null, ['7', '9'], 101),
    ],
    [
      'over 1,000 values',
      `begin; insert into event select 1000 + generate_series(1, 1001);
        insert into booking select 2000 + i, 1000 + i from generate_series(1, 1001) i; commit`,
      change('booking', 'insert', null, 1001),
    ],
    ['TRUNCATE', 'truncate booking', change('booking', 'truncate', null)],
  ])('%s', async (_name, statement, expected) => {
    expect(await database.recorded(statement)).toEqual([expected]);
  });
});

test('keys that are given as text stay so beside the values of a scope', async () => {
  await database.psql.query(`create table payment (id int8, part numeric, event_id int, primary key (id, part));
    select change_feed.watch('payment', scopes => '{event_id}')`);
  const keys = [['9007199254740993', '1.50']];
  expect(await database.recorded('insert into payment values (9007199254740993, 1.50, 7)')).toEqual([
    { ...change('payment', 'insert', keys), scopes: { event_id: { 7: keys } } },
  ]);
});

describe('emit with a scope', () => {
  const event = (scopes: unknown) => ({ ...change('booking', 'emit', null), ...(scopes !== undefined && { scopes }) });

  test.each<[string, string, unknown]>([
    ['a number', `select change_feed.emit('booking', null, '{"event_id": 7}')`, { event_id: ['7'] }],
    ['its text', `select change_feed.emit('booking', null, '{"event_id": "-7"}')`, { event_id: ['-7'] }],
    ['none: all are told', `select change_feed.emit('booking')`, undefined],
  ])('%s', async (_name, call, scopes) => {
    expect(await database.recorded(call)).toEqual([event(scopes)]);
  });

  test.each([
    '{"event_id": "07"}',
    '{"event_id": "+7"}',
    '{"event_id": "-0"}',
    '{"event_id": 7.0}',
    '{"event_id": 2147483648}',
    '{"event_id": " 7"}',
    '{"event_id": ""}',
    '{"event_id": true}',
    '{"event_id": null}',
    '{"event_id": [7]}',
    '{"event_id": 7, "note": "x"}',
    '{"__proto__": "x"}',
    '{}',
    '7',
    'null',
  ])('%s is refused', async (scope) => {
    await expect(database.psql.query(`select change_feed.emit('booking', null, $1)`, [scope])).rejects.toMatchObject({
      code: '22023',
    });
  });

  test('of a resource that no table has: any columns, and every scope of some of them', async () => {
    expect(
      await database.recorded(`select change_feed.emit('report', null, '{"b&": "x", "a": 1, "c": true}')`),
    ).toEqual([
      {
        ...change('report', 'emit', null),
        scopes: {
          a: ['1'],
          'b%26': ['x'],
          c: ['true'],
          'a&b%26': ['["1", "x"]'],
          'a&c': ['["1", "true"]'],
          'b%26&c': ['["x", "true"]'],
          'a&b%26&c': ['["1", "x", "true"]'],
        },
      },
    ]);
    await expect(
      database.psql.query(`select change_feed.emit('report', null, '{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}')`),
    ).rejects.toMatchObject({ code: '22023' });
    await expect(
      database.psql.query(`select change_feed.emit('report', null, jsonb_build_object('a', repeat('x', 201)))`),
    ).rejects.toMatchObject({ code: '22023' });
  });
});
