/**
 * The change feed for TanStack Query, in any framework: on `pg-change-feed/client`.
 *
 * @packageDocumentation
 */
export type { Change, Operation, Origin } from '../change.js';
export type { FollowedResource } from '../client/following.js';
export type { Scope, ScopeValue } from '../scope.js';
export { type BindOptions, bindQueryClient, type FollowedQueries } from './bind-query-client.js';
export type { QueryCacheOwner } from './query-cache-owner.js';
