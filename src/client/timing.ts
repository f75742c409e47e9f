/** The longest time that a timer can wait, in ms: beyond it browsers fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** The shortest wait between two attempts, in ms, whatever a server says. */
const SHORTEST_WAIT_MS = 500;

/** Bounds a wait between attempts to what a timer can do and a server can bear. */
export function boundedWait(ms: number): number {
  return Math.min(Math.max(Number.isNaN(ms) ? 0 : ms, SHORTEST_WAIT_MS), LONGEST_TIMER_MS);
}

/**
 * Returns now, in ms since 1970, by a clock that nobody can set: differences are durations, also while the system's clock
 * jumps (https://w3c.github.io/hr-time/, 4).
 */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/** Calls `task` after a time in ms; `Infinity`: never. @returns a function that cancels it. */
export function later(ms: number, task: () => void): () => void {
  if (ms === Number.POSITIVE_INFINITY) return () => {};
  const timer = setTimeout(task, Math.min(ms, LONGEST_TIMER_MS));
  return () => clearTimeout(timer);
}

/** Waits for a time in ms, or until `signal` is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = later(ms, done);
    signal.addEventListener('abort', done);
  });
}
