import { writePosition } from '../feed/log/epochs.js';
import { earlier, type Start } from './replay.js';

/** The id of a stream that cannot be resumed: no position parses from it, so a stream that is cut here is still lost. */
const LOST_ID = 'resync';

/**
 * The position at which a stream's ids stay, instead of following the feed: until its replays have been sent, and for a
 * while after a reconnect.
 */
export class ResumePoint {
  readonly start: Start;
  /** The time of its end, by performance.now(). */
  readonly #until: number;

  private constructor(start: Start, until: number) {
    this.start = start;
    this.#until = until;
  }

  /** Makes one that stays for a time, in ms. */
  static lasting(start: Start, ms: number): ResumePoint {
    return new ResumePoint(start, performance.now() + ms);
  }

  /** Makes one for a replay that begins at `start`; `held` is the stream's resume point so far. */
  static beforeReplay(start: Start, held: ResumePoint | undefined): ResumePoint {
    return held ? new ResumePoint(earlier(held.start, start), held.#until) : new ResumePoint(start, 0);
  }

  /** True once its time has passed. */
  get isOver(): boolean {
    return performance.now() >= this.#until;
  }

  /** The event id from which a stream resumes here. */
  get id(): string {
    return this.start === 'lost' ? LOST_ID : writePosition(this.start);
  }
}
