import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ChangeFeed } from '../feed/change-feed.js';
import { httpServerCloser } from '../http/close-http-server.js';
import { createChangeFeed } from '../http/create-change-feed.js';
import { createHttpServer, type HttpServerOptions } from '../http/http-server.js';
import { OperatorError } from '../operator-error.js';
import type { SSEManager } from '../streams/manager.js';
import { type AppOptions, createApp } from './app.js';

/** Options of {@link startServer}: those of its Koa application, and the server's own. */
export interface ServerOptions extends Omit<AppOptions, 'feed'>, HttpServerOptions {
  readonly databaseUrl: string;
  /** The direct address of the database, past a pooler. Default: `databaseUrl`. */
  readonly listenDatabaseUrl?: string | undefined;
  readonly host: string;
  /** The port; 0 takes any free one. */
  readonly port: number;
  readonly heartbeatS: number;
  readonly readIntervalMs: number;
  readonly logRetentionS: number;
  readonly logMaxRows: number;
  /** Serves the monitor: see {@link CreateChangeFeedOptions.monitor}. Default false. */
  readonly monitor?: boolean;
  /** See {@link ChangeFeedOptions.recentChanges}. */
  readonly recentChanges?: number;
  /** See {@link SSEManagerOptions.holdMs}. */
  readonly holdMs?: number;
  /** The time that a client may leave its answer unread, in ms; for streams see {@link SSEManagerOptions.stallMs}. */
  readonly stallMs?: number;
}

/** A running server. */
export interface RunningServer {
  /** The address, such as `http://localhost:3000`. */
  readonly url: string;
  readonly feed: ChangeFeed;
  readonly manager: SSEManager;
  /** Takes no more requests, ends the streams, and closes the connections to the database: within 10 s at the most. */
  stop(): Promise<void>;
}

/** The number of connections that wait to be accepted; the kernel has a limit of its own (net.core.somaxconn). */
const BACKLOG = 4096;

/**
 * Connects, listens to the feed, and serves.
 * @throws {OperatorError} when the database or the port can't be used, in one sentence.
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const feed = createChangeFeed({
    ...options,
    retentionS: options.logRetentionS,
    maxRows: options.logMaxRows,
    heartbeatMs: options.heartbeatS * 1000,
  });
  await feed.start();
  const http = createHttpServer(createApp({ ...options, feed }).callback(), options);
  const closeHttp = httpServerCloser(http);

  const stop = async () => {
    await Promise.all([feed.streams.close(), closeHttp()]);
    await feed.stop();
  };
  try {
    const url = await listen(http, options.host, options.port);
    options.logger.info({ url }, 'serving');
    return { url, feed: feed.changes, manager: feed.streams, stop };
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
    // After a restart all clients come back at once, and Node would let 511 connections wait.
    http.listen(port, host, BACKLOG, () => {
      const { address, family, port: bound } = http.address() as AddressInfo;
      const everywhere = address === '0.0.0.0' || address === '::';
      const name = everywhere || host === 'localhost' ? 'localhost' : family === 'IPv6' ? `[${address}]` : address;
      resolve(`http://${name}:${bound}`);
    });
  });
}
