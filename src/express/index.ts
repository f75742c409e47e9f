/**
 * The feed in an Express application.
 *
 * @packageDocumentation
 */
export { changeFeed } from './change-feed.js';
