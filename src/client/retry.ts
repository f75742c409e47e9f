import { boundedWait, now } from './timing.js';

/** The longest wait between two attempts, in ms, unless the server asks for another. */
const LONGEST_WAIT_MS = 30_000;

/**
 * Returns the wait after a failure, in ms: half as long as attempts have failed, at least `baseMs`, at most 30 s. So after an
 * outage a page is stale for at most half its length. A random half of the wait is left out, so that not all pages come back
 * at once.
 * @param failingMs the time for which attempts have failed.
 */
export function backoff(failingMs: number, baseMs: number): number {
  const longest = Math.min(Math.max(baseMs, failingMs / 2), LONGEST_WAIT_MS);
  return boundedWait((longest * (1 + Math.random())) / 2);
}

/**
 * Returns the value of `Retry-After` in ms: seconds or a date (RFC 9110, 10.2.3); undefined where there is none. A date counts
 * from the answer's own `Date`, because the clocks of both sides may differ.
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
