/**
 * The change feed in Vue: a composable on `pg-change-feed/client`.
 *
 * @packageDocumentation
 */
export type { Change, Operation, Origin } from '../change.js';
export type { Scope, ScopeValue } from '../scope.js';
export type { LiveResource, LiveResources } from './live-resources.js';
export { type UseSSEOptions, type UseSSEReturn, useSSE } from './use-sse.js';
