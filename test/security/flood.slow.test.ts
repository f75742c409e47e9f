import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { get, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { signToken } from '../../src/http/token.js';
import { packageRoot } from '../../src/package-root.js';
import { openStream } from '../event-stream.js';
import { createTestDatabase, type TestDatabase } from '../test-database.js';
import { until } from '../until.js';

// The built server in a process of its own, under a flood: it answers others meanwhile, and its memory returns.

const SECRET = 'a secret of the tests, long enough for HS256';
/** Loaded before the server: says how much memory is in use after a collection. */
const REPORTER = `process.on('message', () => { gc(); gc(); const { heapUsed, external } = process.memoryUsage(); process.send(heapUsed + external); });`;
/** How much more memory may be in use after a flood than before, in bytes. */
const SLACK = 10_000_000;
/** How long another's request may take under a flood, in ms: far beyond what it takes, for this machine is shared. */
const ANSWERED_MS = 5000;

let database: TestDatabase;
let child: ChildProcess;
let url: string;
let port: number;
let token: string;
let said = '';

beforeAll(async () => {
  database = await createTestDatabase();
  const hook = `data:text/javascript,${encodeURIComponent(REPORTER)}`;
  const cli = join(packageRoot, 'dist/src/cli.js');
  child = spawn(process.execPath, ['--expose-gc', '--import', hook, cli, 'serve'], {
    env: {
      PATH: process.env.PATH,
      DATABASE_URL: database.url,
      JWT_SECRET: SECRET,
      HOST: '127.0.0.1',
      PORT: '0',
      HEADERS_TIMEOUT_S: '5',
      REQUEST_TIMEOUT_S: '10',
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
  }
  await until(() => said.includes('"msg":"serving"'), 'the server');
  url = /"url":"([^"]+)"/.exec(said)?.[1] ?? '';
  port = Number(new URL(url).port);
  token = await signToken({ sub: 'mallory', expiresInS: 3600, secret: SECRET });
  // What it makes once, for good
  await Promise.all(Array.from({ length: 50 }, () => fetch(`${url}/api/none?token=${token}`)));
});

afterAll(async () => {
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  expect((await exited)[0]).toBe(0);
  expect(said.split('\n').find((line) => /"level":(50|60)/.test(line))).toBeUndefined();
  await database.drop();
});

async function memory(): Promise<number> {
  const answer = once(child, 'message');
  child.send('memory');
  return (await answer)[0];
}

/** Does something while others ask for /healthz, each on a connection of its own. @returns the longest wait, in ms. */
async function meanwhile(work: () => Promise<unknown>): Promise<number> {
  let done = false;
  let longest = 0;
  const working = work().finally(() => {
    done = true;
  });
  while (!done) {
    const begun = performance.now();
    const status = await new Promise((resolve, reject) => {
      get(`${url}/healthz`, { agent: false }, (response) => resolve(response.resume().statusCode)).on('error', reject);
    });
    expect(status).toBe(200);
    longest = Math.max(longest, performance.now() - begun);
    await delay(20);
  }
  await working;
  return longest;
}

async function expectSmall(before: number): Promise<void> {
  let now = 0;
  for (let i = 0; i < 50 && (i === 0 || now > before + SLACK); i += 1) {
    now = await memory();
    await delay(100);
  }
  expect(now - before).toBeLessThan(SLACK);
}

test('5,000 connections that send nothing, or half a request', async () => {
  const before = await memory();
  const sockets: Socket[] = [];
  const longest = await meanwhile(async () => {
    let closed = 0;
    for (let i = 0; i < 5000; i += 1) {
      const socket = connect(port, '127.0.0.1');
      sockets.push(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        closed += 1;
      });
      socket.resume();
      if (i % 2) socket.write('POST /api/events/subscribe HTTP/1.1\r\nHost: x\r\nX-Half');
      if (i % 250 === 249) await delay(10);
    }
    await until(() => sockets.every(({ pending, destroyed }) => destroyed || !pending), 'the connections');
    while (closed < 5000) await delay(50);
  });
  expect(longest).toBeLessThan(ANSWERED_MS);
  await expectSmall(before);
});

test('bodies of 10 MB, announced and not', async () => {
  const before = await memory();
  const body = Buffer.alloc(10_000_000, ' ');
  const send = (chunked: boolean) =>
    new Promise<number>((resolve) => {
      const headers = {
        Authorization: `Bearer ${token}`,
        'Content-Type': 'application/json',
        ...(chunked ? {} : { 'Content-Length': body.length }),
      };
      const outgoing = request(`${url}/api/events/subscribe`, { method: 'POST', headers, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      // Closed before all is sent, and so before the answer is read
      outgoing.on('error', () => resolve(413));
      outgoing.end(body);
    });
  const longest = await meanwhile(async () => {
    for (let i = 0; i < 5; i += 1) {
      expect(await Promise.all(Array.from({ length: 10 }, (_, j) => send(j % 2 === 0)))).toEqual(Array(10).fill(413));
    }
  });
  expect(longest).toBeLessThan(ANSWERED_MS);
  await expectSmall(before);
});

test('100,000 subscribe calls, each for another resource', async () => {
  const stream = await openStream(`${url}/api/events?token=${token}`);
  const clientId = await stream.clientId();
  const before = await memory();
  const SOCKETS = 20;
  const EACH = 5000;
  const AT_ONCE = 10;
  const statuses = new Map<string, number>();

  async function flood(socket: Socket, number: number): Promise<void> {
    let answered = 0;
    socket.on('data', (chunk: Buffer) => {
      for (const [, status = ''] of chunk.toString('latin1').matchAll(/HTTP\/1\.1 (\d{3})/g)) {
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        answered += 1;
      }
    });
    for (let sent = 0; sent < EACH; sent += AT_ONCE) {
      let text = '';
      for (let i = 0; i < AT_ONCE; i += 1) {
        const body = JSON.stringify({ clientId, resource: `${number}-${sent + i}-${'x'.repeat(180)}` });
        text +=
          `POST /api/events/subscribe HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n` +
          `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
      }
      socket.write(text);
      while (answered < sent + AT_ONCE * 0.8) await delay(1); // a status may be cut between two chunks
    }
    await once(socket.end(), 'close');
  }

  const longest = await meanwhile(() =>
    Promise.all(Array.from({ length: SOCKETS }, (_, i) => flood(connect(port, '127.0.0.1'), i))),
  );
  // As many subscriptions as the stream may have
  expect(statuses.get('200')).toBe(100);
  expect([...statuses.keys()].sort()).toEqual(['200', '429']);
  expect(longest).toBeLessThan(ANSWERED_MS);
  await expectSmall(before);
  stream.close();
}, 300_000);
