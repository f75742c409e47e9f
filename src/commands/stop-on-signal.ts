/** A Ctrl-C under npm arrives twice, from the terminal and from npm, within a few ms; a person is slower than this. */
const SAME_SIGNAL_MS = 300;

/** Stops on SIGINT (Ctrl-C), SIGTERM and SIGHUP, and exits with 0; a second signal ends at once, with 1. */
export function stopOnSignal(stop: () => Promise<void>): void {
  let stoppingSince: number | undefined;
  const onSignal = () => {
    if (stoppingSince !== undefined) {
      if (performance.now() - stoppingSince > SAME_SIGNAL_MS) process.exit(1);
      return;
    }
    stoppingSince = performance.now();
    stop().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
}
