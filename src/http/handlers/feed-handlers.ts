import type { ChangeFeed } from '../../feed/change-feed.js';
import type { Logger } from '../../logger.js';
import type { SSEManager } from '../../streams/manager.js';
import { StreamLimits, type StreamLimitsOptions } from '../../streams/stream-limits.js';
import { Subscriptions } from '../../streams/subscriptions.js';
import type { Caller } from '../caller.js';
import type { Answer, Exchange } from '../exchange.js';
import type { FeedParts } from '../feed-parts.js';
import { HttpError } from '../http-error.js';
import { Reauthorization } from '../reauthorization.js';
import { monitorRoutes } from './monitor/monitor-routes.js';
import { pollHandler } from './poll.js';
import { streamHandler } from './stream.js';
import { subscribeHandler } from './subscribe.js';

/** The longest time between two questions for rights, in seconds: above it a timer would run at once. */
const MAX_REAUTHORIZE_S = 10_000_000;

/** Limits on streams and their subscriptions. */
export interface SSELimits extends StreamLimitsOptions {
  /** The largest number of subscriptions of one stream, by URL and POST; one more is 400 or 429. Default 100. */
  readonly maxSubscriptions?: number | undefined;
}

/** The parts of a feed that handlers need. */
export interface HandlerParts {
  readonly changes: ChangeFeed;
  readonly streams: SSEManager;
  readonly logger: Logger;
  readonly limits: StreamLimits;
  readonly subscriptions: Subscriptions;
  readonly maxSubscriptions: number;
  /** Asks for the rights of open streams again. Undefined: they hold until a stream ends. */
  readonly reauthorization: Reauthorization | undefined;
  /** The longest time that rights hold, in ms: a poll answers then. Infinity: no limit. */
  readonly reauthorizeMs: number;
}

/**
 * Answers an exchange. Undefined: it has opened a stream, or the client has left.
 * @param askCaller returns the caller, or throws to refuse it.
 */
export type FeedHandler = (exchange: Exchange, askCaller: () => Promise<Caller>) => Promise<Answer | undefined>;

/** A handler, its path, and its method. */
export interface FeedRoute {
  readonly path: string;
  readonly method: 'GET' | 'POST';
  /** True where it answers everybody: it asks for no caller. Default false. */
  readonly isOpen?: boolean;
  readonly handle: FeedHandler;
}

/**
 * Makes the routes of streams, polls and subscriptions, and of the monitor where that is on, with limits for this process.
 * @param path where those of the feed begin.
 * @param reauthorizeS the time between two questions for the rights of an open stream, in seconds. Undefined: never.
 */
export function feedRoutes(
  { changes, streams, logger, monitor }: FeedParts,
  path: string,
  limits: SSELimits = {},
  reauthorizeS?: number,
): readonly FeedRoute[] {
  const { maxSubscriptions = 100 } = limits;
  if (reauthorizeS !== undefined && !(reauthorizeS > 0 && reauthorizeS <= MAX_REAUTHORIZE_S))
    throw new TypeError(`reauthorizeS: expected seconds above 0, and at most ${MAX_REAUTHORIZE_S}`);
  const parts: HandlerParts = {
    changes,
    streams,
    logger,
    limits: new StreamLimits(limits),
    subscriptions: new Subscriptions(changes, streams, maxSubscriptions),
    maxSubscriptions,
    reauthorizeMs: reauthorizeS === undefined ? Number.POSITIVE_INFINITY : reauthorizeS * 1000,
    reauthorization: reauthorizeS === undefined ? undefined : new Reauthorization(streams, reauthorizeS, logger),
  };
  const routes: readonly FeedRoute[] = [
    { path, method: 'GET', handle: streamHandler(parts) },
    { path: `${path}/poll`, method: 'GET', handle: pollHandler(parts) },
    { path: `${path}/subscribe`, method: 'POST', handle: subscribeHandler('subscribe', parts) },
    { path: `${path}/unsubscribe`, method: 'POST', handle: subscribeHandler('unsubscribe', parts) },
    ...(monitor ? monitorRoutes(monitor, parts) : []),
  ];
  return routes.map((route) => ({ ...route, handle: only(route) }));
}

/** Refuses other methods; a router may answer HEAD like GET, and the answer would wait for the end of a stream. */
function only({ method, handle }: FeedRoute): FeedHandler {
  return async (exchange, askCaller) => {
    if (exchange.method === method) return handle(exchange, askCaller);
    throw new HttpError('method_not_allowed', `${exchange.path} takes ${method} only`, { Allow: method });
  };
}
