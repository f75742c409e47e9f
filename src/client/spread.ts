import type { FeedMessage } from './message.js';

/** The longest wait before a refetch, in ms, as on the server. */
const MAX_SPREAD_MS = 10_000;

/**
 * Stretches the time over which refetches are spread. The server counts streams, and each tab of a stream refetches.
 * @param tabs the topics of each tab.
 */
export function spreadOver(message: FeedMessage, tabs: readonly (readonly string[])[]): FeedMessage {
  if (message.type !== 'change' || !message.change.spread) return message;
  const { change } = message;
  const listens = (topic: string) => topic === '*' || topic.split('?')[0] === change.resource;
  const count = tabs.filter((topics) => topics.some(listens)).length;
  return {
    ...message,
    change: { ...change, spread: Math.min((change.spread ?? 0) * Math.max(count, 1), MAX_SPREAD_MS) },
  };
}
