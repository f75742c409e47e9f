import { refetchOf } from '../change.js';
import { bareId, type EncodedEvent, tableUpdate, withId } from './event-format.js';
import { MAX_EVENTS, MAX_TEXT } from './limits.js';

/**
 * The events that a client receives at once: one event, or one more than another batch. Clients that receive the same
 * events hold the same batch and share its bytes: of ten thousand, one is encoded.
 */
export class EventBatch {
  static readonly #alone = new WeakMap<EncodedEvent, EventBatch>();
  readonly #event: EncodedEvent;
  readonly #before: EventBatch | undefined;
  readonly #count: number;
  readonly #length: number;
  readonly #longer = new Map<EncodedEvent, EventBatch>();
  /** All events, or those that sum them up. Made when it is first asked for. */
  #sent: readonly EncodedEvent[] | undefined;
  #summaries: number | undefined;
  #bytes: { readonly id: string; readonly bytes: Buffer } | undefined;

  private constructor(event: EncodedEvent, before?: EventBatch) {
    this.#event = event;
    this.#before = before;
    this.#count = (before?.count ?? 0) + 1;
    this.#length = (before?.length ?? 0) + event.text.length;
  }

  /** Returns the batch of one event: the same object at each call. */
  static of(event: EncodedEvent): EventBatch {
    let batch = EventBatch.#alone.get(event);
    if (!batch) {
      batch = new EventBatch(event);
      EventBatch.#alone.set(event, batch);
    }
    return batch;
  }

  /** The number of its events. */
  get count(): number {
    return this.#count;
  }

  /** The length of their text together, in UTF-16 units. */
  get length(): number {
    return this.#length;
  }

  /** Returns the batch with one event more: the same object at each call. */
  and(event: EncodedEvent): EventBatch {
    let longer = this.#longer.get(event);
    if (!longer) {
      longer = new EventBatch(event, this);
      this.#longer.set(event, longer);
    }
    return longer;
  }

  /** The number of events that go out. */
  get delivered(): number {
    return this.#toSend().length;
  }

  /** The number of those that sum up several changes. */
  get summaries(): number {
    this.#summaries ??= this.#toSend().filter(({ sumsUp }) => sumsUp).length;
    return this.#summaries;
  }

  /** Returns the topics that changed, in order, each once. */
  topics(): Set<string> {
    return new Set(this.#events().map(({ topic }) => topic));
  }

  /**
   * Encodes the events for the socket. Only the last event carries the id: cut in the middle, the stream starts again
   * before the first.
   * @param startId goes before the first event.
   */
  bytes(id: string, startId?: string): Buffer {
    if (startId === undefined && this.#bytes?.id === id) return this.#bytes.bytes;
    const events = this.#toSend();
    const texts = events.map(({ text }, place) => (place === events.length - 1 ? withId(text, id) : text));
    const bytes = Buffer.from((startId ? bareId(startId) : '') + texts.join(''));
    if (startId === undefined) this.#bytes = { id, bytes };
    return bytes;
  }

  #toSend(): readonly EncodedEvent[] {
    this.#sent ??= isTooLong(this.#count, this.#length) ? Array.from(this.topics(), refetchEvent) : this.#events();
    return this.#sent;
  }

  #events(): EncodedEvent[] {
    const events: EncodedEvent[] = [];
    for (let batch: EventBatch | undefined = this; batch; batch = batch.#before) events.push(batch.#event);
    return events.reverse();
  }
}

/**
 * Returns whether events are too many for one client, so that they become one per topic.
 * @param length of their text together, in UTF-16 units.
 */
export function isTooLong(count: number, length: number): boolean {
  return count > MAX_EVENTS || (count > 1 && length > MAX_TEXT);
}

/**
 * Makes a batch of one event per topic that says to refetch it. Undefined for no topic.
 * @param before the batch that it follows.
 */
export function eventBatchOf(topics: Iterable<string>, before?: EventBatch): EventBatch | undefined {
  let batch = before;
  for (const event of Array.from(topics, refetchEvent)) batch = batch ? batch.and(event) : EventBatch.of(event);
  return batch;
}

function refetchEvent(topic: string): EncodedEvent {
  return tableUpdate(refetchOf(topic));
}
