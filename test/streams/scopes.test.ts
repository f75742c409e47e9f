import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { until } from '../until.js';
import { FENCE, startTenantServer, type TenantServer, toldOf } from './tenants.js';

let server: TenantServer;

beforeAll(async () => {
  server = await startTenantServer();
});

beforeEach(() => server.psql('truncate rechnung, mandant; insert into mandant values (7), (8), (9)'));

afterAll(() => server.stop());

const scope = (mandant_id: string) => ({ resource: 'rechnung', scope: { mandant_id } });
const seven = scope('7');
const eight = scope('8');

describe('a stream of a scope receives', () => {
  test('the changes of its rows with their keys, and no others', async () => {
    const streams = await Promise.all([
      server.follow(['rechnung?mandant_id=7']),
      server.follow(['rechnung?mandant_id=8']),
    ]);
    const [ofSeven, ofEight] = await server.eventsOf(
      streams,
      'insert into rechnung values (1, 7), (2, 7), (3, 8), (4, null); delete from rechnung where id in (2, 3)',
    );
    expect(ofSeven).toEqual([
      { ...seven, operation: 'insert', keys: [1] },
      { ...seven, keys: [2] },
    ]);
    expect(ofEight).toEqual([{ ...eight, keys: [3] }]);
  });

  test('a row that moves to another scope, in both', async () => {
    const streams = [
      await server.follow(['rechnung?mandant_id=7']),
      await server.follow(['rechnung?mandant_id=8']),
      await server.follow(['rechnung?mandant_id=9']),
    ];
    await server.psql('insert into rechnung values (1, 7)');
    const told = await server.eventsOf(streams, 'update rechnung set mandant_id = 8');
    expect(told.map((events) => events.at(-1))).toEqual([
      { ...seven, operation: 'update', keys: [1] },
      { ...eight, operation: 'update', keys: [1] },
      undefined,
    ]);
  });

  test('rows that are deleted with their parent', async () => {
    await server.psql('insert into rechnung values (1, 7), (2, 8)');
    const stream = await server.follow(['rechnung?mandant_id=7']);
    const [told] = await server.eventsOf([stream], 'delete from mandant where id = 7');
    expect(told).toEqual([{ ...seven, operation: 'delete', keys: [1] }]);
  });

  test('a scope of several columns, whatever the order in which it names them', async () => {
    const stream = await server.follow(['rechnung?projekt_id=1&mandant_id=7']);
    const [told] = await server.eventsOf(
      [stream],
      'insert into rechnung values (1, 7, 1), (2, 7, 2), (3, 8, 1), (4, 7, null)',
    );
    const both = { mandant_id: '7', projekt_id: '1' };
    expect(told).toEqual([{ resource: 'rechnung', scope: both, operation: 'insert', keys: [1] }]);
  });

  test('values of any text', async () => {
    const names = ['', 'a,b', 'a&b=c?', 'ü 💧', '__proto__', '"', '%41'];
    const streams = await Promise.all(
      names.map((name) => server.follow([`rechnung?name=${encodeURIComponent(name)}`])),
    );
    const rows = names.map((_, i) => `(${i}, $${i + 1})`).join();
    const told = await server.eventsOf(streams, `insert into rechnung (id, name) values ${rows}`, names);
    expect(told).toEqual(
      names.map((name, i) => [{ resource: 'rechnung', scope: { name }, operation: 'insert', keys: [i] }]),
    );
  });

  test('the writer, unless the statement changed rows of others, too', async () => {
    const stream = await server.follow(['rechnung?mandant_id=7']);
    const origins: unknown[] = [];
    for (const values of ['(1, 7), (2, 7)', '(3, 7), (4, 8)']) {
      await server.eventsOf([stream], `insert into rechnung values ${values}`);
      origins.push(stream.events.findLast(({ data }) => data.resource === 'rechnung')?.data.origin);
    }
    expect(origins).toEqual([{ application: 'psql' }, undefined]);
  });

  test('that something changed, where all scopes are told: TRUNCATE, an own event for all, and a burst of values', async () => {
    const streams = [
      await server.follow(['rechnung?mandant_id=7']),
      await server.follow(['rechnung?mandant_id=8&projekt_id=1']),
    ];
    const bare = [[seven], [{ resource: 'rechnung', scope: { mandant_id: '8', projekt_id: '1' } }]];
    expect(await server.eventsOf(streams, 'truncate rechnung')).toEqual(bare);
    expect(await server.eventsOf(streams, `select change_feed.emit('rechnung', '{"geheim": 1}')`)).toEqual(bare);
    const burst =
      'insert into mandant select generate_series(1000, 2100); insert into rechnung select i, i, i from generate_series(1000, 2100) i';
    expect(await server.eventsOf(streams, burst)).toEqual(bare);
  });

  test('own events of its scope, with their data', async () => {
    const streams = [
      await server.follow(['rechnung?mandant_id=7', 'auswertung?mandant_id=7']),
      await server.follow(['auswertung?jahr=2030&mandant_id=7']),
    ];
    const told = await server.eventsOf(
      streams,
      `select change_feed.emit('rechnung', '{"a": 1}', '{"mandant_id": 7}');
       select change_feed.emit('rechnung', '{"a": 2}', '{"mandant_id": 8}');
       select change_feed.emit('auswertung', '{"a": 3}', '{"mandant_id": 7, "jahr": 2030}')`,
    );
    const own = { resource: 'auswertung', operation: 'emit', data: { a: 3 } };
    expect(told).toEqual([
      [
        { ...own, scope: { mandant_id: '7' } },
        { ...seven, operation: 'emit', data: { a: 1 } },
      ],
      [{ ...own, scope: { jahr: '2030', mandant_id: '7' } }],
    ]);
  });
});

