import { type Logger, pino } from 'pino';
import { logDestination } from './log-destination.js';
import { redact } from './redaction.js';

/** Creates the server's log: JSON lines on stdout, without tokens and passwords (see {@link redact}). */
export function createLogger(level: 'debug' | 'info' | 'warn' | 'error' | 'silent'): Logger {
  return pino({ level, hooks: { streamWrite: redact } }, logDestination());
}
