import type { FeedMessage } from './message.js';
import type { SSEState } from './status.js';

/** A message of one tab to others. */
export type TabMessage =
  /** A leader begins, or answers a new tab: the topics of the stream, and its position. */
  | {
      readonly type: 'hello';
      readonly term: string;
      readonly seq: number;
      /** The tab that it is for; absent: all. */
      readonly to?: string;
      readonly topics: readonly string[];
      readonly position: string | undefined;
      readonly state: SSEState;
    }
  | { readonly type: 'feed'; readonly term: string; readonly seq: number; readonly message: FeedMessage }
  | { readonly type: 'alive'; readonly term: string }
  /** A tab wants these topics. `anew`: and the position of the stream. */
  | { readonly type: 'want'; readonly tab: string; readonly topics: readonly string[]; readonly anew: boolean }
  | { readonly type: 'ping'; readonly tab: string }
  /** A tab leaves; `term` where it leads. */
  | { readonly type: 'bye'; readonly tab: string; readonly term: string | undefined }
  /** Somebody wants to connect now. */
  | { readonly type: 'wake' }
  /** The tab's topics are too many for one stream. */
  | { readonly type: 'full'; readonly tab: string };
