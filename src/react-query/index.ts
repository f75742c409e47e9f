/**
 * The change feed for TanStack React Query. A part of its own, so that `pg-change-feed/react` needs React alone.
 *
 * @packageDocumentation
 */
export type { Change, Operation, Origin } from '../change.js';
export type { FollowedResource, FollowedResources } from '../client/following.js';
export type { UseSSEOptions } from '../react/use-sse.js';
export type { Scope, ScopeValue } from '../scope.js';
export { useLiveQuery } from './use-live-query.js';
