import type { Context, Middleware } from 'koa';
import { HttpError } from '../http/http-error.js';

/** How often a subject may write. */
export interface RequestRateOptions {
  /** POST, PATCH and DELETE of one subject per second, in the long run. */
  readonly perSecond: number;
  readonly subjectOf: (ctx: Context) => string;
  /** Subjects that are remembered at the most; the one that has been quiet for longest is forgotten. Default 10,000. */
  readonly maxSubjects?: number;
}

/** What a subject has saved up, in seconds: a page that subscribes to many tables at once. */
const BURST_S = 4;

/** What a subject may still send, as of a moment. */
interface Bucket {
  readonly tokens: number;
  readonly at: number;
}

/**
 * Refuses requests other than GET, HEAD and OPTIONS of a subject that sends too many, with 429 and `Retry-After`: a
 * token bucket for each subject, for this process. Mount it behind authentication and before the body is read.
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
    // At its end, so that the first of the map is always the one that has been quiet for longest.
    buckets.delete(subject);
    buckets.set(subject, { tokens: passes ? saved - 1 : saved, at: now });
    const [quietest] = buckets.keys();
    if (buckets.size > maxSubjects && quietest !== undefined) buckets.delete(quietest);
    if (passes) return next();
    throw new HttpError('too_many_requests', `At most ${perSecond} requests other than GET per second`, {
      'Retry-After': String(Math.ceil((1 - saved) / perSecond)),
    });
  };
}
