import { bareId, type EncodedEvent, tableUpdate, withId } from './event-format.js';

/** Events of one read or one replay, for one client; more are summed up to one per resource. */
export const MAX_EVENTS = 100;
/** The same as text, in UTF-16 units; one event alone may be longer. */
export const MAX_TEXT = 65_536;

/**
 * What a client is told at once: one event, or one more than another batch. Clients that are told the same hold the
 * same batch, and share its bytes: of ten thousand, one is encoded.
 */
export class EventBatch {
  static readonly #alone = new WeakMap<EncodedEvent, EventBatch>();
  readonly #event: EncodedEvent;
  readonly #before: EventBatch | undefined;
  readonly #count: number;
  readonly #length: number;
  readonly #longer = new Map<EncodedEvent, EventBatch>();
  /** What is sent: all events, or those that sum them up. Made when it is first asked for. */
  #sent: readonly EncodedEvent[] | undefined;
  #summaries: number | undefined;
  #bytes: { readonly id: string; readonly bytes: Buffer } | undefined;

  private constructor(event: EncodedEvent, before?: EventBatch) {
    this.#event = event;
    this.#before = before;
    this.#count = (before?.count ?? 0) + 1;
    this.#length = (before?.length ?? 0) + event.text.length;
  }

  /** The batch of one event: the same object for each who asks. */
  static of(event: EncodedEvent): EventBatch {
    let batch = EventBatch.#alone.get(event);
    if (!batch) {
      batch = new EventBatch(event);
      EventBatch.#alone.set(event, batch);
    }
    return batch;
  }

  /** How many events it has. */
  get count(): number {
    return this.#count;
  }

  /** Their text together, in UTF-16 units. */
  get length(): number {
    return this.#length;
  }

  /** This and one event more: the same object for each who asks. */
  and(event: EncodedEvent): EventBatch {
    let longer = this.#longer.get(event);
    if (!longer) {
      longer = new EventBatch(event, this);
      this.#longer.set(event, longer);
    }
    return longer;
  }

  /** Whether its events are too many, and go out as one per resource. */
  get isSummedUp(): boolean {
    return this.#count > MAX_EVENTS || (this.#count > 1 && this.#length > MAX_TEXT);
  }

  /** How many events go out. */
  get delivered(): number {
    return this.#toSend().length;
  }

  /** How many of them sum up what was not told one by one. */
  get summaries(): number {
    this.#summaries ??= this.#toSend().filter(({ sumsUp }) => sumsUp).length;
    return this.#summaries;
  }

  /** Names of the resources that changed, in order, each once. */
  resources(): Set<string> {
    return new Set(this.#events().map(({ resource }) => resource));
  }

  /**
   * What goes to the socket. Only the last event carries the id: cut in the middle, the stream starts again before the
   * first.
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
    this.#sent ??= this.isSummedUp ? summedUp(this.resources()) : this.#events();
    return this.#sent;
  }

  #events(): EncodedEvent[] {
    const events: EncodedEvent[] = [];
    for (let batch: EventBatch | undefined = this; batch; batch = batch.#before) events.push(batch.#event);
    return events.reverse();
  }
}

/**
 * One event per resource, without operation: something changed, refetch all of it. Undefined for no resource.
 * @param before what comes before them.
 */
export function eventBatchOf(resources: Iterable<string>, before?: EventBatch): EventBatch | undefined {
  let batch = before;
  for (const event of summedUp(resources)) batch = batch ? batch.and(event) : EventBatch.of(event);
  return batch;
}

function summedUp(resources: Iterable<string>): EncodedEvent[] {
  return Array.from(resources, (resource) => tableUpdate({ resource }));
}
