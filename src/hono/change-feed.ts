import { ServerResponse } from 'node:http';
import type { Context, MiddlewareHandler } from 'hono';
import { Endpoint, type EndpointOptions } from '../http/endpoint.js';
import type { Exchange } from '../http/exchange.js';
import type { FeedParts } from '../http/feed-parts.js';
import { fetchExchange } from '../http/fetch-exchange.js';
import { openStreamSocket } from '../streams/stream-socket.js';

/** Tells @hono/node-server that the response has been sent past it: its own `RESPONSE_ALREADY_SENT`. */
const ALREADY_SENT = { 'x-hono-already-sent': 'true' };

/**
 * Makes the middleware of the feed for Hono 4, on any runtime. It serves the paths of the feed and passes on all others.
 * On Node, with @hono/node-server, streams write to the socket itself.
 *
 * @example app.use(changeFeed(feed, { caller: (c) => c.get('user') }))
 */
export function changeFeed(feed: FeedParts, options: EndpointOptions<[c: Context]>): MiddlewareHandler {
  const endpoint = new Endpoint<[Context]>(feed, options);
  return async (c, next) => {
    const { pathname } = new URL(c.req.url);
    const route = endpoint.routeAt(pathname);
    // A preflight of CORS is the application's to answer.
    if (!route || c.req.method === 'OPTIONS') return next();
    const exchange = fetchExchange(c.req.raw);
    const sent = onSocket(c, exchange);
    const answer = await endpoint.answer(route, sent?.exchange ?? exchange, c);
    if (sent?.isOpen()) return new Response(null, { headers: ALREADY_SENT });
    const response = exchange.responseOf(answer);
    // With the headers that c.header() has set: a Response of one's own would be without them.
    return c.newResponse(response.body, response);
  };
}

/** Lets streams write to the socket of node:http, with the headers that middlewares have set. Undefined elsewhere. */
function onSocket(c: Context, exchange: Exchange): { exchange: Exchange; isOpen: () => boolean } | undefined {
  const response: unknown = (c.env as { outgoing?: unknown } | undefined)?.outgoing;
  if (!(response instanceof ServerResponse)) return undefined;
  let open = false;
  const openStream: Exchange['openStream'] = (headers) => {
    for (const [name, value] of c.res.headers) response.appendHeader(name, value);
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    open = true;
    return openStreamSocket(response);
  };
  return { exchange: Object.assign(Object.create(exchange), { openStream }), isOpen: () => open };
}
