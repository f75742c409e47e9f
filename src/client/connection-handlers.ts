import type { SentChange } from './registration.js';
import type { SSEState } from './status.js';

/** What a connection brings, and asks for. */
export interface ConnectionHandlers {
  /** The position to begin at, and the resources for the URL of a stream or poll. */
  begin(by: 'stream' | 'poll'): { readonly from: string | undefined; readonly resources: readonly string[] };
  /** A stream is open. */
  onOpen(stream: OpenStream): void;
  onChange(change: SentChange): void;
  /** A poll's answer brings these resources from `from` on. */
  onAnswer(resources: readonly string[], from: string | undefined, signal: AbortSignal): void;
  /** Everything up to this position has been brought. */
  onPosition(position: string | undefined): void;
  onState(state: SSEState): void;
  /** The server refuses one of the resources, and with it all. @returns whether to try again at once, in another way. */
  onRefused(): boolean;
}

/** A stream that is open. */
export interface OpenStream {
  readonly clientId: string;
  readonly resources: readonly string[];
  readonly from: string | undefined;
  readonly resumed: boolean;
  readonly signal: AbortSignal;
}

/** What a stream's first event says. */
export interface Connected {
  readonly clientId: string;
  readonly resumed: boolean;
  readonly heartbeatMs?: number;
}
