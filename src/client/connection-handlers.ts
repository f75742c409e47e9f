import type { Topic } from '../scope.js';
import type { FeedMessage } from './message.js';

/** The listeners of a connection, and what it needs from them. */
export interface ConnectionHandlers {
  /** Returns the position to begin at, and the topics for the URL of a stream or poll. */
  begin(by: 'stream' | 'poll'): { readonly from: string | undefined; readonly topics: readonly string[] };
  /** Called when a stream is open. */
  onOpen(stream: OpenStream): void;
  /** Called with each step of a stream or poll. @param signal aborted when it ends. */
  bring(message: FeedMessage, signal?: AbortSignal): void;
  /** Called when the server has ended a topic on this stream: the table has no such scope any more. */
  onEnded(topic: EndedTopic): void;
  /** Called when the server refuses one of the topics, and so all. @returns whether to try again at once, in another way. */
  onRefused(): boolean;
}

/** A stream that is open. */
export interface OpenStream {
  readonly clientId: string;
  readonly topics: readonly string[];
  readonly from: string | undefined;
  readonly resumed: boolean;
  readonly signal: AbortSignal;
}

/** A scope that the server has ended on a stream. */
export interface EndedTopic extends Topic {
  /** `no_scope`: the table has no such scope any more. */
  readonly reason: string;
}

/** The data of a stream's first event. */
export interface Connected {
  readonly clientId: string;
  readonly resumed: boolean;
  readonly heartbeatMs?: number;
}
