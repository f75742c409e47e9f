/**
 * What another application imports: the feed, its streams, and the line for migrations.
 *
 * @packageDocumentation
 */
export type { Change, LoggedChange, Operation, Origin } from './change.js';
export { unwatch, type WatchOptions, watch } from './database/watch.js';
export { ChangeFeed, type ChangeFeedOptions, type FeedListener } from './feed/change-feed.js';
export { formatPosition, type Position, parsePosition } from './feed/position.js';
export { type ErrorCode, HttpError } from './http-error.js';
export type { Logger } from './logger.js';
export { OperatorError } from './operator-error.js';
export { createEmitter, type EmitOptions, type Emitter } from './sse/emit-table-update.js';
export { SSEManager, type SSEManagerOptions } from './sse/manager.js';
export { type Caller, type SSERoutesOptions, sseRoutes } from './sse/routes.js';
