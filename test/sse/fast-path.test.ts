import { connect } from 'node:net';
import { Duplex } from 'node:stream';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { startTestServer, type TestServer } from '../running-server.js';
import { until } from '../until.js';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(() => server.stop());

test('a stream has no chunks, and ends with its connection', async () => {
  const token = await server.token();
  let text = '';
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  socket.on('data', (chunk) => {
    text += chunk.toString();
  });
  socket.write(`GET /api/events?resources=a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  await until(() => text.includes('event: connected'));
  const [head = '', body = ''] = text.split('\r\n\r\n');
  expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(head).toMatch(/^Connection: close$/im);
  expect(head).not.toMatch(/^(Transfer-Encoding|Content-Length):/im);
  expect(body).toMatch(/^retry: \d+\n\nid: /);
  socket.destroy();
});

test('an event for many is one write into each socket, and the same bytes for all', async () => {
  const streams = await Promise.all(Array.from({ length: 20 }, () => server.stream('resources=alle')));
  for (const stream of streams) await stream.clientId();
  const write = jest.spyOn(Duplex.prototype, 'write');
  await server.psql(`begin; select change_feed.emit('alle', '1'), change_feed.emit('alle', '2'); commit`);
  for (const stream of streams) await until(() => stream.updates.length === 2);
  const written = write.mock.calls
    .map(([bytes]) => bytes as unknown)
    .filter((bytes) => String(bytes).includes('"alle"'));
  write.mockRestore();
  expect(written).toHaveLength(20);
  expect(new Set(written).size).toBe(1);
  for (const stream of streams) stream.close();
});
