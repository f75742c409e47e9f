import { HttpError } from './http-error.js';

/** The limit of a subject's requests other than GET. */
export interface RequestRateOptions {
  /** The number of POST, PATCH and DELETE of one subject per second, in the long run. Infinity: no limit. */
  readonly perSecond: number;
  /** The largest number of subjects that are remembered; the one that was silent for longest is forgotten. Default 10,000. */
  readonly maxSubjects?: number;
}

/** The seconds' worth of requests that a subject may send at once: a page subscribes to many tables at its start. */
const BURST_S = 4;

/** The requests that a subject may still send, as of a moment. */
interface Bucket {
  readonly tokens: number;
  readonly at: number;
}

/** Counts requests other than GET, HEAD and OPTIONS: each subject has a token bucket in this process. */
export class RequestRate {
  readonly #buckets = new Map<string, Bucket>();
  readonly #perSecond: number;
  readonly #maxSubjects: number;

  constructor({ perSecond, maxSubjects = 10_000 }: RequestRateOptions) {
    this.#perSecond = perSecond;
    this.#maxSubjects = maxSubjects;
  }

  /**
   * Counts a request. Call it behind authentication and before the body is read.
   * @throws {HttpError} too_many_requests, with `Retry-After`, where the subject has sent too many.
   */
  take(method: string, subject: string): void {
    if (['GET', 'HEAD', 'OPTIONS'].includes(method) || this.#perSecond === Number.POSITIVE_INFINITY) return;
    const buckets = this.#buckets;
    const capacity = this.#perSecond * BURST_S;
    const now = performance.now() / 1000;
    const { tokens, at } = buckets.get(subject) ?? { tokens: capacity, at: now };
    const saved = Math.min(capacity, tokens + (now - at) * this.#perSecond);
    const passes = saved >= 1;
    // At the map's end, so that its first entry is always the subject that was silent for longest.
    buckets.delete(subject);
    buckets.set(subject, { tokens: passes ? saved - 1 : saved, at: now });
    const [oldest] = buckets.keys();
    if (buckets.size > this.#maxSubjects && oldest !== undefined) buckets.delete(oldest);
    if (passes) return;
    throw new HttpError('too_many_requests', `At most ${this.#perSecond} requests other than GET per second`, {
      'Retry-After': String(Math.ceil((1 - saved) / this.#perSecond)),
    });
  }
}
