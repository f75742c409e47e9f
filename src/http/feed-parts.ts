import type { ChangeFeed } from '../feed/change-feed.js';
import type { Logger } from '../logger.js';
import type { Monitor } from '../monitor/monitor.js';
import type { SSEManager } from '../streams/manager.js';

/** The parts of a feed that serve its clients. */
export interface FeedParts {
  /** The feed itself: every change, in order, also for listeners on the server. */
  readonly changes: ChangeFeed;
  /** The streams of all clients. */
  readonly streams: SSEManager;
  readonly logger: Logger;
  /** Shows what the feed does. Undefined: it is off. */
  readonly monitor?: Monitor | undefined;
}
