import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Kysely } from 'kysely';
import { createDatabase } from '../database/connection.js';
import type { Database } from '../database/tables.js';
import type { ChangeFeed } from '../feed/change-feed.js';
import { FailureLog } from '../feed/failure-log.js';
import { OperatorError } from '../operator-error.js';
import type { SSEManager } from '../sse/manager.js';
import { type AppOptions, createApp } from './app.js';
import { atMost } from './at-most.js';
import { httpServerCloser } from './close-http-server.js';
import { createChangeFeed } from './create-change-feed.js';
import { createHttpServer, type HttpServerOptions } from './http-server.js';

/** What a server needs beside the settings of its application. */
export interface ServerOptions extends Omit<AppOptions, 'db' | 'feed'>, HttpServerOptions {
  readonly databaseUrl: string;
  /** Default: `databaseUrl`. */
  readonly listenDatabaseUrl?: string | undefined;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly heartbeatS: number;
  readonly readIntervalMs: number;
  readonly logRetentionS: number;
  readonly logMaxRows: number;
  /** See {@link ChangeFeedOptions.recentChanges}. */
  readonly recentChanges?: number;
  /** See {@link SSEManagerOptions.holdMs}. */
  readonly holdMs?: number;
  /** How long the database may take for an answer to REST, in ms; then it is 503. Default 5000. */
  readonly queryTimeoutMs?: number;
  /** The same within a write, in ms. Default 30,000. */
  readonly writeTimeoutMs?: number;
  /** How long a client may leave its answer unread, in ms; for streams see {@link SSEManagerOptions.stallMs}. */
  readonly stallMs?: number;
}

/** A server that runs. */
export interface RunningServer {
  /** `http://localhost:3000` */
  readonly url: string;
  readonly db: Kysely<Database>;
  readonly feed: ChangeFeed;
  readonly manager: SSEManager;
  /** Takes no more requests, ends the streams, and closes the connections to the database: within 10 s at the most. */
  stop(): Promise<void>;
}

/** Queries that are under way when the server stops may take this long, in ms. */
const LAST_QUERIES_MS = 2000;
/** Connections that wait until they are taken; the kernel has a limit of its own (net.core.somaxconn). */
const BACKLOG = 4096;

/**
 * Connects, listens to the feed, and serves.
 * @throws {OperatorError} when the database or the port can't be used, in one sentence.
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { databaseUrl, logger, queryTimeoutMs = 5000, writeTimeoutMs = 30_000 } = options;
  const failures = new FailureLog(logger);
  const onError = (error: Error) => failures.happened('a connection to the database broke', error);
  const db = createDatabase(databaseUrl, onError, { queryMs: queryTimeoutMs, writeMs: writeTimeoutMs });
  const feed = createChangeFeed({
    ...options,
    retentionS: options.logRetentionS,
    maxRows: options.logMaxRows,
    heartbeatMs: options.heartbeatS * 1000,
  });
  try {
    await feed.start();
  } catch (error) {
    await db.destroy();
    throw error;
  }
  const http = createHttpServer(createApp({ ...options, db, feed }).callback(), options);
  const closeHttp = httpServerCloser(http);

  const stop = async () => {
    await Promise.all([feed.streams.close(), closeHttp()]);
    await feed.stop();
    await atMost(LAST_QUERIES_MS, db.destroy());
  };
  try {
    const url = await listen(http, options.host, options.port);
    logger.info({ url }, 'serving');
    return { url, db, feed: feed.changes, manager: feed.streams, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function listen(http: Server, host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    http.once('error', (error: NodeJS.ErrnoException) => {
      const failure: Readonly<Record<string, string>> = {
        EADDRINUSE: `Port ${port} on ${host} is in use: stop what uses it, or set PORT to another.`,
        EACCES: `Port ${port} may not be used by this user: set PORT to one from 1024.`,
        EADDRNOTAVAIL: `HOST: ${host} is no address of this machine.`,
        ENOTFOUND: `HOST: the name ${host} cannot be looked up.`,
      };
      const message = failure[error.code ?? ''];
      reject(message ? new OperatorError(message) : error);
    });
    // A crowd comes back at once, and Node would let 511 connections wait.
    http.listen(port, host, BACKLOG, () => {
      const { address, family, port: bound } = http.address() as AddressInfo;
      const everywhere = address === '0.0.0.0' || address === '::';
      const name = everywhere || host === 'localhost' ? 'localhost' : family === 'IPv6' ? `[${address}]` : address;
      resolve(`http://${name}:${bound}`);
    });
  });
}
