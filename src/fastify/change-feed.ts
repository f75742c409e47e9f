import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Endpoint, type EndpointOptions } from '../http/endpoint.js';
import type { Exchange } from '../http/exchange.js';
import type { FeedParts } from '../http/feed-parts.js';
import { nodeExchange } from '../http/node-exchange.js';

/** Options of {@link changeFeed}. `path` is behind the prefix of the plugin. */
export interface ChangeFeedPluginOptions extends EndpointOptions<[request: FastifyRequest]> {
  readonly feed: FeedParts;
}

/** All methods but OPTIONS, which answers preflights of CORS: the feed refuses a method with the one that it takes. */
const METHODS = ['DELETE', 'GET', 'PATCH', 'POST', 'PUT'];

/**
 * The feed as a plugin for Fastify 4 and 5.
 *
 * @example await app.register(changeFeed, { feed, caller: ({ user }) => user })
 */
export async function changeFeed(app: FastifyInstance, options: ChangeFeedPluginOptions): Promise<void> {
  const endpoint = new Endpoint<[FastifyRequest]>(options.feed, options);
  // The feed reads bodies itself, so that its errors are the same in each server. This holds for the plugin alone.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  for (const route of endpoint.routes) {
    app.route({
      method: METHODS,
      url: route.path,
      exposeHeadRoute: route.method === 'GET',
      handler: async (request, reply) => {
        const answer = await endpoint.answer(route, exchangeOf(request, reply), request);
        if (!answer) return reply;
        return reply.code(answer.status).headers(answer.headers).send(answer.text);
      },
    });
  }
}

/** Makes the exchange of a request. Its stream takes the response from Fastify, with the headers that plugins have set. */
function exchangeOf(request: FastifyRequest, reply: FastifyReply): Exchange {
  const [path = ''] = request.url.split('?');
  const exchange = nodeExchange(request.raw, reply.raw, path, undefined);
  return Object.assign(Object.create(exchange), {
    openStream: (headers: Readonly<Record<string, string>>) => {
      reply.hijack();
      for (const [name, value] of Object.entries(reply.getHeaders())) {
        if (value !== undefined) reply.raw.setHeader(name, value);
      }
      return exchange.openStream(headers);
    },
  });
}
