import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, jest, test } from '@jest/globals';
import type { EventStream } from '../event-stream.js';
import { openStream } from '../event-stream.js';
import { startTestServer } from '../running-server.js';
import { TcpProxy, targetOf } from '../tcp-proxy.js';
import { until } from '../until.js';

test('a stop ends many streams one after the other; until its end each receives every change', async () => {
  const server = await startTestServer();
  const other = await server.another();
  const headers = { Authorization: `Bearer ${await server.token()}` };
  const streams = await Promise.all(
    Array.from({ length: 400 }, () => openStream(`${other.url}/api/events?resources=*`, headers)),
  );
  await Promise.all(streams.map((stream) => stream.clientId()));

  const endedAt = new Map<EventStream, number>();
  const watching = setInterval(() => {
    for (const stream of streams) if (stream.ended() && !endedAt.has(stream)) endedAt.set(stream, performance.now());
  }, 1);
  // The clock stands still after 100 of 400 ms. However long a busy machine takes for the change, most are open then.
  const begun = performance.now();
  let now = begun;
  const clock = jest.spyOn(performance, 'now').mockImplementation(() => now);
  const stopped = other.stop();
  now += 100;
  await until(() => endedAt.size > 50, 'the first streams to end');
  await server.psql(`select change_feed.emit('waehrenddessen')`);
  await until(
    () => streams.some((stream) => stream.updates.includes('waehrenddessen')),
    'the change in an open stream',
  );
  clock.mockRestore();
  await stopped;
  await until(() => endedAt.size === streams.length);
  clearInterval(watching);

  // 1 ms for each
  expect(Math.max(...endedAt.values()) - begun).toBeGreaterThan(350);

  // A stream that was still open has received it; one that was not resumes at the other server, and receives it there
  const received = streams.filter((stream) => stream.updates.includes('waehrenddessen'));
  for (const stream of streams.filter((one) => !received.includes(one)).slice(0, 20)) {
    const again = await server.stream('resources=*', { 'Last-Event-ID': stream.lastEventId() ?? '' });
    await until(() => again.updates.includes('waehrenddessen'));
  }
  await server.stop();
});

test('a stop ends with a database that never answers and a client that never reads', async () => {
  const server = await startTestServer();
  const way = await TcpProxy.open(() => targetOf(server.database.url));
  const url = way.through(server.database.url);
  const other = await server.another({ databaseUrl: url, listenDatabaseUrl: url });
  const token = await server.token();
  const unreading = connect(Number(new URL(other.url).port), '127.0.0.1');
  unreading.pause();
  unreading.write(`GET /api/events?resources=* HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  await until(() => [...other.manager.clients()].length === 1);
  const [client] = other.manager.clients();
  for (let i = 0; client?.behind === 0; i += 1) {
    await server.psql('select change_feed.emit($1, $2)', [`viel_${i}`, JSON.stringify('x'.repeat(60_000))]);
  }

  way.goSilent({ allNew: true });
  // One request waits for the database, too, and is disconnected, or answered that it takes too long
  const asked = jest.spyOn(other.feed, 'currentPosition');
  const waiting = fetch(`${other.url}/api/veranstaltungen`, { headers: { Authorization: `Bearer ${token}` } }).then(
    ({ status }) => status,
    () => 'cut off',
  );
  await until(() => asked.mock.calls.length === 1);
  const begun = performance.now();
  await other.stop();
  // Under 10 s where the machine is not busy. Waiting for the database or for the client would take minutes.
  expect(performance.now() - begun).toBeLessThan(30_000);
  expect(['cut off', 503]).toContain(await waiting);
  expect(client?.closed).toBe(true);
  unreading.destroy();
  way.bury();
  await server.stop();
  await way.close();
});

test('a stop does not wait for connections without a request, but for a request that is under way', async () => {
  const server = await startTestServer();
  const other = await server.another();
  const port = Number(new URL(other.url).port);
  const unused = connect(port);
  const late = connect(port);
  let answer = '';
  late.on('data', (data) => {
    answer += data;
  });
  late.write('GET /healthz HTTP/1.1\r\n');
  await Promise.all([unused, late].map((socket) => once(socket, 'connect')));
  // Those two have been accepted when a third one is served
  await fetch(`${other.url}/healthz`);

  const stopped = other.stop();
  await once(unused, 'close');
  expect(late.closed).toBe(false);
  late.write('Host: localhost\r\n\r\n');
  await once(late, 'close');
  expect(answer).toContain('{"status":"ok"}');
  await stopped;
  await server.stop();
});
