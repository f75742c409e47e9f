/**
 * The feed in a Hono application.
 *
 * @packageDocumentation
 */
export { changeFeed } from './change-feed.js';
