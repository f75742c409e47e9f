import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import pg from 'pg';
import { pino } from 'pino';
import { atMost } from '../at-most.js';
import { type FindPassword, parseAddress, sessionTo } from '../database/address.js';
import { databaseFailure } from '../database/failure.js';
import { ChangeFeed } from '../feed/change-feed.js';
import type { ChangeFeedOptions } from '../feed/change-feed-options.js';
import type { Logger } from '../logger.js';
import { Monitor } from '../monitor/monitor.js';
import { MonitorDatabase } from '../monitor/monitor-database.js';
import { HealthEvents } from '../streams/health-events.js';
import { SSEManager, type SSEManagerOptions } from '../streams/manager.js';
import type { FeedParts } from './feed-parts.js';
import { type HandlerOptions, nodeHandler, type RequestHandler } from './handler.js';
import { type Respond, type RespondOptions, responder } from './responder.js';

/** Options of {@link createChangeFeed}. */
export interface CreateChangeFeedOptions
  extends Pick<ChangeFeedOptions, 'readIntervalMs' | 'retentionS' | 'maxRows' | 'recentChanges'>,
    Pick<SSEManagerOptions, 'heartbeatMs' | 'holdMs' | 'stallMs'> {
  /** The database, as the application's writers reach it: `postgres://user:password@host:port/database`. */
  readonly databaseUrl: string;
  /** Its direct address, where `databaseUrl` goes through a pooler in transaction mode. Default: `databaseUrl`. */
  readonly listenDatabaseUrl?: string | undefined;
  /** Finds the password of each new connection, in the place of one in the addresses: for passwords that rotate. */
  readonly password?: FindPassword | undefined;
  /**
   * Serves the monitor: the page `/monitor` and `/api/monitor/…`, for callers with the right `monitor`. It needs two more
   * sessions with the database while a page is open. Default false.
   */
  readonly monitor?: boolean | undefined;
  /** Options of {@link FeedWithStreams.respond}. */
  readonly respond?: RespondOptions | undefined;
  /** pino, or anything with the same four methods. Default: a pino of its own, on stdout, from `warn`. */
  readonly logger?: Logger | undefined;
}

/** A feed and the streams that carry it to clients. */
export interface FeedWithStreams extends FeedParts {
  /**
   * Begins to listen, before the application takes requests.
   * @throws {OperatorError} when the database can't be used, in one sentence that says what to do.
   */
  start(): Promise<void>;
  /**
   * Reads the position of now, for the header `Change-Feed-Position` of a list. Call it before you fetch the rows: then a
   * client that streams from there misses nothing.
   */
  currentPosition(): Promise<string>;
  /**
   * Makes a handler for node:http and node:http2. It serves the paths of the feed, and returns whether a request was one
   * of them. Headers that the application has set before stay.
   *
   * @example createServer(async (request, response) => (await handle(request, response)) || other(request, response))
   */
  handler<Request extends IncomingMessage | Http2ServerRequest = IncomingMessage>(
    options: HandlerOptions<Request>,
  ): RequestHandler<Request>;
  /**
   * Answers a `Request` of fetch, for Next, SvelteKit, Bun and Deno: see the option `respond`. A path that is not the
   * feed's is 404.
   * @param context is passed on to `caller`.
   * @throws {TypeError} without the option `respond`.
   */
  respond: Respond;
  /**
   * Ends all streams and polls of a subject, because its rights were withdrawn: here at once, and so at the other servers on
   * the database, or within 2.5 s where a notification is lost. Each stream receives `event: revoked` before its end. `caller`
   * has to refuse the subject from now on, or it comes back. Rejects where the database cannot be reached; the streams here
   * have ended then, too.
   */
  endStreams(of: { readonly subject: string }): Promise<void>;
  /**
   * Ends all streams and closes the connections to the database. Clients reconnect by themselves, here or elsewhere. A
   * feed that was stopped, or could not start, can't be started again: create another.
   */
  stop(): Promise<void>;
}

/** The time that queries under way may take when the feed stops, in ms. */
const LAST_QUERIES_MS = 2000;

/**
 * Creates a change feed for any Node server. The database needs the schema `change_feed`: `pg-change-feed migrate`, or
 * {@link migrateChangeFeed}.
 *
 * It takes an address and no pool: LISTEN, the locks and the reads of the log need up to nine sessions with settings
 * of their own. Nothing connects before {@link FeedWithStreams.start}.
 * @throws {OperatorError} where an address can't be read, in one sentence that shows nothing of it.
 */
export function createChangeFeed(options: CreateChangeFeedOptions): FeedWithStreams {
  const { databaseUrl, logger = pino({ name: 'pg-change-feed', level: 'warn' }) } = options;
  const listenDatabaseUrl = options.listenDatabaseUrl || databaseUrl;
  parseAddress(databaseUrl, 'databaseUrl');
  parseAddress(listenDatabaseUrl, 'listenDatabaseUrl');
  const changes = new ChangeFeed({
    ...options,
    listenDatabaseUrl,
    notify: (channel, payload) => notifyOnce(databaseUrl, options.password, channel, payload),
    streams: () => streams.clientCount,
    sent: () => streams.sent.state(streams.subscriptionCounts()),
    logger,
  });
  const streams: SSEManager = new SSEManager({ ...options, feed: changes, logger });
  const endStreams: FeedWithStreams['endStreams'] = async ({ subject }) => {
    streams.endStreams(subject);
    await changes.revocations.revoke(subject);
  };
  const addresses = { url: databaseUrl, listenUrl: listenDatabaseUrl, password: options.password };
  const database = options.monitor ? new MonitorDatabase(addresses) : undefined;
  const monitor = database && new Monitor({ changes, streams, database, endStreams });
  streams.closing.addEventListener('abort', () => monitor?.close());
  changes.revocations.listen((subject) => streams.endStreams(subject));
  const health = new HealthEvents(streams, () => {
    const { database, listener } = changes.health;
    // Without periodic reads a server that is not notified reads nothing.
    return database && (listener || options.readIntervalMs !== 0);
  });
  const parts: FeedParts = { changes, streams, logger, monitor };
  return {
    ...parts,
    handler: (given) => nodeHandler(parts, given),
    respond: options.respond ? responder(parts, options.respond) : refuseToRespond,
    endStreams,
    currentPosition: () => changes.currentPosition(),
    start: async () => {
      try {
        await changes.start();
        streams.sent.forget(changes.position);
        health.start();
      } catch (error) {
        await Promise.all([streams.close(), database?.close()]);
        throw databaseFailure(error, listenDatabaseUrl, options.listenDatabaseUrl && 'LISTEN_DATABASE_URL');
      }
    },
    stop: async () => {
      health.stop();
      await streams.close();
      await atMost(LAST_QUERIES_MS, Promise.all([changes.stop(), database?.close()]));
    },
  };
}

function refuseToRespond(): never {
  throw new TypeError('respond() needs the option respond of createChangeFeed, with a function caller');
}

/** Rings the way a writer would, over a connection like theirs. */
async function notifyOnce(
  databaseUrl: string,
  password: FindPassword | undefined,
  channel: string,
  payload: string,
): Promise<void> {
  const client = new pg.Client({
    ...sessionTo(databaseUrl, { name: 'pg-change-feed', password }),
    connectionTimeoutMillis: 5000,
    query_timeout: 5000,
  });
  client.on('error', () => {}); // the query that it fails reports it
  try {
    await client.connect();
    await client.query('select pg_catalog.pg_notify($1, $2)', [channel, payload]);
  } catch (error) {
    throw databaseFailure(error, databaseUrl);
  } finally {
    await client.end();
  }
}
