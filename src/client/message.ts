import type { SentChange } from './registration.js';
import type { SSEState } from './status.js';

/** A step of the feed, as the connection of a page or of another tab brings it. */
export type FeedMessage =
  /** Changes of these topics come from `from` on. */
  | {
      readonly type: 'begin';
      readonly topics: readonly string[];
      readonly from: string | undefined;
      /** False: what was missed since `from` cannot be told. */
      readonly resumed: boolean;
      /** False: listeners that catch up go on with it. */
      readonly anew: boolean;
    }
  /** Changes of a topic come from now on. */
  | { readonly type: 'cover'; readonly topic: string }
  | { readonly type: 'change'; readonly change: SentChange }
  /** Everything up to this position has come. */
  | { readonly type: 'position'; readonly position: string | undefined }
  | { readonly type: 'state'; readonly state: SSEState };
