/**
 * The change feed in React: a hook on `pg-change-feed/client`.
 *
 * @packageDocumentation
 */
export type { Change, Operation, Origin } from '../change.js';
export { type UseSSEOptions, type UseSSEReturn, useSSE } from './use-sse.js';
