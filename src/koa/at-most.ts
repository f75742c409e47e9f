import { setTimeout as delay } from 'node:timers/promises';

/** Waits for something, but not for ever: a database whose host is gone never answers. */
export async function atMost(ms: number, work: Promise<void>): Promise<void> {
  const late = new AbortController();
  await Promise.race([work, delay(ms, undefined, { signal: late.signal }).catch(() => {})]);
  late.abort();
}
