import { afterAll, beforeAll } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { type ApplicationOptions, type RunningApplication, startApplication } from '../src/app/server.js';
import { signToken } from '../src/http/token.js';
import { type EventStream, openStream } from './event-stream.js';
import { createTestDatabase, type TestDatabase } from './test-database.js';

/** The key of the tests' tokens. */
const SECRET = 'a secret of the tests, long enough for HS256';

/** A server on a database of its own, and a session like an admin's psql beside it. */
export interface TestServer extends RunningApplication {
  /** The HS256 key of its tokens. */
  readonly secret: string;
  readonly database: TestDatabase;
  /** Runs raw SQL, as someone in psql would. */
  psql(text: string, values?: unknown[]): Promise<pg.QueryResult>;
  token(options?: { sub?: string; expiresInS?: number; resources?: string[]; monitor?: boolean }): Promise<string>;
  /** Opens a stream for a token of its own. */
  stream(query?: string, headers?: Record<string, string>): Promise<EventStream>;
  /** Another server on the same database. */
  another(options?: Partial<ApplicationOptions>): Promise<RunningApplication>;
  /** Sends JSON, with a token of its own unless one is given. */
  post(path: string, body: unknown, token?: string): Promise<Response>;
}

/** Gives the tests of a file a server, and stops it after them: see {@link startTestServer}. */
export function useTestServer(options: Partial<ApplicationOptions> = {}): TestServer {
  const server = {} as TestServer;
  beforeAll(async () => {
    Object.assign(server, await startTestServer(options));
  });
  afterAll(() => server.stop?.());
  return server;
}

/** Starts the real server, in this process, on a free port. Periodic reads are off: what arrives was rung for. */
export async function startTestServer(options: Partial<ApplicationOptions> = {}): Promise<TestServer> {
  const database = await createTestDatabase();
  const all: ApplicationOptions = {
    databaseUrl: database.url,
    host: '127.0.0.1',
    port: 0,
    jwtSecret: SECRET,
    jwtToleranceS: 0,
    queryToken: true,
    defaultResources: '*',
    corsOrigins: [],
    maxStreamsPerSubject: 100_000,
    maxPostsPerS: 100_000,
    maxRequestsPerSubject: 10_000,
    heartbeatS: 30,
    readIntervalMs: 0,
    logRetentionS: 86_400,
    logMaxRows: 10_000_000,
    logger: pino({ level: 'silent' }),
    ...options,
  };
  const server = await startApplication(all);
  const admin = new pg.Client({ connectionString: database.url, application_name: 'psql' });
  await admin.connect();
  const streams: EventStream[] = [];
  const others: RunningApplication[] = [];

  const token: TestServer['token'] = ({ sub = 'ada', expiresInS = 3600, resources, monitor = false } = {}) =>
    signToken({ sub, expiresInS, secret: SECRET, monitor, ...(resources && { resources }) });
  return {
    ...server,
    secret: SECRET,
    database,
    token,
    psql: (text, values) => admin.query(text, values),
    stream: async (query = 'resources=*', headers = {}) => {
      const stream = await openStream(`${server.url}/api/events?${query}`, {
        Authorization: `Bearer ${await token()}`,
        ...headers,
      });
      streams.push(stream);
      return stream;
    },
    another: async (more = {}) => {
      const other = await startApplication({ ...all, ...more });
      others.push(other);
      return other;
    },
    post: async (path, body, given) =>
      fetch(`${server.url}${path}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${given ?? (await token())}` },
        body: JSON.stringify(body),
      }),
    stop: async () => {
      for (const stream of streams) stream.close();
      await admin.end();
      for (const other of [server, ...others]) await other.stop();
      await database.drop();
    },
  };
}
