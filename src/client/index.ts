/**
 * The change feed in a browser, without a framework.
 *
 * @packageDocumentation
 */
export type { Change, Operation, Origin } from '../change.js';
export type { Scope, ScopeValue } from '../scope.js';
export type { ListenOptions, UntilOptions } from './listen-options.js';
export type { SSEServiceOptions, TokenReason } from './options.js';
export type { ChangeListener } from './registration.js';
export type { Resource, ScopedResource } from './resource.js';
export { SSEService, sseService } from './sse-service.js';
export type { SSEState, SSEStatus } from './status.js';
