/**
 * The change feed in Vue: composables on `pg-change-feed/client`.
 *
 * @packageDocumentation
 */
export type { Change, Operation, Origin } from '../change.js';
export { useLiveQuery } from './use-live-query.js';
export { type UseSSEOptions, type UseSSEReturn, useSSE } from './use-sse.js';
