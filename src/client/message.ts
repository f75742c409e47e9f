import type { SentChange } from './registration.js';
import type { SSEState } from './status.js';

/** A step of the feed, received by the connection of the page or of another tab. */
export type FeedMessage =
  /** Changes of these topics arrive from `from` on. */
  | {
      readonly type: 'begin';
      readonly topics: readonly string[];
      readonly from: string | undefined;
      /** False: what was missed since `from` cannot be replayed. */
      readonly resumed: boolean;
      /** False: listeners that catch up continue. */
      readonly anew: boolean;
    }
  /** Changes of a topic arrive from now on. */
  | { readonly type: 'cover'; readonly topic: string }
  | { readonly type: 'change'; readonly change: SentChange }
  /** Everything up to this position has arrived. */
  | { readonly type: 'position'; readonly position: string | undefined }
  | { readonly type: 'state'; readonly state: SSEState };
