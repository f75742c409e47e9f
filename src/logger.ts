import type { Logger as PinoLogger } from 'pino';

/** What the feed logs to: pino, or anything with the same four methods. */
export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error'>;
