/**
 * The library for another application: the feed, its streams, and the functions for migrations.
 *
 * @packageDocumentation
 */
export type { Change, LoggedChange, Operation, Origin } from './change.js';
export type { FindPassword } from './database/address.js';
export { type InstallOptions, installChangeFeed, removeChangeFeed } from './database/install.js';
export { migrateChangeFeed } from './database/migrate.js';
export type { MigrationDatabase, RunStatement } from './database/migration-database.js';
export { setOrigin, type WriteOrigin } from './database/origin.js';
export { changeFeedSql, removeChangeFeedSql, unwatchSql, watchAllSql, watchSql } from './database/sql-text.js';
export { unwatch, type WatchAllOptions, type WatchOptions, watch, watchAll } from './database/watch.js';
export type { ChangeFeed } from './feed/change-feed.js';
export type { FeedListener } from './feed/feed-listeners.js';
export { readPosition as parsePosition, writePosition as formatPosition } from './feed/log/epochs.js';
export type { Position } from './feed/log/position.js';
export type { Authorize } from './http/authorize.js';
export { type Caller, type ClaimsOptions, callerOfClaims, type FindCaller } from './http/caller.js';
export type { Claims } from './http/claims.js';
export { type CreateChangeFeedOptions, createChangeFeed, type FeedWithStreams } from './http/create-change-feed.js';
export type { EndpointLimits, EndpointOptions } from './http/endpoint.js';
export type { HandlerOptions, RequestHandler } from './http/handler.js';
export { type ErrorCode, HttpError } from './http/http-error.js';
export { changeFeedMetrics } from './http/metrics.js';
export type { Respond, RespondOptions } from './http/responder.js';
export type { Logger } from './logger.js';
export { OperatorError } from './operator-error.js';
export { createEmitter, type EmitOptions, type Emitter } from './streams/emit-table-update.js';
export type { SSEManager } from './streams/manager.js';
export type { Rights } from './streams/rights.js';
