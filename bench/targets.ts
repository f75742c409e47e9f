import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { signToken } from '../src/http/token.js';
import { packageRoot } from '../src/package-root.js';
import type { BenchDatabase } from './database.js';
import { hasNchan, startNchan } from './peers/nchan.js';
import { type ServerProcess, startProcess } from './processes.js';
import type { StreamAddress } from './readers.js';

/** A server that fans events out: ours, or a peer. */
export interface Target {
  /** With its version. */
  readonly name: string;
  start(cpu?: number): Promise<RunningTarget>;
}

/** A target that runs. */
export interface RunningTarget {
  readonly pid: number;
  readonly stream: StreamAddress;
  /** Sends one event to all readers. */
  publish(): Promise<void>;
  stop(): Promise<void>;
}

const SECRET = 'a secret of the benchmarks, long enough';
const require = createRequire(import.meta.url);

/** What every event says: for the peers to say the same as we do. */
const EVENT = { resource: 'gemessen', operation: 'update', keys: [1], origin: { application: 'bench' }, spread: 10000 };

/** Our server, as `pg-change-feed serve` runs it. */
export async function startOurs(
  url: string,
  cpu?: number,
  env: Readonly<Record<string, string>> = {},
): Promise<ServerProcess> {
  return startProcess([process.execPath, join(packageRoot, 'dist/src/cli.js'), 'serve'], {
    cpu,
    env: {
      DATABASE_URL: url,
      HOST: '127.0.0.1',
      PORT: '0',
      JWT_SECRET: SECRET,
      LOG_LEVEL: 'info',
      // All readers have one token.
      MAX_STREAMS_PER_SUBJECT: '20000',
      ...env,
    },
    ready: /"url":"http:\/\/127\.0\.0\.1:(\d+)".*"serving"/,
  });
}

/**
 * Makes the address of a stream of ours.
 * @param subject of its token. A server runs 20 requests of one at once.
 * @param issuer of its token; the server takes any.
 */
export async function ourStream(
  port: number,
  query = 'resources=gemessen',
  subject = 'bench',
  issuer?: string,
): Promise<StreamAddress> {
  const token = await signToken({ sub: subject, expiresInS: 86_400, secret: SECRET, issuer });
  return { port, path: `/api/events?${query}`, headers: { Authorization: `Bearer ${token}` } };
}

/** Ours and all peers that are installed. `database` has the watched table gemessen with the row 1. */
export function allTargets(database: BenchDatabase): Target[] {
  return [
    ours('pg-change-feed', database, (cpu) => startOurs(database.url, cpu)),
    peer(`better-sse ${versionOf('better-sse')}`, 'better-sse'),
    peer(`Koa ${versionOf('koa')} with a PassThrough`, 'koa'),
    peer('node:http', 'node-http'),
    peer('raw socket', 'raw-socket'),
    ...(hasNchan ? [nchan] : []),
  ];
}

/** The feed in each framework, as its example mounts it. */
export function frameworkTargets(database: BenchDatabase): Target[] {
  const frameworks = [
    ['node:http', 'node-http'],
    [`Koa ${versionOf('koa')}`, 'koa'],
    [`Express ${versionOf('express')}`, 'express'],
    [`Fastify ${versionOf('fastify')}`, 'fastify'],
    [`Hono ${versionOf('hono')}, @hono/node-server ${versionOf('@hono/node-server')}`, 'hono'],
    [`respond() behind @hono/node-server ${versionOf('@hono/node-server')}`, 'fetch'],
  ];
  const path = fileURLToPath(new URL('./feed-in-framework.js', import.meta.url));
  return frameworks.map(([name = '', argument = '']) =>
    ours(name, database, (cpu) =>
      startProcess([process.execPath, path, argument], {
        cpu,
        env: { DATABASE_URL: database.url },
        ready: /serving on (\d+)/,
      }),
    ),
  );
}

/** Ours, with a token as long as those of large identity providers: 500 bytes. */
export function longTokenTarget(database: BenchDatabase): Target {
  const issuer = `https://login.example/${'x'.repeat(215)}`;
  return ours(
    'pg-change-feed, tokens of 500 bytes',
    database,
    (cpu) => startOurs(database.url, cpu),
    (port) => ourStream(port, undefined, undefined, issuer),
  );
}

function ours(
  name: string,
  database: BenchDatabase,
  start: (cpu?: number) => Promise<ServerProcess>,
  stream: (port: number) => Promise<StreamAddress> = ourStream,
): Target {
  return {
    name,
    start: async (cpu) => {
      const server = await start(cpu);
      return {
        ...server,
        stream: await stream(server.port),
        publish: async () => {
          await database.session.query('update gemessen set wert = wert + 1 where id = 1');
        },
      };
    },
  };
}

function peer(name: string, file: string): Target {
  return {
    name,
    start: async (cpu) => {
      const path = fileURLToPath(new URL(`./peers/${file}.js`, import.meta.url));
      const server = await startProcess([process.execPath, path], { cpu, ready: /serving on (\d+)/ });
      return {
        ...server,
        stream: { port: server.port, path: '/events' },
        publish: async () => server.say(JSON.stringify(EVENT)),
      };
    },
  };
}

const nchan: Target = {
  name: 'nginx with nchan',
  start: async (cpu) => {
    const server = await startNchan(cpu);
    const body = JSON.stringify(EVENT);
    return {
      ...server,
      stream: { port: server.port, path: '/events' },
      publish: async () => {
        const response = await fetch(`http://127.0.0.1:${server.port}/publish`, {
          method: 'POST',
          headers: { 'X-EventSource-Event': 'table-update' },
          body,
        });
        await response.arrayBuffer();
      },
    };
  },
};

function versionOf(name: string): string {
  const path = require.resolve(name).replace(new RegExp(`^(.*/node_modules/${name}/).*$`), '$1package.json');
  return require(path).version;
}
