/**
 * The change feed in a browser, without a framework.
 *
 * @packageDocumentation
 */
export type { Change, Operation, Origin } from '../change.js';
export type { ChangeListener } from './listeners.js';
export type { SSEServiceOptions, TokenReason } from './options.js';
export { SSEService, type SSEStatus, sseService } from './sse-service.js';
