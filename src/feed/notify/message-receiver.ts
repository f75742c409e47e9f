import { CHANNEL } from './listener.js';
import { decodeMessage, type Message } from './message.js';
import { type MessageKey, open, sealedMessageOf } from './sealed-message.js';

/** The shortest time between two questions for keys, in ms: anybody may send what looks like a message of a new leader. */
const ASK_MS = 1000;

/** Keys that are known at the most: the leader's, and that of the one before. */
const MAX_KEYS = 2;

/** The parts of a {@link MessageReceiver}. */
export interface MessageReceiverOptions {
  /** Reads the keys that the database has. */
  readonly keys: () => Promise<readonly MessageKey[]>;
  /** Returns the id of the epoch in which this server stands. */
  readonly epoch: () => string;
}

/** A message that is a leader's beyond doubt. */
export interface Received {
  readonly term: string;
  readonly number: number;
  readonly message: Message;
}

/** Opens the messages of leaders. One of a new leader cannot be read at first: its key is asked for then. */
export class MessageReceiver {
  readonly #options: MessageReceiverOptions;
  readonly #keys = new Map<string, Buffer>();
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(options: MessageReceiverOptions) {
    this.#options = options;
  }

  /** Adds a key. */
  learn({ term, key }: MessageKey): void {
    this.#keys.delete(term);
    this.#keys.set(term, key);
    for (const oldest of this.#keys.keys()) {
      if (this.#keys.size <= MAX_KEYS) break;
      this.#keys.delete(oldest);
    }
  }

  /**
   * Opens a payload.
   * @param pid the session that sent it, as Postgres says.
   * @returns undefined where it cannot be read: it is none, of a leader whose key is not known yet, of another epoch or
   * version, or somebody else has sent it again.
   */
  open(payload: string, pid: number): Received | undefined {
    const sealed = sealedMessageOf(payload);
    if (!sealed) return undefined;
    const key = this.#keys.get(sealed.term);
    if (!key) {
      // Until the answer is here the message counts as a bare notification, and so do all until the next question.
      if (performance.now() - this.#askedAt < ASK_MS) return undefined;
      this.#askedAt = performance.now();
      void this.ask();
      return undefined;
    }
    const epoch = this.#options.epoch();
    try {
      const text = open(sealed, key, { channel: CHANNEL, epoch, pid });
      return { term: sealed.term, number: sealed.number, message: decodeMessage(text, epoch) };
    } catch {
      return undefined;
    }
  }

  /** Asks for the keys. Where that fails, the next message asks again. */
  async ask(): Promise<void> {
    const keys = await this.#options.keys().catch(() => []);
    for (const each of keys) this.learn(each);
  }
}
