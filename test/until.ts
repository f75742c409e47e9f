import { setTimeout as delay } from 'node:timers/promises';

/** Waits until a condition holds. Throws after 20 s, which no machine is too slow for, with `what` was waited for. */
export async function until(holds: () => boolean | Promise<boolean>, what = 'the condition'): Promise<void> {
  for (const end = Date.now() + 20_000; !(await holds()); ) {
    if (Date.now() > end) throw new Error(`${what} did not hold within 20 s`);
    await delay(5);
  }
}
