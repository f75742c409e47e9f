import type { LoggedChange } from '../change.js';
import { hasSeen, isAtLeast, type Position } from '../feed/log/position.js';
import type { Replay } from './replay.js';
import type { Subscription } from './subscription.js';
import { WaitingChanges } from './waiting-changes.js';

/**
 * The replays of one client that run or are about to, and the live changes that wait for them. It also remembers which
 * subscriptions a replay has covered further than the feed has sent live changes.
 */
export class ClientReplays {
  // Made when they are needed, and gone when they are empty: ten thousand clients that came back need none of them.
  #running: Set<Replay> | undefined;
  #waiting: WaitingChanges | undefined;
  #covered: Set<Subscription> | undefined;

  /** True while a replay runs or is about to. */
  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** True once there is nothing to remember. */
  get isIdle(): boolean {
    return this.#running === undefined && this.#covered === undefined;
  }

  /** Adds a replay, or does nothing where it is there. */
  begin(replay: Replay): void {
    this.#running ??= new Set();
    this.#running.add(replay);
  }

  /**
   * Removes a replay that has been read.
   * @param replayedTo how far it went; absent where it says that everything may have changed.
   * @returns the live changes that waited.
   */
  end(replay: Replay, replayedTo: Position | undefined): readonly LoggedChange[] {
    this.#running?.delete(replay);
    if (this.#running?.size === 0) this.#running = undefined;
    if (replayedTo) {
      this.#covered ??= new Set();
      for (const subscription of replay.subscriptions()) {
        subscription.replayedTo = replayedTo;
        this.#covered.add(subscription);
      }
    }
    const waiting = this.#waiting;
    this.#waiting = undefined;
    return waiting?.all() ?? [];
  }

  /** Returns whether a replay may send changes of a resource, or of a scope of it: a live change now would come before older ones. */
  awaits(resource: string): boolean {
    for (const replay of this.#running ?? []) if (replay.covers(resource)) return true;
    return false;
  }

  /** Keeps a live change until the replays have been sent. */
  keep(change: LoggedChange): void {
    this.#waiting ??= new WaitingChanges();
    this.#waiting.push(change);
  }

  /** Forgets how far subscriptions were covered once the feed has sent live changes as far. */
  forgetPassed(live: Position): void {
    const covered = this.#covered;
    if (!covered) return;
    for (const subscription of covered) {
      const { replayedTo } = subscription;
      if (replayedTo && replayedTo.epoch === live.epoch && !isAtLeast(live, replayedTo)) continue;
      delete subscription.replayedTo;
      covered.delete(subscription);
    }
    if (covered.size === 0) this.#covered = undefined;
  }
}

/**
 * Returns whether a replay up to `replayedTo` has covered a change that comes live now. A position of an epoch that has ended covers
 * nothing: its transaction ids may have been given to others since.
 */
export function isCovered({ xid }: LoggedChange, replayedTo: Position, live: Position): boolean {
  return xid !== undefined && hasSeen(replayedTo, xid) && replayedTo.epoch === live.epoch;
}
