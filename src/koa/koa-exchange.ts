import type {} from '@koa/bodyparser';
import type { Context } from 'koa';
import type { Answer, Exchange } from '../http/exchange.js';
import { jsonOf } from '../http/json-body.js';
import { endingOf, isOver } from '../http/node-exchange.js';
import { parametersOf } from '../http/parameters.js';
import { openStreamSocket } from '../streams/stream-socket.js';

/** Makes the exchange of a request of Koa. */
export function koaExchange(ctx: Context): Exchange {
  const { req, res } = ctx;
  return {
    method: ctx.method,
    path: ctx.path,
    parameters: parametersOf(ctx.querystring),
    header: (name) => ctx.get(name) || undefined,
    json: () => jsonOf(req, ctx.request.body),
    get isOver() {
      return isOver(res);
    },
    ending: () => endingOf(res),
    openStream: (headers) => {
      ctx.status = 200;
      ctx.set(headers);
      // With the stream as its body, Koa would log a premature-close error for every client that leaves.
      ctx.respond = false;
      return openStreamSocket(res);
    },
  };
}

/** Lets Koa send an answer. */
export function setAnswer(ctx: Context, { status, headers, text }: Answer): void {
  ctx.status = status;
  ctx.body = text;
  // Behind the body, for which Koa sets a type of its own
  ctx.set(headers);
}
