import type { Logger as PinoLogger } from 'pino';

/** The log of the feed: pino, or anything with the same four methods. */
export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error'>;
