import { HttpError } from '../http/http-error.js';

/** Limits on streams, each for one process. */
export interface StreamLimitsOptions {
  /** The largest number of open streams; another is 503. Default 20,000. */
  readonly maxStreams?: number | undefined;
  /** The largest number of open streams of one subject; another is 429. Default 100. */
  readonly maxStreamsPerSubject?: number | undefined;
}

/** The shortest time after which a client of a full server may retry, in s; a random part of as much is added. */
const FULL_RETRY_S = 5;

/** Counts the open streams, in all and of each subject, and refuses those beyond the limits. */
export class StreamLimits {
  readonly #maxStreams: number;
  readonly #maxStreamsPerSubject: number;
  readonly #ofSubject = new Map<string, number>();
  #open = 0;

  constructor({ maxStreams = 20_000, maxStreamsPerSubject = 100 }: StreamLimitsOptions) {
    this.#maxStreams = maxStreams;
    this.#maxStreamsPerSubject = maxStreamsPerSubject;
  }

  /**
   * Counts a stream that is about to be opened. @returns a function to call when it has ended.
   * @throws {HttpError} too_many_requests or unavailable, with `Retry-After`.
   */
  admit(subject: string): () => void {
    const own = this.#ofSubject.get(subject) ?? 0;
    if (own >= this.#maxStreamsPerSubject) {
      throw new HttpError('too_many_requests', `At most ${this.#maxStreamsPerSubject} streams at once: close another`, {
        'Retry-After': String(FULL_RETRY_S),
      });
    }
    if (this.#open >= this.#maxStreams) {
      // Random, so that many refused clients do not come back at once.
      const seconds = FULL_RETRY_S + Math.floor(Math.random() * (FULL_RETRY_S + 1));
      throw new HttpError('unavailable', 'The server has no room for another stream', {
        'Retry-After': String(seconds),
      });
    }
    this.#open += 1;
    this.#ofSubject.set(subject, own + 1);
    return () => this.#release(subject);
  }

  #release(subject: string): void {
    this.#open -= 1;
    const left = (this.#ofSubject.get(subject) ?? 1) - 1;
    if (left > 0) this.#ofSubject.set(subject, left);
    else this.#ofSubject.delete(subject);
  }
}
