import { Endpoint, type EndpointOptions } from './endpoint.js';
import type { FeedParts } from './feed-parts.js';
import { fetchExchange } from './fetch-exchange.js';
import { HttpError } from './http-error.js';

/** Options of `feed.respond()`. `caller` receives the `Request`, and the context that `respond()` was given. */
export type RespondOptions = EndpointOptions<[request: Request, context: unknown]>;

/** Answers a fetch `Request`, and passes `context` on to `caller`: SvelteKit's event, for example. */
export type Respond = (request: Request, context?: unknown) => Promise<Response>;

/** Makes the function that answers requests of fetch. A path that is not the feed's is 404. */
export function responder(feed: FeedParts, options: RespondOptions): Respond {
  const endpoint = new Endpoint<[Request, unknown]>(feed, options);
  return async (request, context) => {
    const exchange = fetchExchange(request);
    const route = endpoint.routeAt(exchange.path);
    const answer = route
      ? await endpoint.answer(route, exchange, request, context)
      : endpoint.refuse(new HttpError('not_found', `There is nothing at ${exchange.path}`), exchange);
    return exchange.responseOf(answer);
  };
}
