import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { ChangeLog } from '../../src/feed/log/change-log.js';
import type { EventStream } from '../event-stream.js';
import { until } from '../until.js';
import { FENCE, startTenantServer, type TenantServer, toldOf } from './tenants.js';

// A column that stops being a scope while clients listen.

let server: TenantServer;

beforeAll(async () => {
  server = await startTenantServer();
  await server.psql('insert into mandant values (7), (8)');
});

beforeEach(() =>
  server.psql(`
    drop table if exists akte;
    create table akte (id serial primary key, mandant_id int, ort text);
    insert into akte (mandant_id) values (7), (8);
    select change_feed.watch('akte', scopes => '{mandant_id, ort}')`),
);

afterAll(() => server.stop());

const topic = 'akte?mandant_id=7';
const scope = { resource: 'akte', scope: { mandant_id: '7' } };

/** The events of a stream about the table, and those that end a scope. */
function about(stream: EventStream): object[] {
  return stream.events
    .filter(({ event, data }) => event === 'ended' || data.resource === 'akte')
    .map((event) => ({ event: event.event, ...toldOf(event) }));
}

const ended = { event: 'ended', ...scope, reason: 'no_scope' };
const resync = { event: 'table-update', ...scope, reason: 'resync' };

describe.each([
  ['watch() without it', `select change_feed.watch('akte', scopes => '{ort}')`],
  ['a column that is renamed', 'alter table akte rename mandant_id to kunde_id'],
  ['a column that is dropped', 'alter table akte drop mandant_id'],
])('%s', (_name, statement) => {
  test('leads to one resync for the own scope and its end, and another scope goes on', async () => {
    const stream = await server.follow([topic, 'akte?ort=Kiel']);
    await server.reached([stream]);
    await server.psql(statement);
    await server.psql(`insert into akte (ort) values ('Jena')`);
    await until(() => stream.events.some(({ event }) => event === 'ended'));
    const told = about(stream);
    expect(told.slice(-2)).toEqual([resync, ended]);
    // Before it there is only that something changed.
    expect(told.slice(0, -2).every((event) => !('keys' in event) && !('operation' in event))).toBe(true);

    const [later] = await server.eventsOf(
      [stream],
      `insert into akte (ort) values ('Kiel'); insert into akte (id) values (99)`,
    );
    // Where a column is gone the log may not know either what a change did to the other scope.
    expect(later).toMatchObject([{ resource: 'akte', scope: { ort: 'Kiel' } }]);
    expect(stream.ended()).toBe(false);
    const [client] = [...server.manager.clients()].filter(({ subscriptions }) => subscriptions.has('akte?ort=Kiel'));
    expect([...(client?.subscriptions.keys() ?? [])]).toEqual(['akte?ort=Kiel', FENCE]);
    stream.close();
    await until(() => ![...server.manager.clients()].includes(client as never));
  });

  test('ends it for a stream on *, and for each server', async () => {
    const other = await server.another();
    const token = await server.token({ resources: [topic, 'akte?ort=Kiel', FENCE] });
    const streams = [await server.follow(['*'], { token }), await server.follow([topic], { at: other.url })];
    await server.reached(streams);
    await server.psql(statement);
    await server.psql(`insert into akte (ort) values ('Jena')`);
    for (const stream of streams) {
      await until(() => about(stream).some((event) => 'reason' in event && event.reason === 'no_scope'));
      expect(about(stream).slice(-2)).toEqual([resync, ended]);
    }
    const told = await server.eventsOf(streams, `insert into akte (ort) values ('Kiel')`);
    expect(told).toMatchObject([[{ scope: { ort: 'Kiel' } }], []]);
    for (const stream of streams) stream.close();
    await other.stop();
  });

  test('is 400 for who comes then, with what to do', async () => {
    await server.psql(statement);
    const token = await server.token({ resources: [topic] });
    const url = `${server.url}/api/events?resources=${encodeURIComponent(topic)}`;
    const answerOf = async () => {
      const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
      if (answer.status === 200) await answer.body?.cancel();
      return answer;
    };
    // A server knows the scopes of a table for ten seconds.
    let answer = await answerOf();
    await until(async () => {
      if (answer.status === 200) answer = await answerOf();
      return answer.status !== 200;
    });
    expect(answer.status).toBe(400);
    const { error } = (await answer.json()) as { error: { message: string } };
    expect(error.message).toContain(`select change_feed.watch('public.akte', scopes => '{ort, mandant_id}')`);
  });
});

test('a table that is watched no more keeps its scopes: the application may emit them', async () => {
  const stream = await server.follow([topic]);
  await server.psql(`select change_feed.unwatch('akte')`);
  const told = await server.eventsOf([stream], `select change_feed.emit('akte', null, '{"mandant_id": 7}')`);
  expect(told).toEqual([[{ ...scope, operation: 'emit' }]]);
  stream.close();
});

test('changes that raise the question read the list of scopes once a second at the most', async () => {
  const stream = await server.follow([topic]);
  const read = jest.spyOn(ChangeLog.prototype, 'watchedTables');
  const begun = performance.now();
  // The list may have been read just before
  for (let i = 0; i < 30 || read.mock.calls.length === 0; i += 1) await server.eventsOf([stream], 'truncate akte');
  const seconds = (performance.now() - begun) / 1000;
  expect(read.mock.calls.length).toBeLessThanOrEqual(Math.ceil(seconds) + 1);
  expect(about(stream).every((event) => !('reason' in event))).toBe(true);
  read.mockRestore();
  stream.close();
});
