/**
 * The change feed in React: a hook on `pg-change-feed/client`.
 *
 * @packageDocumentation
 */
export type { Change, Operation, Origin } from '../change.js';
export type { FollowedResource, FollowedResources } from '../client/following.js';
export type { Scope, ScopeValue } from '../scope.js';
export { type UseSSEOptions, type UseSSEReturn, useSSE } from './use-sse.js';
