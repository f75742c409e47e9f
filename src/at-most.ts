/**
 * Waits for something, but no longer than a limit: a database whose host is gone never answers. What takes longer
 * continues, and its result is dropped.
 * @param limit in ms, or a signal that is aborted when the wait is to end.
 * @returns the result, or undefined where it did not come in time. Rejects as `work` does.
 */
export async function atMost<Result>(limit: number | AbortSignal, work: Promise<Result>): Promise<Result | undefined> {
  const signal = typeof limit === 'number' ? undefined : limit;
  let giveUp = () => {};
  const late = new Promise<undefined>((resolve) => {
    giveUp = () => resolve(undefined);
  });
  const timer = typeof limit === 'number' ? setTimeout(giveUp, limit) : undefined;
  signal?.addEventListener('abort', giveUp);
  if (signal?.aborted) giveUp();
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', giveUp);
  }
}
