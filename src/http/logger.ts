import { type Logger, pino } from 'pino';
import { logDestination } from './log-destination.js';
import { redact } from './redaction.js';

/** The server's log: JSON lines on stdout. Tokens and passwords never reach it: see {@link redact}. */
export function createLogger(level: 'debug' | 'info' | 'warn' | 'error' | 'silent'): Logger {
  return pino({ level, hooks: { streamWrite: redact } }, logDestination());
}
