/**
 * The change feed in Svelte 4 and 5: functions for a component's script, on `pg-change-feed/client`.
 *
 * @packageDocumentation
 */
export type { Change, Operation, Origin } from '../change.js';
export type { FollowedResource, FollowedResources } from '../client/following.js';
export type { Scope, ScopeValue } from '../scope.js';
export { liveQuery } from './live-query.js';
export { type UseSSEOptions, type UseSSEReturn, useSSE } from './use-sse.js';
