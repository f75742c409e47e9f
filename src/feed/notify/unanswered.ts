/** The time that a server waits for the leader's message, when a writer has notified it, before it reads itself, in ms. */
export const MESSAGE_WITHIN_MS = 250;

/** Messages whose places are remembered. The leader names the last that it has received itself, a few ms ago. */
const MAX_PLACES = 100;

/** Which notifications of writers a read has answered: so many that came behind the leader's message of this number. */
export interface Answers {
  readonly behind: number;
  readonly notifications: number;
}

/**
 * Knows which notifications of writers are not answered yet: by a read of this server that has begun after them, or by a
 * message of the leader whose read has. Every listener receives all notifications of a database in one order. So the leader
 * names those that it has answered by counting from a message of its own, which every server has received at the same place.
 */
export class UnansweredNotifications {
  readonly #onOverdue: () => void;
  /** Writers' notifications that were received, and those of them that are answered. */
  #received = 0;
  #answered = 0;
  /** True where something else was received that may be a notification: no message can answer that. */
  #unknown = false;
  /** The number of writers' notifications before each message of the leader, by its term and number. */
  readonly #places = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  /** @param onOverdue called when one has waited for {@link MESSAGE_WITHIN_MS}. */
  constructor(onOverdue: () => void) {
    this.#onOverdue = onOverdue;
  }

  /** Takes a writer's notification. */
  received(): void {
    this.#received += 1;
    this.#await();
  }

  /** Takes a notification of whatever kind: it may stand for a message that this server cannot read. */
  receivedUnknown(): void {
    this.#unknown = true;
    this.#await();
  }

  /** Takes the place of a message of the leader among the notifications. */
  receivedMessage(term: string, number: number): void {
    this.#places.set(`${term} ${number}`, this.#received);
    for (const oldest of this.#places.keys()) {
      if (this.#places.size <= MAX_PLACES) break;
      this.#places.delete(oldest);
    }
  }

  /** Notes that a read begins. @returns what is to be called when it has succeeded. */
  readBegins(): () => void {
    const upTo = this.#received;
    this.#unknown = false;
    return () => this.#answerUpTo(upTo);
  }

  /** Takes what a message of the leader says that its read has answered. */
  answeredBy(term: string, answers: Answers | undefined): void {
    if (!answers) return;
    const place = this.#places.get(`${term} ${answers.behind}`);
    if (place !== undefined) this.#answerUpTo(place + answers.notifications);
  }

  /** Returns what reads of this server have answered, for its message. @param last its last message that it has received. */
  answersBehind(term: string, last: number | undefined): Answers | undefined {
    const place = this.#places.get(`${term} ${last}`);
    return place === undefined || last === undefined
      ? undefined
      : { behind: last, notifications: this.#answered - place };
  }

  /** Tells whether a notification is not answered. */
  get any(): boolean {
    return this.#unknown || this.#answered < this.#received;
  }

  /** Forgets all: notifications were missed, and a read begins after this. */
  forget(): void {
    this.#places.clear();
    this.#unknown = false;
    this.#answerUpTo(this.#received);
  }

  #answerUpTo(count: number): void {
    this.#answered = Math.max(this.#answered, Math.min(count, this.#received));
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#await();
  }

  #await(): void {
    if (!this.any || this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#onOverdue();
    }, MESSAGE_WITHIN_MS);
  }
}
