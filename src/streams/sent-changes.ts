import type { LoggedChange } from '../change.js';
import { formatSnapshot, type Position } from '../feed/log/position.js';
import { toHex } from '../hex-text.js';
import type { Client } from './client.js';

/** The resources of broadcasts that are remembered, in all: hours of a quiet database, 10 s at 200 broadcasts a second. */
const MAX_REMEMBERED = 2000;
/** Names of resources whose subscriptions an answer counts: clients may subscribe to any name. */
const MAX_SUBSCRIBED = 500;

/** To how many streams the changes of a resource were sent. */
export interface SentCount {
  /** Streams to which they were sent, those that are behind among them. */
  readonly streams: number;
  /** Those that did not read fast enough, so that they receive the resource's name alone, later. */
  readonly behind: number;
  /** The longest time from a commit until the last socket had its change, in ms, at most; null where it is not known. */
  readonly ms: number | null;
}

/** Counts the streams of one resource. */
class Tally {
  streams = 0;
  behind = 0;
  ms: number | null = null;

  /** Takes a client to which a change is being sent. */
  add(client: Client): void {
    this.streams += 1;
    if (client.isFull) this.behind += 1;
  }
}

/** Counts the streams of one broadcast, each once for a resource. */
export class Broadcast {
  readonly tallies = new Map<string, Tally>();
  readonly #whole = new Set<string>();
  readonly #ofScopes = new Map<string, Set<Client>>();

  /** Returns the tally of a whole resource; undefined where its streams have been counted in this broadcast. */
  tallyOf(resource: string): Tally | undefined {
    if (this.#whole.has(resource)) return undefined;
    this.#whole.add(resource);
    return this.#tally(resource);
  }

  /** Counts a client to which a change of a scope is being sent: once, also where it receives several scopes of a resource. */
  addOfScope(resource: string, client: Client): void {
    let counted = this.#ofScopes.get(resource);
    if (!counted) {
      counted = new Set();
      this.#ofScopes.set(resource, counted);
    }
    if (counted.has(client)) return;
    counted.add(client);
    this.#tally(resource).add(client);
  }

  /** Ends it: takes how long the changes took. @param lagsMs of each change, in the order of the changes. */
  end(changes: readonly LoggedChange[], lagsMs: readonly number[]): void {
    for (const [place, { resource }] of changes.entries()) {
      const tally = this.#tally(resource);
      const lagMs = lagsMs[place];
      if (lagMs !== undefined) tally.ms = Math.max(tally.ms ?? 0, lagMs);
    }
  }

  #tally(resource: string): Tally {
    let tally = this.tallies.get(resource);
    if (!tally) {
      tally = new Tally();
      this.tallies.set(resource, tally);
    }
    return tally;
  }
}

/** Remembers to how many streams the last changes were sent. No key, no value of a scope, nobody's name. */
export class SentChanges {
  readonly #broadcasts: { readonly position: Position; readonly sent: ReadonlyMap<string, SentCount> }[] = [];
  /** The position before which all is forgotten, or was never sent. */
  #before: Position | undefined;
  #remembered = 0;

  /** Forgets everything: what committed before a position was not sent one by one. */
  forget(position: Position): void {
    this.#broadcasts.length = 0;
    this.#remembered = 0;
    this.#before = position;
  }

  /** Takes a broadcast. @param position up to which changes have been sent with it. */
  add(position: Position, { tallies }: Broadcast): void {
    if (!this.#before) return;
    this.#broadcasts.push({ position, sent: tallies });
    this.#remembered += tallies.size;
    while (this.#remembered > MAX_REMEMBERED) {
      const forgotten = this.#broadcasts.shift();
      if (!forgotten) break;
      this.#before = forgotten.position;
      this.#remembered -= forgotten.sent.size;
    }
  }

  /** The last broadcast, with the position up to which changes have been sent with it. */
  get latest(): { readonly position: Position; readonly sent: ReadonlyMap<string, SentCount> } | undefined {
    return this.#broadcasts.at(-1);
  }

  /**
   * Makes the part of a server's answer that says what was sent: see sql/013-question.sql. Names are hexadecimal.
   * @param subscriptions how many streams are subscribed to each resource now.
   */
  state(subscriptions: Iterable<readonly [resource: string, streams: number]>): Readonly<Record<string, unknown>> {
    const most = [...subscriptions].sort(([, a], [, b]) => b - a).slice(0, MAX_SUBSCRIBED);
    return {
      before: this.#before && formatSnapshot(this.#before),
      sent: this.#broadcasts.map(({ position, sent }) => [
        formatSnapshot(position),
        Object.fromEntries(
          Array.from(sent, ([resource, { streams, behind, ms }]) => [toHex(resource), [streams, behind, round(ms)]]),
        ),
      ]),
      subscribed: Object.fromEntries(most.map(([resource, streams]) => [toHex(resource), streams])),
    };
  }
}

function round(ms: number | null): number | null {
  return ms === null ? null : Math.round(10 * ms) / 10;
}
