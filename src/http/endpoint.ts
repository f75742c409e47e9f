import { type Caller, type FindCaller, requireCaller, revokedError } from './caller.js';
import { refuseOtherSites } from './cross-site.js';
import { ErrorAnswers } from './error-answer.js';
import type { Answer, Exchange } from './exchange.js';
import type { FeedParts } from './feed-parts.js';
import { type FeedRoute, feedRoutes, type SSELimits } from './handlers/feed-handlers.js';
import type { HttpError } from './http-error.js';
import { RequestRate } from './request-rate.js';

/** The path at which the routes begin, unless another is given. */
const DEFAULT_PATH = '/api/events';

/** Options of the feed's routes, in any server. */
export interface EndpointOptions<Parameters extends unknown[]> {
  /** Finds the caller of a request; without one the answer is 401. It may be async. */
  readonly caller: FindCaller<Parameters>;
  /** The path at which the routes begin, as the client sends it. Default `/api/events`. */
  readonly path?: string | undefined;
  /** Limits for this process. */
  readonly limits?: EndpointLimits | undefined;
  /**
   * The time after which `caller` is asked again for an open stream, in seconds, with the same request: it has to look up
   * what may have changed. What the answer does not allow any more ends. Default: never, so that rights hold until the stream
   * ends. A stream then keeps its request: about 9 kB.
   */
  readonly reauthorizeS?: number | undefined;
  /**
   * Origins of other sites whose pages may call with cookies: `https://app.example.org`. Default: none. The application's
   * own CORS headers decide whether those pages can read the answer.
   */
  readonly allowedOrigins?: readonly string[] | undefined;
}

/** Limits on streams, subscriptions and requests. */
export interface EndpointLimits extends SSELimits {
  /** The number of POST requests of one subject per second; four seconds' worth may come at once. Default 50. */
  readonly maxPostsPerS?: number | undefined;
}

/**
 * The routes of a feed, without a server: streams, polls and subscriptions.
 * @typeParam Parameters of `caller`: the framework's own request.
 */
export class Endpoint<Parameters extends unknown[]> {
  readonly routes: readonly FeedRoute[];
  readonly #caller: FindCaller<Parameters>;
  readonly #allowedOrigins: readonly string[];
  readonly #rate: RequestRate;
  readonly #errors: ErrorAnswers;
  readonly #feed: FeedParts;

  constructor(feed: FeedParts, options: EndpointOptions<Parameters>) {
    const { caller, path = DEFAULT_PATH, limits = {}, allowedOrigins = [], reauthorizeS } = options;
    // JavaScript without types may forget it, and each request would be a 500.
    if (typeof caller !== 'function')
      throw new TypeError('caller: expected a function that finds the caller of a request');
    this.routes = feedRoutes(feed, path.replace(/\/+$/, ''), limits, reauthorizeS);
    this.#caller = caller;
    this.#allowedOrigins = allowedOrigins;
    this.#rate = new RequestRate({ perSecond: limits.maxPostsPerS ?? 50 });
    this.#errors = new ErrorAnswers(feed.logger);
    this.#feed = feed;
  }

  /** Finds the route of a path; undefined for a path that is not the feed's. A slash at its end does not count. */
  routeAt(path: string): FeedRoute | undefined {
    const wanted = path.replace(/\/$/, '');
    return this.routes.find((route) => wanted === route.path);
  }

  /**
   * Answers a request, errors too. Undefined: it has opened a stream, or the client has left.
   * @param parameters those of `caller`.
   */
  async answer(
    { handle, isOpen }: FeedRoute,
    exchange: Exchange,
    ...parameters: Parameters
  ): Promise<Answer | undefined> {
    try {
      // A link of another site may lead to a page that everybody may read.
      if (!isOpen) refuseOtherSites(exchange, this.#allowedOrigins);
      return await handle(exchange, () => this.#find(exchange.method, parameters));
    } catch (error) {
      return this.#errors.of(error, exchange);
    }
  }

  /** Answers a request with an error. */
  refuse(error: HttpError, exchange: Exchange): Answer {
    return this.#errors.of(error, exchange);
  }

  async #find(method: string, parameters: Parameters): Promise<Caller> {
    const begun = performance.now();
    const caller = requireCaller(await this.#caller(...parameters), this.#feed.logger);
    if (this.#feed.streams.revoked.since(caller.subject, begun)) throw revokedError();
    this.#rate.take(method, caller.subject);
    return caller;
  }
}
