import type { ChangeFeed } from '../../feed/change-feed.js';
import type { SSEManager } from '../../streams/manager.js';
import { StreamLimits, type StreamLimitsOptions } from '../../streams/stream-limits.js';
import { Subscriptions } from '../../streams/subscriptions.js';
import type { Caller } from '../caller.js';
import type { Answer, Exchange } from '../exchange.js';
import type { FeedParts } from '../feed-parts.js';
import { HttpError } from '../http-error.js';
import { Reauthorization } from '../reauthorization.js';
import { pollHandler } from './poll.js';
import { streamHandler } from './stream.js';
import { subscribeHandler } from './subscribe.js';

/** Limits on streams and their subscriptions. */
export interface SSELimits extends StreamLimitsOptions {
  /** The largest number of subscriptions of one stream, by URL and POST; one more is 400 or 429. Default 100. */
  readonly maxSubscriptions?: number | undefined;
}

/** The parts of a feed that handlers need. */
export interface HandlerParts {
  readonly changes: ChangeFeed;
  readonly streams: SSEManager;
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

/** A handler, its path behind that of the feed, and its method. */
export interface FeedRoute {
  readonly path: '' | '/poll' | '/subscribe' | '/unsubscribe';
  readonly method: 'GET' | 'POST';
  readonly handle: FeedHandler;
}

/**
 * Makes the handlers of streams, polls and subscriptions, with limits for this process.
 * @param reauthorizeS the time between two questions for the rights of an open stream, in seconds. Undefined: never.
 */
export function feedRoutes(
  { changes, streams, logger }: FeedParts,
  limits: SSELimits = {},
  reauthorizeS?: number,
): readonly FeedRoute[] {
  const { maxSubscriptions = 100 } = limits;
  if (reauthorizeS !== undefined && !(reauthorizeS > 0)) throw new TypeError('reauthorizeS: expected seconds above 0');
  const parts: HandlerParts = {
    changes,
    streams,
    limits: new StreamLimits(limits),
    subscriptions: new Subscriptions(changes, streams, maxSubscriptions),
    maxSubscriptions,
    reauthorizeMs: reauthorizeS === undefined ? Number.POSITIVE_INFINITY : reauthorizeS * 1000,
    reauthorization: reauthorizeS === undefined ? undefined : new Reauthorization(streams, reauthorizeS, logger),
  };
  const routes: readonly FeedRoute[] = [
    { path: '', method: 'GET', handle: streamHandler(parts) },
    { path: '/poll', method: 'GET', handle: pollHandler(parts) },
    { path: '/subscribe', method: 'POST', handle: subscribeHandler('subscribe', parts) },
    { path: '/unsubscribe', method: 'POST', handle: subscribeHandler('unsubscribe', parts) },
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
