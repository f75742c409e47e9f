import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { Endpoint, type EndpointOptions } from './endpoint.js';
import type { FeedParts } from './feed-parts.js';
import type { FeedRoute } from './handlers/feed-handlers.js';
import { nodeExchange, sendAnswer } from './node-exchange.js';

/** Options of a handler of node:http. */
export type HandlerOptions<Request = IncomingMessage> = EndpointOptions<[request: Request]>;

/**
 * Handles a request of node:http or node:http2, by its compatibility API.
 * @returns whether the request was one of the feed's: whether its path is.
 */
export type RequestHandler<Request = IncomingMessage> = (
  request: Request,
  response: ServerResponse | Http2ServerResponse,
) => Promise<boolean>;

/** A request, with the fields that frameworks on node:http add. */
interface FrameworkRequest extends IncomingMessage {
  /** The URL as the client sent it, where `url` is behind the path of a mount. */
  readonly originalUrl?: string;
  /** The body as a parser has made it. */
  readonly body?: unknown;
}

/** Makes a handler of requests of node:http, and of frameworks that pass on its request and response. */
export function nodeHandler<Request extends IncomingMessage | Http2ServerRequest>(
  feed: FeedParts,
  options: HandlerOptions<Request>,
): RequestHandler<Request> {
  const endpoint = new Endpoint<[Request]>(feed, options);
  return async (given, givenResponse) => {
    // The compatibility API of HTTP/2 has all that is used here.
    const request = given as FrameworkRequest;
    const response = givenResponse as ServerResponse;
    const { url = '', originalUrl = url } = request;
    // Under a mount the option `path` may name the whole path, or what is behind the mount.
    const [path, route] = routeAt(endpoint, originalUrl) ?? routeAt(endpoint, url) ?? [];
    // A preflight of CORS is the application's to answer.
    if (path === undefined || !route || request.method === 'OPTIONS') return false;
    const answer = await endpoint.answer(route, nodeExchange(request, response, path, request.body), given);
    if (answer && !response.headersSent) sendAnswer(response, answer);
    return true;
  };
}

/** Finds the route of a URL, with its path. */
function routeAt<Request extends unknown[]>(
  endpoint: Endpoint<Request>,
  url: string,
): [path: string, route: FeedRoute] | undefined {
  const path = pathOf(url);
  const route = endpoint.routeAt(path);
  return route && [path, route];
}

/** Returns the path of a URL: all before `?`, behind the host of an absolute one. */
function pathOf(url: string): string {
  return url.replace(/^https?:\/\/[^/?]*/i, '').replace(/\?.*$/s, '');
}
