/**
 * The parts of `pg-change-feed serve`, for an application in the same server: settings, logs, tokens, the server,
 * and the command line.
 *
 * @packageDocumentation
 */
export { atMost } from './at-most.js';
export { orExitWithSentence, runCommandLine } from './command-line.js';
export { stopOnSignal } from './commands/stop-on-signal.js';
export { keysOf } from './commands/token.js';
export { type Config, readConfig } from './config.js';
export { parseAddress } from './database/address.js';
export { databaseFailure } from './database/failure.js';
export { FailureLog } from './feed/failure-log.js';
export { createLogger } from './http/logger.js';
export { signToken } from './http/token.js';
export type { ApplicationRoutes, ServedApplication } from './koa/app.js';
export { type RunningServer, type ServerOptions, startServer } from './koa/server.js';
