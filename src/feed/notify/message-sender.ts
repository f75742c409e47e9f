import type { ChangeRow } from '../log/change-rows.js';
import { epochId } from '../log/epochs.js';
import type { Position } from '../log/position.js';
import type { Reading } from '../log/reading.js';
import { CHANNEL } from './listener.js';
import { encodeMessage, type Message, type News } from './message.js';
import { type MessageKey, seal } from './sealed-message.js';

/** Rows that wait for a message at the most: of more than 200 a read makes names. More do not fit into one, either. */
const MAX_ROWS = 400;

/** A leader's term: what its messages are made with. */
export interface Term extends MessageKey {
  /** The process id of its session. */
  readonly pid: number;
}

/** The parts of a {@link MessageSender}. */
export interface MessageSenderOptions {
  /**
   * Sends a notification.
   * @param brief is sent in its place where the queue of notifications begins to fill.
   */
  readonly send: (payload: string, brief: string) => Promise<void>;
  /** Returns the notifications of writers that reads have answered, as messages say it. */
  readonly answers: () => News['answers'];
}

/**
 * Makes the messages of a leader: each tells what was told here since the one before. One is under way at a time; what comes
 * meanwhile goes into the next.
 */
export class MessageSender {
  readonly #options: MessageSenderOptions;
  readonly #term: Term;
  #number = 0;
  #sent = 0;
  /** The end of the last message, and what was told since. */
  #from: Position;
  #to: Position;
  #rows: ChangeRow[] = [];
  #readBegunAt = 0;
  /** True where more was told than a message holds. */
  #tooMuch = true;
  #isDue = true;
  #sending: Promise<void> | undefined;

  /**
   * Begins with a message that says to read: the leader before may have ended with changes that it told nobody.
   * @param position up to which this server has told.
   */
  constructor(term: Term, position: Position, options: MessageSenderOptions) {
    this.#term = term;
    this.#from = position;
    this.#to = position;
    this.#options = options;
  }

  /** The number of messages that were made. */
  get sent(): number {
    return this.#sent;
  }

  /** Takes what was told here. */
  add({ position, lost, rows = [], measured }: Reading): void {
    this.#to = position;
    if (lost || this.#rows.length + rows.length > MAX_ROWS) this.#tooMuch = true;
    else this.#rows.push(...rows);
    this.#readBegunAt = measured?.begunAt ?? performance.now();
    if (lost || rows.length > 0) this.#isDue = true;
  }

  /** Makes a message due although nothing was told: it says which notifications are answered. */
  owe(): void {
    this.#isDue = true;
  }

  /** Sends what is due, at once or behind the message that is under way. Rejects as `send` does. */
  async flush(): Promise<void> {
    if (this.#sending) return this.#sending.then(() => this.flush());
    if (!this.#isDue) return;
    this.#sending = this.#send(this.#take());
    try {
      await this.#sending;
    } finally {
      this.#sending = undefined;
    }
  }

  /** Says that this leader stops. */
  async leave(): Promise<void> {
    await this.#sending?.catch(() => {});
    await this.#send({ kind: 'vacant' });
  }

  #take(): Message {
    const message: Message = this.#tooMuch
      ? { kind: 'read' }
      : {
          kind: 'news',
          stretch: { from: this.#from, to: this.#to, rows: this.#rows },
          readAgoMs: performance.now() - this.#readBegunAt,
          answers: this.#options.answers(),
        };
    this.#from = this.#to;
    this.#rows = [];
    this.#tooMuch = false;
    this.#isDue = false;
    return message;
  }

  #send(message: Message): Promise<void> {
    this.#sent += 1;
    const brief = this.#seal({ kind: 'read' }) as string;
    return this.#options.send(this.#seal(message) ?? brief, brief);
  }

  /** @returns undefined where the message is too long. */
  #seal(message: Message): string | undefined {
    const text = encodeMessage(message);
    if (!text) return undefined;
    this.#number += 1;
    const { pid } = this.#term;
    return seal(text, this.#term, this.#number, { channel: CHANNEL, epoch: epochId(this.#to), pid });
  }
}
