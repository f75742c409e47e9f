import { createRequire } from 'node:module';
import { type DestinationStream, pino } from 'pino';

/** Opens stdout for log lines: as JSON, or readable on a terminal where pino-pretty is installed. */
export function logDestination(): DestinationStream {
  if (!process.stdout.isTTY) return pino.destination(1);
  try {
    const pretty = createRequire(import.meta.url)('pino-pretty');
    return pretty({ ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l', sync: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    return pino.destination(1);
  }
}
