/**
 * The change feed in a browser, without a framework.
 *
 * @packageDocumentation
 */
export type { Change, Operation, Origin } from '../change.js';
export type { SSEServiceOptions, TokenReason } from './options.js';
export type { ChangeListener } from './registration.js';
export { type ListenOptions, SSEService, sseService, type UntilOptions } from './sse-service.js';
export type { SSEState, SSEStatus } from './status.js';
