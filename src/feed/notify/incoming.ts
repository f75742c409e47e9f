import type { FeedCounts } from '../feed-counts.js';
import type { LogReader } from '../log/log-reader.js';
import type { Leader } from './leader.js';
import { type Notification, WRITERS } from './listener.js';
import type { MessageReceiver } from './message-receiver.js';
import type { Term } from './message-sender.js';
import { type Answers, UnansweredNotifications } from './unanswered.js';

/** The parts to which notifications lead. */
export interface IncomingOptions {
  readonly receiver: MessageReceiver;
  /** Takes the payload of a notification. @returns whether it was for something else. */
  readonly heard: (payload: string) => boolean;
  readonly leader: () => Pick<Leader, 'notified' | 'beatNow' | 'leading'>;
  /** Undefined before the feed has started. */
  readonly reader: () => Pick<LogReader, 'read' | 'take'> | undefined;
  readonly counts: FeedCounts;
}

/**
 * Takes what the listener receives, and decides who reads. The leader reads when a writer notifies; the other servers wait
 * for its message, and read where none comes that has seen what the writer wrote.
 */
export class Incoming {
  readonly #options: IncomingOptions;
  readonly #unanswered: UnansweredNotifications;
  /** The term of this server, and its last message that came back to it. */
  #own: { readonly term: Term; last?: number } | undefined;

  constructor(options: IncomingOptions) {
    this.#options = options;
    this.#unanswered = new UnansweredNotifications(() => void options.reader()?.read());
  }

  /** Takes a notification. */
  take({ payload, pid }: Notification): void {
    const { heard, counts, leader, receiver } = this.#options;
    if (heard(payload)) return;
    if (payload === WRITERS) {
      counts.heard('writer');
      this.#unanswered.received();
      leader().notified();
      return;
    }
    const received = receiver.open(payload, pid);
    if (!received) {
      counts.heard('other');
      this.#unanswered.receivedUnknown();
      return;
    }
    const { term, number, message } = received;
    this.#unanswered.receivedMessage(term, number);
    if (this.#own?.term.term === term) {
      this.#own.last = number;
      return;
    }
    counts.heard('leader');
    if (message.kind === 'vacant') leader().beatNow();
    else if (message.kind === 'read') {
      counts.messages.brief += 1;
      void this.#options.reader()?.read();
    } else {
      const { stretch, readAgoMs, answers } = message;
      const outcome = this.#options.reader()?.take(stretch, performance.now() - readAgoMs);
      if (outcome) counts.messages[outcome] += 1;
      if (outcome === 'told' || outcome === 'known') this.#unanswered.answeredBy(term, answers);
    }
  }

  /** Takes a term of this server: its messages tell it nothing. */
  begin(term: Term): void {
    this.#own = { term };
    this.#options.receiver.learn(term);
  }

  /** Notes that a read begins. @returns what is to be called when it has succeeded. */
  readBegins(): () => void {
    return this.#unanswered.readBegins();
  }

  /** Returns which notifications of writers reads of this server have answered, for its messages. */
  answers(): Answers | undefined {
    return this.#own && this.#unanswered.answersBehind(this.#own.term.term, this.#own.last);
  }

  /** Forgets what is unanswered: a read begins after this, or none any more. */
  forget(): void {
    this.#unanswered.forget();
  }
}
