import { createRequire } from 'node:module';
import { type DestinationStream, pino } from 'pino';

/** The longest text that waits for stdout, in bytes: a pipe that nobody reads must not fill the memory. */
const MAX_WAITING = 16 * 2 ** 20;

/** Opens stdout for log lines: as JSON, or readable on a terminal where pino-pretty is installed. */
export function logDestination(): DestinationStream {
  if (!process.stdout.isTTY) return lines();
  try {
    const pretty = createRequire(import.meta.url)('pino-pretty');
    return pretty({ ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l', sync: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    return lines();
  }
}

/**
 * Opens stdout for lines that are gathered while one write runs. A write for each would be a tenth of what a stream costs that
 * opens, and where nobody reads the pipe it would stop the server. What waits at the exit is written then.
 */
function lines(): DestinationStream {
  return pino.destination({ fd: 1, sync: false, maxLength: MAX_WAITING });
}
