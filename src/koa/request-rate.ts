import type { Context, Middleware } from 'koa';
import { HttpError } from '../http/http-error.js';

/** The limit of a subject's requests other than GET. */
export interface RequestRateOptions {
  /** The number of POST, PATCH and DELETE of one subject per second, in the long run. */
  readonly perSecond: number;
  readonly subjectOf: (ctx: Context) => string;
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

/**
 * Refuses requests other than GET, HEAD and OPTIONS of a subject that sends too many, with 429 and `Retry-After`. Each
 * subject has a token bucket in this process. Mount it behind authentication and before the body is read.
 */
export function requestRate({ perSecond, subjectOf, maxSubjects = 10_000 }: RequestRateOptions): Middleware {
  const buckets = new Map<string, Bucket>();
  const capacity = perSecond * BURST_S;

  return (ctx, next) => {
    if (['GET', 'HEAD', 'OPTIONS'].includes(ctx.method)) return next();
    const subject = subjectOf(ctx);
    const now = performance.now() / 1000;
    const { tokens, at } = buckets.get(subject) ?? { tokens: capacity, at: now };
    const saved = Math.min(capacity, tokens + (now - at) * perSecond);
    const passes = saved >= 1;
    // At the map's end, so that its first entry is always the subject that was silent for longest.
    buckets.delete(subject);
    buckets.set(subject, { tokens: passes ? saved - 1 : saved, at: now });
    const [oldest] = buckets.keys();
    if (buckets.size > maxSubjects && oldest !== undefined) buckets.delete(oldest);
    if (passes) return next();
    throw new HttpError('too_many_requests', `At most ${perSecond} requests other than GET per second`, {
      'Retry-After': String(Math.ceil((1 - saved) / perSecond)),
    });
  };
}
