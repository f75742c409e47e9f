import { bareId, type EncodedEvent, tableUpdate, withId } from './event-format.js';

/** Events of one read or one replay, for one client; more are summed up to one per resource. */
export const MAX_EVENTS = 100;
/** The same as text, in UTF-16 units; one event alone may be longer. */
export const MAX_TEXT = 65_536;

/**
 * What a client is told at once: one event, or one more than another bundle. Clients that are told the same hold the
 * same bundle, and share its bytes: of ten thousand, one is encoded.
 */
export class Bundle {
  static readonly #alone = new WeakMap<EncodedEvent, Bundle>();
  readonly #event: EncodedEvent;
  readonly #before: Bundle | undefined;
  readonly #count: number;
  readonly #length: number;
  readonly #longer = new Map<EncodedEvent, Bundle>();
  /** What is sent: all events, or those that sum them up. Made when it is first asked for. */
  #sent: readonly EncodedEvent[] | undefined;
  #summaries: number | undefined;
  #bytes: { readonly id: string; readonly bytes: Buffer } | undefined;

  private constructor(event: EncodedEvent, before?: Bundle) {
    this.#event = event;
    this.#before = before;
    this.#count = (before?.count ?? 0) + 1;
    this.#length = (before?.length ?? 0) + event.text.length;
  }

  /** The bundle of one event: the same object for each who asks. */
  static of(event: EncodedEvent): Bundle {
    let bundle = Bundle.#alone.get(event);
    if (!bundle) {
      bundle = new Bundle(event);
      Bundle.#alone.set(event, bundle);
    }
    return bundle;
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
  and(event: EncodedEvent): Bundle {
    let longer = this.#longer.get(event);
    if (!longer) {
      longer = new Bundle(event, this);
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
    for (let bundle: Bundle | undefined = this; bundle; bundle = bundle.#before) events.push(bundle.#event);
    return events.reverse();
  }
}

/**
 * One event per resource, without operation: something changed, refetch all of it. Undefined for no resource.
 * @param before what comes before them.
 */
export function bundleOf(resources: Iterable<string>, before?: Bundle): Bundle | undefined {
  let bundle = before;
  for (const event of summedUp(resources)) bundle = bundle ? bundle.and(event) : Bundle.of(event);
  return bundle;
}

function summedUp(resources: Iterable<string>): EncodedEvent[] {
  return Array.from(resources, (resource) => tableUpdate({ resource }));
}
