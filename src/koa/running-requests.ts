import type { ServerResponse } from 'node:http';
import type { Context, Middleware } from 'koa';
import { HttpError } from '../http/http-error.js';

/** Options of {@link runningRequests}. */
export interface RunningRequestsOptions {
  /** The number of requests of one subject that run at once. Each runs until its answer has left: this bounds unread answers, too. */
  readonly max: number;
  /** The number of further requests that wait for one to end; another is 429. Default: twenty times `max`. */
  readonly maxWaiting?: number;
  readonly subjectOf: (ctx: Context) => string;
}

/** The requests of a subject. */
interface Own {
  running: number;
  /** Called with true when the request may run, with false when its client has left. */
  readonly waiting: Set<(runs: boolean) => void>;
}

/**
 * Runs at most so many requests of one subject at once, for this process, and lets further ones wait in their order.
 * A subject that reads no answers delays its own requests alone, and costs a bounded number of answers in memory.
 * Mount it behind authentication and before the body is read.
 */
export function runningRequests({ max, maxWaiting = 20 * max, subjectOf }: RunningRequestsOptions): Middleware {
  const subjects = new Map<string, Own>();

  return async (ctx, next) => {
    const subject = subjectOf(ctx);
    const own = subjects.get(subject) ?? { running: 0, waiting: new Set() };
    subjects.set(subject, own);
    if (own.running < max) own.running += 1;
    else if (own.waiting.size >= maxWaiting) {
      throw new HttpError('too_many_requests', `At most ${max + maxWaiting} requests at once: wait for the answers`, {
        'Retry-After': '1',
      });
    } else if (!(await turnOf(own, ctx.res))) return;

    whenClosed(ctx.res, () => {
      const [waiting] = own.waiting;
      if (waiting) waiting(true);
      else own.running -= 1;
      if (own.running === 0) subjects.delete(subject);
    });
    await next();
  };
}

/** Waits until another request ends, and takes its place. @returns false where the client leaves before. */
function turnOf({ waiting }: Own, response: ServerResponse): Promise<boolean> {
  return new Promise((resolve) => {
    const decide = (runs: boolean) => {
      waiting.delete(decide);
      resolve(runs);
    };
    waiting.add(decide);
    whenClosed(response, () => decide(false));
  });
}

/** Calls `then` when the answer has left, or its client has. */
function whenClosed(response: ServerResponse, then: () => void): void {
  if (response.closed || response.req.socket.destroyed) then();
  else response.once('close', then);
}
