import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import type { RunningServer } from '../../src/koa/server.js';
import { useTestServer } from '../running-server.js';
import { until } from '../until.js';

/** What the server has logged. */
const lines: Record<string, unknown>[] = [];
const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) });

const server = useTestServer({ logger, stallMs: 300 });

/** Opens a stream over a bare socket, whose end is in the test's hand. */
async function open(sub: string, at: RunningServer = server, expiresInS = 3600): Promise<Socket> {
  const { hostname, port } = new URL(at.url);
  const socket = connect({ host: hostname, port: Number(port) });
  await once(socket, 'connect');
  const token = await server.token({ sub, expiresInS });
  socket.write(`GET /api/events?resources=*&token=${token} HTTP/1.1\r\nHost: test\r\n\r\n`);
  let text = '';
  const receive = (chunk: Buffer) => {
    text += chunk;
  };
  socket.on('data', receive);
  await until(() => text.includes('event: connected'), 'connected');
  return socket;
}

const linesOf = (subject: string) => lines.filter((line) => line.subject === subject);
const reason = async (subject: string) => {
  await until(() => linesOf(subject).length === 2, 'the line of its end');
  expect(linesOf(subject)).toMatchObject([
    { level: 30, msg: 'stream opened', resources: ['*'], resuming: false },
    { level: 30, msg: 'stream closed', seconds: expect.any(Number) },
  ]);
  expect(new Set(linesOf(subject).map(({ client }) => client)).size).toBe(1);
  return linesOf(subject)[1]?.reason;
};

test('a client that leaves', async () => {
  (await open('leaves')).destroy();
  expect(await reason('leaves')).toBe('the client left');
});

test('a connection that is reset', async () => {
  (await open('reset')).resetAndDestroy();
  expect(await reason('reset')).toBe('the connection broke');
});

test('a token that ends', async () => {
  await open('expires', server, 5);
  expect(await reason('expires')).toBe('its token ended');
});

test('a server that stops', async () => {
  const other = await server.another();
  await open('stopped', other);
  await other.stop();
  expect(await reason('stopped')).toBe('the server stops');
});

test('a client that does not read', async () => {
  const socket = await open('stalls');
  socket.pause();
  const data = JSON.stringify('x'.repeat(60_000));
  while (linesOf('stalls').length < 2) {
    await server.psql(`select change_feed.emit('viel', $1::jsonb)`, [data]);
    await delay(1);
  }
  expect(await reason('stalls')).toBe('the client did not read');
  socket.destroy();
});

test('no line holds a token', () => {
  expect(lines.length).toBeGreaterThan(10);
  expect(JSON.stringify(lines)).not.toMatch(/eyJ/);
});
