/** The longest wait between two attempts, in ms. */
const LONGEST_MS = 30_000;

/**
 * How long to wait after a failure, in ms: up to 2^attempt times `baseMs`, with full jitter, so that a crowd does not
 * come back at once.
 * @param attempt how many have failed before this one.
 */
export function backoff(attempt: number, baseMs: number): number {
  return Math.random() * Math.min(baseMs * 2 ** attempt, LONGEST_MS);
}

/** What `Retry-After` says, in ms: seconds or a date (RFC 9110, 10.2.3); undefined where it says nothing. */
export function retryAfter(headers: Headers): number | undefined {
  const value = headers.get('Retry-After')?.trim();
  if (!value) return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(at - Date.now(), 0);
}
