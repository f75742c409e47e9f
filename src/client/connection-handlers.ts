import type { Topic } from '../scope.js';
import type { FeedMessage } from './message.js';

/** What a connection brings, and asks for. */
export interface ConnectionHandlers {
  /** The position to begin at, and the topics for the URL of a stream or poll. */
  begin(by: 'stream' | 'poll'): { readonly from: string | undefined; readonly topics: readonly string[] };
  /** A stream is open. */
  onOpen(stream: OpenStream): void;
  /** A stream or poll has brought something. @param signal aborted when it ends. */
  bring(message: FeedMessage, signal?: AbortSignal): void;
  /** The server will send no more of a topic on this stream: its scope was taken away. */
  onEnded(topic: EndedTopic): void;
  /** The server refuses one of the topics, and with it all. @returns whether to try again at once, in another way. */
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

/** What a stream's first event says. */
export interface Connected {
  readonly clientId: string;
  readonly resumed: boolean;
  readonly heartbeatMs?: number;
}
