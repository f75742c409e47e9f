import type { ServerResponse } from 'node:http';
import { HttpError } from './http-error.js';

/** Options of {@link RunningRequests}. */
export interface RunningRequestsOptions {
  /** The number of requests of one subject that run at once. Each runs until its answer has left: this bounds unread answers, too. */
  readonly max: number;
  /** The number of further requests that wait for one to end; another is 429. Default: twenty times `max`. */
  readonly maxWaiting?: number;
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
 */
export class RunningRequests {
  readonly #subjects = new Map<string, Own>();
  readonly #max: number;
  readonly #maxWaiting: number;

  constructor({ max, maxWaiting = 20 * max }: RunningRequestsOptions) {
    this.#max = max;
    this.#maxWaiting = maxWaiting;
  }

  /**
   * Waits until a request may run. Call it behind authentication and before the body is read.
   * @returns false where the client has left before.
   * @throws {HttpError} too_many_requests, with `Retry-After`, where too many wait.
   */
  async start(subject: string, response: ServerResponse): Promise<boolean> {
    const own = this.#subjects.get(subject) ?? { running: 0, waiting: new Set() };
    this.#subjects.set(subject, own);
    if (own.running < this.#max) own.running += 1;
    else if (own.waiting.size >= this.#maxWaiting) {
      const most = this.#max + this.#maxWaiting;
      throw new HttpError('too_many_requests', `At most ${most} requests at once: wait for the answers`, {
        'Retry-After': '1',
      });
    } else if (!(await turnOf(own, response))) return false;

    whenClosed(response, () => {
      const [waiting] = own.waiting;
      if (waiting) waiting(true);
      else own.running -= 1;
      if (own.running === 0) this.#subjects.delete(subject);
    });
    return true;
  }
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
