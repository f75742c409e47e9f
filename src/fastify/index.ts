/**
 * The feed in a Fastify application.
 *
 * @packageDocumentation
 */
export { type ChangeFeedPluginOptions, changeFeed } from './change-feed.js';
