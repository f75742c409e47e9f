/** The time in ms since 1970 by the page's own clock, which goes on evenly when somebody sets the machine's. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}
