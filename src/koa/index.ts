/**
 * The feed in a Koa application.
 *
 * @packageDocumentation
 */
export { type ChangeFeedRoutesOptions, changeFeedRoutes } from './change-feed-routes.js';
