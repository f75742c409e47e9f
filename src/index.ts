/**
 * What another application imports: the feed, its streams, and the line for migrations.
 *
 * @packageDocumentation
 */
export type { Change, LoggedChange, Operation, Origin } from './change.js';
export { installChangeFeed, removeChangeFeed } from './database/install.js';
export { migrateChangeFeed } from './database/migrate.js';
export { unwatch, type WatchOptions, watch } from './database/watch.js';
export type { ChangeFeed, FeedListener } from './feed/change-feed.js';
export { formatPosition, type Position, parsePosition } from './feed/position.js';
export { type ErrorCode, HttpError } from './http-error.js';
export type { Logger } from './logger.js';
export { OperatorError } from './operator-error.js';
export type { Authorize } from './server/authorize.js';
export { type ChangeFeedRoutesOptions, changeFeedRoutes } from './server/change-feed-routes.js';
export type { Claims } from './server/claims.js';
export { type CreateChangeFeedOptions, createChangeFeed, type FeedWithStreams } from './server/create-change-feed.js';
export { changeFeedMetrics } from './server/metrics.js';
export { createEmitter, type EmitOptions, type Emitter } from './sse/emit-table-update.js';
export type { SSEManager } from './sse/manager.js';
export type { Caller, SSELimits } from './sse/routes.js';
