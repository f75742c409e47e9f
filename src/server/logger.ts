import { type Logger, pino } from 'pino';

/** The server's log: JSON lines on stdout. Tokens never reach it: paths are logged without their query. */
export function createLogger(level: 'debug' | 'info' | 'warn' | 'error' | 'silent'): Logger {
  return pino({
    level,
    // The second line of defence, for an object that is logged whole.
    redact: ['req.headers.authorization', 'headers.authorization', '*.password', '*.token', '*.connectionString'],
  });
}
