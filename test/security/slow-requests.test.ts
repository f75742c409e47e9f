import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createHttpServer } from '../../src/http/http-server.js';
import type { RunningServer } from '../../src/koa/server.js';
import { useTestServer } from '../running-server.js';
import { until } from '../until.js';

// Connections that send nothing, too slowly, or nonsense.

const server = useTestServer();
let impatient: RunningServer;
let hasty: RunningServer;
const sockets: Socket[] = [];

beforeAll(async () => {
  impatient = await server.another({ headersTimeoutS: 1, requestTimeoutS: 60 });
  hasty = await server.another({ headersTimeoutS: 1, requestTimeoutS: 2 });
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

interface Connection {
  readonly socket: Socket;
  readonly said: () => string;
  readonly closed: () => boolean;
}

function dial({ url }: Pick<RunningServer, 'url'>, text = ''): Connection {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  sockets.push(socket);
  let said = '';
  let closed = false;
  socket.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    closed = true;
  });
  if (text) socket.write(text);
  return { socket, said: () => said, closed: () => closed };
}

const refusal = (message: string) =>
  new RegExp(
    `^HTTP/1\\.1 400 Bad Request\\r\\nConnection: close\\r\\n(.+\\r\\n)+\\r\\n\\{"error":\\{"code":"bad_request","message":"${message}"\\}\\}$`,
  );

describe('is closed, with an answer that says so', () => {
  test.each([
    ['a connection that sends nothing', ''],
    ['half-sent headers', 'GET /healthz HTTP/1.1\r\nHost: x\r\nX-'],
    ['headers without their end', 'GET /healthz HTTP/1.1\r\nHost: x\r\n'],
  ])('%s', async (_name, text) => {
    const { said, closed } = dial(impatient, text);
    await until(closed, 'the connection to be closed');
    expect(said()).toMatch(refusal('The request did not arrive in time'));
  });

  test('slowloris: a header line now and then', async () => {
    const { socket, said, closed } = dial(impatient, 'GET /healthz HTTP/1.1\r\nHost: x\r\n');
    const drip = setInterval(() => socket.write('X-A: b\r\n'), 100);
    await until(closed, 'the connection to be closed');
    clearInterval(drip);
    expect(said()).toMatch(refusal('The request did not arrive in time'));
  });

  test('a slow body', async () => {
    const token = await server.token();
    const { socket, said, closed } = dial(
      hasty,
      `POST /api/veranstaltungen HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 50000\r\n\r\n{`,
    );
    const drip = setInterval(() => socket.write(' '), 100);
    await until(closed, 'the connection to be closed');
    clearInterval(drip);
    expect(said()).not.toContain('HTTP/1.1 500');
  });

  test.each([
    ['nonsense', 'nonsense\r\n\r\n'],
    ['TLS where none is spoken', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03'],
    ['a NUL in a header', 'GET / HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n'],
    ['two lengths of one body', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na'],
    [
      'a length beside chunks',
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na',
    ],
    ['a folded header', 'GET / HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b: c\r\nX-B:\r\n\t: d\r\nContent-Length: x\r\n\r\n'],
  ])('%s', async (_name, text) => {
    const { said, closed } = dial(server, text);
    await until(closed, 'the connection to be closed');
    expect(said()).toMatch(refusal('The request is malformed'));
  });

  test.each(['//?a=#@&', '/#', '\u00a0', 'x:/', 'http://[/'])('a URL that Koa fails over: %s', async (target) => {
    const { said, closed } = dial(server, `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await until(closed, 'the connection to be closed');
    expect(said()).toMatch(refusal('The (URL|request) is malformed'));
  });

  test('a request without Host', async () => {
    const { said, closed } = dial(server, 'GET /healthz HTTP/1.1\r\n\r\n');
    await until(closed, 'the connection to be closed');
    expect(said()).toMatch(refusal('Host is missing'));
  });
});

test('a connection without a request is kept for longer than the 60 s of a proxy, which may send one at any moment', async () => {
  const answer = await fetch(`${server.url}/healthz`);
  expect(answer.headers.get('Keep-Alive')).toBe('timeout=65');
});

test('an expectation that nobody knows is passed over', async () => {
  const { said } = dial(server, 'GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\nConnection: close\r\n\r\n');
  await until(() => said().includes('{"status":"ok"}'));
  expect(said()).toMatch(/^HTTP\/1\.1 200 /);
});

test('nonsense amid a stream is not answered into it', async () => {
  const token = await server.token();
  const { socket, said } = dial(server, `GET /api/events?resources=marke&token=${token} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await until(() => said().includes('event: connected'));
  socket.write('nonsense\r\n\r\n');
  await until(() => socket.writableLength === 0);
  await server.psql(`select change_feed.emit('marke')`);
  await until(() => said().includes('"resource":"marke"'));
  expect(said()).not.toContain('HTTP/1.1 400');
  socket.destroy();
});

test('a stream is no slow request: it outlives the times for one', async () => {
  const token = await server.token();
  const { said, closed } = dial(hasty, `GET /api/events?resources=marke&token=${token} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const begun = Date.now();
  await until(() => Date.now() - begun > 3500);
  expect(closed()).toBe(false);
  await server.psql(`select change_feed.emit('marke')`);
  await until(() => said().includes('"resource":"marke"'));
});

test('an answer that nobody reads is cut off after STALL_S', async () => {
  const http = createHttpServer((_request, response) => response.end(Buffer.alloc(50_000_000)), { stallMs: 300 });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  const { socket } = dial({ url: `http://127.0.0.1:${port}` }, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  socket.pause();
  const connections = () => new Promise<number>((resolve) => http.getConnections((_error, count) => resolve(count)));
  await until(async () => (await connections()) === 1, 'the connection');
  await until(async () => (await connections()) === 0, 'the connection to be cut off');
  http.close();
});

test('connections beyond MAX_CONNECTIONS are closed at once, and those before them are served', async () => {
  const at = await server.another({ maxConnections: 10 });
  const first = dial(at);
  const others = Array.from({ length: 30 }, () => dial(at));
  await until(() => others.filter(({ closed }) => closed()).length === 21);
  first.socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
  await until(() => first.said().includes('{"status":"ok"}'));
});
