import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createChangeFeed } from '../../src/http/create-change-feed.js';
import { CERTIFICATE, KEY } from '../certificate.js';

let folder: string;
const servers: Server[] = [];
const sockets: Socket[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tls-'));
  await writeFile(join(folder, 'ca.crt'), CERTIFICATE);
});

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
  await rm(folder, { recursive: true });
});

/** A server that does to a session what a Postgres would. @returns its port. */
async function serve(session: (socket: Socket, first: Buffer) => void): Promise<number> {
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.once('data', (first) => session(socket, first));
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Takes the request for TLS, whose code is 80877103. */
function withTls(socket: Socket): TLSSocket {
  socket.write('S');
  return new TLSSocket(socket, { isServer: true, key: KEY, cert: CERTIFICATE }).on('error', () => {});
}

/** Asks over TLS for GSSAPI. */
function withGssapi(socket: Socket): void {
  const session = withTls(socket);
  session.once('data', () => session.write(Buffer.from('R\0\0\0\x08\0\0\0\x07')));
}

function refusal(code: string, text: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${text}\0\0`);
  const length = Buffer.alloc(4);
  length.writeInt32BE(fields.length + 4);
  return Buffer.concat([Buffer.from('E'), length, fields]);
}

const hba = (end: string) => `no pg_hba.conf entry for host "10.0.0.1", user "ada", database "app", ${end}`;

test.each<[string, (socket: Socket) => unknown, string, RegExp]>([
  [
    'whose certificate nobody has signed',
    withTls,
    'sslmode=require',
    /known here has signed .* Write sslmode=verify-full&sslrootcert=/,
  ],
  [
    'whose certificate is for another host',
    withTls,
    'sslmode=verify-full&sslrootcert=CA',
    /for another host .* Write the host/,
  ],
  [
    'without TLS',
    (socket) => socket.write('N'),
    'sslmode=require',
    /offers no TLS\. Switch TLS on there, or write sslmode=disable/,
  ],
  [
    'that asks for GSSAPI over TLS',
    withGssapi,
    'ssl=no-verify',
    /a way to sign in that is not supported \(GSSAPI\)\. Give this user scram-sha-256/,
  ],
  ['that answers TLS with nonsense', (socket) => socket.write('H'), 'sslmode=require', /TLS with it failed/],
  ['that breaks TLS off', (socket) => socket.end('S'), 'sslmode=require', /TLS|ended the connection/],
  [
    'that takes sessions with TLS only',
    (socket) => socket.end(refusal('28000', hba('no encryption'))),
    '',
    /without TLS .* Write sslmode=verify-full/,
  ],
  [
    'that took them so before 14',
    (socket) => socket.end(refusal('28000', hba('SSL off'))),
    '',
    /without TLS .* Write sslmode=verify-full/,
  ],
  [
    'that wants a certificate',
    (socket) => socket.end(refusal('28000', 'connection requires a valid client certificate')),
    '',
    /Write sslcert=/,
  ],
  [
    'that takes no such session',
    (socket) => socket.end(refusal('28000', 'pg_hba.conf rejects connection for host "10.0.0.1"')),
    '',
    /pg_hba\.conf refuses/,
  ],
  ['that closes at once', (socket) => socket.destroy(), '', /it ended the connection/],
  [
    'that is an RDS Proxy',
    (socket) =>
      socket.end(refusal('0A000', "Feature not supported: RDS Proxy currently doesn't support command-line options.")),
    '',
    /^A pooler stands before .*: set LISTEN_DATABASE_URL to the direct address/,
  ],
])('a server %s is named in a sentence that says what to write', async (_name, session, query, sentence) => {
  const port = await serve(session);
  const databaseUrl = `postgres://ada:geheim@localhost:${port}/app?${query.replace('CA', join(folder, 'ca.crt'))}`;
  const feed = createChangeFeed({ databaseUrl });
  const error = await feed.start().catch((failure: Error) => failure);
  expect(error).toMatchObject({ name: 'OperatorError', message: expect.stringMatching(sentence) });
  expect((error as Error).message).not.toMatch(/geheim|\n/);
});

test.each([undefined, '', 'mysql://ada:geheim@host/app'])(
  'createChangeFeed({ databaseUrl: %j }) throws at once',
  (given) => {
    const make = () => createChangeFeed({ databaseUrl: given as string });
    expect(make).toThrow(/^databaseUrl: expected postgres:\/\/user:password@host:port\/database$/);
  },
);
