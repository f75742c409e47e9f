import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { ChangeLog } from '../../src/feed/log/change-log.js';
import { EventBatch } from '../../src/streams/event-batch.js';
import { openStream } from '../event-stream.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { until } from '../until.js';

let server: TestServer;
const replay = jest.spyOn(ChangeLog.prototype, 'replay');

beforeEach(async () => {
  server = await startTestServer();
  replay.mockClear();
});

afterEach(() => server.stop());

test('a hundred clients that come back soon ask the log nothing, and miss nothing', async () => {
  const first = await server.stream('resources=a,b');
  await first.clientId();
  first.close();
  await server.psql(`select change_feed.emit('a')`);
  await server.psql(`select change_feed.emit('b')`);
  const witness = await server.stream('resources=*');
  await witness.clientId();
  await server.psql(`select change_feed.emit('c')`);
  await until(() => witness.updates.includes('c'));

  const streams = await Promise.all(
    Array.from({ length: 100 }, () => server.stream('resources=a,b', { 'Last-Event-ID': first.lastEventId() ?? '' })),
  );
  for (const stream of streams) {
    expect((await stream.next(({ event }) => event === 'connected')).data.resumed).toBe(true);
    await until(() => stream.updates.length === 2);
    expect(stream.updates).toEqual(['a', 'b']);
  }
  expect(replay).not.toHaveBeenCalled();
  for (const stream of streams) stream.close();
});

test('a resource called undefined, which another client resumed, hides nothing from one that resumes all', async () => {
  const first = await server.stream('resources=*');
  const lastEventId = (await first.next(({ event }) => event === 'connected')).id ?? '';
  await server.psql(`select change_feed.emit('a')`);
  await until(() => first.updates.includes('a'));
  const headers = { 'Last-Event-ID': lastEventId };
  for (const name of ['undefined', 'null', '%5B%5D', '__proto__']) {
    await (await server.stream(`resources=${name}`, headers)).clientId();
    const all = await server.stream('resources=*', headers);
    expect((await all.next(({ event }) => event === 'connected')).data.resumed).toBe(true);
    await until(() => all.updates.includes('a'));
  }
});

test('a server that was just started remembers what came before, so that a deployment is no storm', async () => {
  // The server notes one at its start. While it is at that, another session can't, and none is there yet.
  let tick: string | null = null;
  await until(async () => {
    const noted = 'select max(pg_snapshot_xmax(snapshot)::text::int8)::text as xmax from change_feed.tick';
    tick = (await server.psql(noted)).rows[0].xmax;
    return tick !== null;
  }, 'a tick');
  await server.psql(`select change_feed.emit('b')`);
  await until(() => server.feed.position.xmax > BigInt(tick ?? 0), 'a read after the tick');
  const first = await server.stream('resources=a');
  await first.clientId();
  first.close();
  await server.psql(`select change_feed.emit('a')`);

  const next = await server.another();
  replay.mockClear();
  const stream = await openStream(`${next.url}/api/events?resources=a`, {
    Authorization: `Bearer ${await server.token()}`,
    'Last-Event-ID': first.lastEventId() ?? '',
  });
  await until(() => stream.updates.length === 1);
  expect(replay).not.toHaveBeenCalled();
  stream.close();
});

test('many missed changes cost no memory for each place to resume from', async () => {
  const left = await server.feed.currentPosition();
  for (let i = 1; i <= 5; i += 1) {
    // Few enough that no read sums them up, also where two reads follow each other at once
    await server.psql(`select change_feed.emit('a') from generate_series(1, 90)`);
    await until(() => server.feed.counts.changes === 90 * i);
  }
  const and = jest.spyOn(EventBatch.prototype, 'and');
  const stream = await server.stream('resources=a', { 'Last-Event-ID': left });
  await until(() => stream.updates.length > 0);
  expect(stream.updates).toEqual(['a']);
  expect(replay).not.toHaveBeenCalled();
  expect(and.mock.calls.length).toBeLessThan(10);
  and.mockRestore();
});

test('one that was away for longer than the memory gets it from the log', async () => {
  const short = await server.another({ recentChanges: 1 });
  const first = await server.stream('resources=a');
  await first.clientId();
  first.close();
  let read = 0;
  short.feed.listen({
    onChanges: (changes) => {
      read += changes.length;
    },
    onLost: () => {},
  });
  for (let i = 0; i < 3; i += 1) await server.psql(`select change_feed.emit('a')`);
  await until(() => read === 3);
  const stream = await openStream(`${short.url}/api/events?resources=a`, {
    Authorization: `Bearer ${await server.token()}`,
    'Last-Event-ID': first.lastEventId() ?? '',
  });
  await until(() => stream.updates.length === 3);
  expect(replay).toHaveBeenCalledTimes(1);
  stream.close();
});
