import { expect, test } from '@jest/globals';
import type { EventStream } from '../event-stream.js';
import { openStream } from '../event-stream.js';
import { startTestServer } from '../running-server.js';
import { until } from '../until.js';

test('a stop ends the streams of a crowd one after the other; until its end each hears every change', async () => {
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
  const begun = performance.now();
  const stopped = other.stop();
  await until(() => endedAt.size > 0);
  await server.psql(`select change_feed.emit('waehrenddessen')`);
  await stopped;
  expect(performance.now() - begun).toBeLessThan(10_000);
  await until(() => endedAt.size === streams.length);
  clearInterval(watching);

  // 1 ms for each
  expect(Math.max(...endedAt.values()) - begun).toBeGreaterThan(350);

  // Who was still there has heard it, and who was not resumes at the other server, and hears it there
  const heard = streams.filter((stream) => stream.updates.includes('waehrenddessen'));
  expect(heard.length).toBeGreaterThan(0);
  for (const stream of streams.filter((one) => !heard.includes(one)).slice(0, 20)) {
    const again = await server.stream('resources=*', { 'Last-Event-ID': stream.lastEventId() ?? '' });
    await until(() => again.updates.includes('waehrenddessen'));
  }
  await server.stop();
});
