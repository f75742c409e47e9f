import { setTimeout as delay } from 'node:timers/promises';

/** Waits until a condition holds. Throws after 10 s, which no machine is too slow for, with `what` was waited for. */
export async function until(holds: () => boolean | Promise<boolean>, what = 'the condition'): Promise<void> {
  for (const end = Date.now() + 10_000; !(await holds()); ) {
    if (Date.now() > end) throw new Error(`${what} did not hold within 10 s`);
    await delay(5);
  }
}