describe('a client that has', () => {
  test('two scopes receives an event for each', async () => {
    const stream = await server.follow(['rechnung?mandant_id=7', 'rechnung?mandant_id=8']);
    const [told] = await server.eventsOf([stream], 'insert into rechnung values (1, 7), (2, 8)');
    expect(told).toEqual([
      { ...seven, operation: 'insert', keys: [1] },
      { ...eight, operation: 'insert', keys: [2] },
    ]);
  });

  test('a scope and the whole resource receives each change once, as the whole, and its scope once the whole has ended', async () => {
    const stream = await server.follow(['rechnung?mandant_id=7', 'rechnung']);
    const clientId = await stream.clientId();
    const [whole] = await server.eventsOf([stream], 'insert into rechnung values (1, 7), (2, 8)');
    expect(whole).toEqual([{ resource: 'rechnung', operation: 'insert', keys: [1, 2] }]);
    await server.post('/api/events/unsubscribe', { clientId, resource: 'rechnung' });
    const [part] = await server.eventsOf([stream], 'insert into rechnung values (3, 7), (4, 8)');
    expect(part).toEqual([{ ...seven, operation: 'insert', keys: [3] }]);
    await server.post('/api/events/unsubscribe', { clientId, resource: 'rechnung?mandant_id=%37' });
    expect(await server.eventsOf([stream], 'insert into rechnung values (5, 7)')).toEqual([[]]);
  });

  test('rights to scopes receives with * these, and whole resources that it may receive', async () => {
    const token = await server.token({
      resources: ['rechnung?mandant_id=7', 'rechnung?mandant_id=8', 'mandant', 'auswertung?a=1', FENCE],
    });
    const stream = await server.follow(['*'], { token });
    const [told] = await server.eventsOf(
      [stream],
      `insert into rechnung values (1, 7), (2, 9); select change_feed.emit('auswertung', null, '{"a": 1}')`,
    );
    expect(told).toEqual([
      { resource: 'auswertung', scope: { a: '1' }, operation: 'emit' },
      { ...seven, operation: 'insert', keys: [1] },
    ]);
  });
});

describe('what a scope is told does not depend on the number of changes of others', () => {
  const others = (count: number) => `do $$ begin for i in 1 .. ${count} loop
    insert into rechnung values (1000 + i, 8); end loop; end $$;`;

  test.each([0, 150, 250, 1500])('%i of them', async (count) => {
    const stream = await server.follow(['rechnung?mandant_id=7']);
    const [told] = await server.eventsOf(
      [stream],
      `insert into rechnung values (1, 7); ${others(count)} insert into rechnung values (2, 7), (3, 8)`,
    );
    expect(told).toEqual([
      { ...seven, operation: 'insert', keys: [1] },
      { ...seven, operation: 'insert', keys: [2] },
    ]);
  });

  test('its own are summed up: neighbours with all their keys, and over 200 changes to one without', async () => {
    const own = (from: number, to: number) =>
      `do $$ begin for i in ${from} .. ${to} loop insert into rechnung values (i, 7); end loop; end $$;`;
    const stream = await server.follow(['rechnung?mandant_id=7']);
    const [many] = await server.eventsOf([stream], `${others(300)} ${own(1, 150)}`);
    expect(many?.map((event) => (event as { keys: unknown[] }).keys.length)).toEqual([100, 50]);
    expect(await server.eventsOf([stream], `update rechnung set betrag = 1 where id = 1001; ${own(201, 401)}`)).toEqual(
      [[seven]],
    );
  });

  test('but for more than 10,000 values in one read', async () => {
    const stream = await server.follow(['rechnung?name=n1']);
    const name = { resource: 'rechnung', scope: { name: 'n1' } };
    // 250 changes of 40 values, and one
    const statements = (update: string) => `${update}; do $$ begin for i in 1 .. 250 loop
      insert into rechnung (id, name) select -40 * i - n, 'n' || 40 * i + n from generate_series(1, 40) n; end loop; end $$;`;
    const insert = `insert into rechnung (id, name) values (1, 'n1')`;
    expect(await server.eventsOf([stream], statements(insert).replace('250', '249'))).toEqual([
      [{ ...name, operation: 'insert', keys: [1] }],
    ]);
    await server.psql('delete from rechnung where id < 0');
    expect(await server.eventsOf([stream], statements('update rechnung set betrag = 1 where id = 1'))).toEqual([
      [name],
    ]);
  });

  test('and for 100,000 changes in one read, of whatever tables', async () => {
    const stream = await server.follow(['rechnung?mandant_id=7']);
    const tell = async (count: number) => {
      const before = stream.events.length;
      // The rows that the recorder would write
      await server.psql(`insert into rechnung values (${count}, 7);
        insert into change_feed.change (resource, details, keys)
        select 'andere', '{update}', '[1]' from generate_series(1, ${count})`);
      // Before the fence, which would be summed up with them
      await until(() => stream.events.length > before);
      await server.reached([stream]);
      return stream.events
        .slice(before)
        .filter(({ data }) => data.resource === 'rechnung')
        .map(toldOf);
    };
    expect(await tell(99_998)).toEqual([{ ...seven, operation: 'insert', keys: [99_998] }]);
    expect(await tell(100_000)).toEqual([seven]);
  });
});
