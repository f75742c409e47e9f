import { boundedWait, now } from './timing.js';

/** The longest wait between two attempts, in ms, unless the server says another. */
const LONGEST_WAIT_MS = 30_000;

/**
 * The wait after a failure, in ms: half as long as attempts have failed, at least `baseMs`, at most 30 s. After an
 * outage a page is stale for half its length at the most. A random half of it is left out, so that a crowd does not come
 * back at once.
 * @param failingMs for how long attempts have failed.
 */
export function backoff(failingMs: number, baseMs: number): number {
  const longest = Math.min(Math.max(baseMs, failingMs / 2), LONGEST_WAIT_MS);
  return boundedWait((longest * (1 + Math.random())) / 2);
}

/**
 * The value of `Retry-After` in ms: seconds or a date (RFC 9110, 10.2.3); undefined where there is none. A date counts
 * from the answer's own `Date`, for the clocks of both sides may differ.
 */
export function retryAfter(headers: Headers): number | undefined {
  const value = headers.get('Retry-After')?.trim();
  if (!value) return undefined;
  if (/^\d+$/.test(value)) return boundedWait(Number(value) * 1000);
  const at = Date.parse(value);
  if (Number.isNaN(at)) return undefined;
  const sentAt = Date.parse(headers.get('Date') ?? '');
  return boundedWait(at - (Number.isNaN(sentAt) ? now() : sentAt));
}
