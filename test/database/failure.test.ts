import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { afterEach, expect, test } from '@jest/globals';
import { CLI, CommandLine } from '../command-line.js';
import { until } from '../until.js';

// Servers that are no Postgres, or refuse in odd ways, and never end the connection.

const servers: Server[] = [];
const commandLine = new CommandLine(tmpdir());

afterEach(() => {
  commandLine.stop();
  for (const server of servers.splice(0)) server.close();
});

/** The bytes of a message: a letter, a length, and what it says. */
function message(letter: string, body: Buffer | string): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(Buffer.byteLength(body) + 4);
  return Buffer.concat([Buffer.from(letter), length, Buffer.from(body)]);
}

const fatal = (code: string, text: string) => message('E', `SFATAL\0VFATAL\0C${code}\0M${text}\0\0`);
const signIn = (kind: number, how = '') =>
  message('R', Buffer.concat([Buffer.from([0, 0, 0, kind]), Buffer.from(how)]));

test.each([
  ['zeros', Buffer.alloc(100_000), /does not answer as Postgres does/],
  ['an error without words', message('E', '\0'), /does not answer as Postgres does/],
  ['a way to sign in that is unknown', signIn(10, 'SCRAM-OTHER\0\0'), /does not answer as Postgres does \(SASL: /],
  ['GSSAPI', signIn(7), /a way to sign in that is not supported \(GSSAPI\)\. Give this user scram-sha-256/],
  ['SSPI', signIn(9), /not supported \(SSPI\)/],
  ['a way to sign in without a name', signIn(99), /not supported \(number 99\)/],
  ['a message that is cut', message('R', ''), /does not answer as Postgres does/],
  [
    'a message of several lines',
    fatal('XX000', 'first\n    at second (x.js:1:1)\r\n'),
    /first at second \(x\.js:1:1\)/,
  ],
  ['a message without an end', fatal('XX000', 'z'.repeat(100_000)), /z{300} \(XX000\)/],
  ['too many connections', fatal('53300', 'sorry'), /no connection left \(53300\)/],
])('%s: one short sentence, and the command ends', async (_name, answer, sentence) => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.write(answer));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('The server has no port');
  const { child, said } = commandLine.start(process.execPath, [CLI, 'serve'], {
    DATABASE_URL: `postgres://feed:hidden-word@127.0.0.1:${address.port}/app`,
    JWT_SECRET: 'a secret of the tests, long enough for HS256',
    PORT: '0',
  });
  await until(() => child.exitCode !== null);
  expect(child.exitCode).toBe(1);
  expect(said()).toMatch(sentence);
  expect(said()).not.toMatch(/hidden-word|^\s+at /m);
  expect(said().trim().split('\n')).toHaveLength(1);
  expect(said().length).toBeLessThan(600);
});
