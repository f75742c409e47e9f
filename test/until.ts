import { setTimeout as delay } from 'node:timers/promises';

/**
 * The longest that a test waits for anything, in ms. Nothing that works takes so long on the slowest machine, so it only
 * decides when a test that fails says so. jest.config.js gives a test several times as long.
 */
export const PATIENCE_MS = 60_000;

/** The real clock: a test may set another one in its place. */
const now = performance.now.bind(performance);

/**
 * Waits until a condition holds. Throws after {@link PATIENCE_MS}.
 * @param what the name of the condition for the error, or a function that makes it then: what there is instead.
 */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string | (() => string) = 'the condition',
): Promise<void> {
  for (const begun = now(); !(await holds()); ) {
    if (now() - begun > PATIENCE_MS) {
      const named = typeof what === 'string' ? what : what();
      throw new Error(`${named} did not hold within ${PATIENCE_MS / 1000} s`);
    }
    await delay(5);
  }
}
