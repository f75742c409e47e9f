/**
 * The change feed for TanStack Vue Query. A part of its own, so that `pg-change-feed/vue` needs Vue alone.
 *
 * @packageDocumentation
 */
export type { Change, Operation, Origin } from '../change.js';
export type { Scope, ScopeValue } from '../scope.js';
export type { LiveResource, LiveResources } from '../vue/live-resources.js';
export type { UseSSEOptions } from '../vue/use-sse.js';
export { useLiveQuery } from './use-live-query.js';
