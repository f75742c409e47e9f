import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { expect, jest, test } from '@jest/globals';
import Koa from 'koa';
import { collectGarbage } from '../collect-garbage.js';
import { useTestServer } from '../running-server.js';
import { until } from '../until.js';

const server = useTestServer();

/** A stream of `a` on a connection of its own, with every byte that came. */
async function rawStream(): Promise<{ socket: Socket; text: () => string; request: string }> {
  let text = '';
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  socket.on('data', (chunk) => {
    text += chunk.toString();
  });
  const request = `GET /api/events?resources=a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${await server.token()}\r\n\r\n`;
  socket.write(request);
  await until(() => text.includes('event: connected'));
  return { socket, text: () => text, request };
}

test('a stream has no chunks, and ends with its connection', async () => {
  const { socket, text } = await rawStream();
  const [head = '', body = ''] = text().split('\r\n\r\n');
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

test('nothing but its events gets into a stream, whatever its client sends after the request', async () => {
  const { socket, text, request } = await rawStream();
  for (const sent of [request, '\0 no HTTP at all \r\n\r\n']) {
    socket.write(sent);
    const before = text().length;
    await server.psql(`select change_feed.emit('a')`);
    await until(() => text().slice(before).includes('"operation":"emit"'));
  }
  expect(text().match(/HTTP\//g)).toHaveLength(1);
  expect(text().match(/event: connected/g)).toHaveLength(1);
  socket.destroy();
});

test.each([
  ['before another request', (stream: string, other: string) => stream + other],
  ['behind another request', (stream: string, other: string) => other + stream],
  ['amid others', (stream: string, other: string) => other + stream + stream + other],
])('a stream %s on its connection is one, and gives its place back', async (_where, pipelined) => {
  const before = server.manager.clientCount;
  let text = '';
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  socket.on('data', (chunk) => {
    text += chunk.toString();
  });
  const stream = `GET /api/events?resources=b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${await server.token()}\r\n\r\n`;
  socket.write(pipelined(stream, 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'));
  await until(() => text.includes('event: connected'));
  await server.psql(`select change_feed.emit('b')`);
  await until(() => text.includes('"operation":"emit"'));
  const opened = text.slice(text.search(/content-type: text\/event-stream/i));
  expect(opened).not.toMatch(/HTTP\/|"status"/);
  socket.destroy();
  await until(() => server.manager.clientCount === before);
});

test('of the request nothing is kept for as long as the stream is open', async () => {
  const contexts: WeakRef<object>[] = [];
  const { createContext } = Koa.prototype;
  const spy = jest.spyOn(Koa.prototype, 'createContext').mockImplementation(function (this: Koa, ...given) {
    const context = createContext.apply(this, given);
    contexts.push(new WeakRef(context), new WeakRef(context.req), new WeakRef(context.res));
    return context;
  });
  const { socket } = await rawStream();
  spy.mockRestore();
  expect(contexts).toHaveLength(3);
  await until(() => {
    collectGarbage();
    return contexts.every((context) => context.deref() === undefined);
  });
  expect(socket.destroyed).toBe(false);
  socket.destroy();
});
