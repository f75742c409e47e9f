import { FeedCounts } from '../../../src/feed/feed-counts.js';
import type { ChangeRow } from '../../../src/feed/log/change-rows.js';
import { epochId } from '../../../src/feed/log/epochs.js';
import { LogReader } from '../../../src/feed/log/log-reader.js';
import { hasSeen, type Position } from '../../../src/feed/log/position.js';
import { type Reading, readingOf } from '../../../src/feed/log/reading.js';
import { Incoming } from '../../../src/feed/notify/incoming.js';
import type { Notification } from '../../../src/feed/notify/listener.js';
import { MessageReceiver } from '../../../src/feed/notify/message-receiver.js';
import { MessageSender, type Term } from '../../../src/feed/notify/message-sender.js';

/** A primary as a reader sees it: transactions, the rows that they wrote, and snapshots. */
export class SimulatedPrimary {
  readonly epoch = 'abc';
  /** The rows that have committed, in the order of its statements. */
  readonly committed: ChangeRow[] = [];
  readonly #open = new Map<bigint, ChangeRow[]>();
  #next = 10n;
  #written = 0;

  begin(): bigint {
    const xid = this.#next;
    this.#next += 1n;
    this.#open.set(xid, []);
    return xid;
  }

  get open(): readonly bigint[] {
    return [...this.#open.keys()];
  }

  /** Writes a row, unless another transaction has written it and is open. */
  write(xid: bigint, row: number): void {
    const resource = `r${row}`;
    const isLocked = [...this.#open].some(
      ([other, rows]) => other !== xid && rows.some((r) => r.resource === resource),
    );
    if (isLocked) return;
    this.#written += 1;
    this.#open.get(xid)?.push(rowOf(xid, resource, this.#written));
  }

  end(xid: bigint, commits: boolean): void {
    if (commits) this.committed.push(...(this.#open.get(xid) ?? []));
    this.committed.sort((a, b) => keyOf(a) - keyOf(b));
    this.#open.delete(xid);
  }

  snapshot(): Position {
    const xip = this.open;
    return { epoch: this.epoch, xmin: xip[0] ?? this.#next, xmax: this.#next, xip };
  }

  /** Makes the reading that a read from `since` finds at a snapshot. */
  read(since: Position, at: Position): Reading {
    const rows = this.committed.filter(({ xid }) => {
      const id = BigInt(xid ?? 0);
      return hasSeen(at, id) && !hasSeen(since, id);
    });
    return readingOf(at, rows, performance.now());
  }
}

function rowOf(xid: bigint, resource: string, key: number): ChangeRow {
  const nothing = { data: null, scopes: null, origin: null };
  return { xid: `${xid}`, resource, operation: 'update', keys: `[${key}]`, ...nothing, command: 0, age_ms: 0, made: 1 };
}

function keyOf({ keys }: ChangeRow): number {
  return JSON.parse(keys ?? '[0]')[0];
}

/** A read that Postgres has not answered yet. */
interface PendingRead {
  readonly since: Position;
  /** The snapshot of when it was asked for; the real one is this, or any later one. */
  readonly asked: Position;
  readonly answer: (reading: Reading) => void;
}

/** One server with its own connections, which answer when they are told to. */
export class SimulatedServer {
  /** The changes that it has told, in order: the row, and the number of the write. */
  readonly told: { readonly resource: string; readonly key: number }[] = [];
  readonly pending: PendingRead[] = [];
  readonly #primary: SimulatedPrimary;
  readonly #incoming: Incoming;
  readonly #reader: LogReader;
  readonly #receiver: MessageReceiver;
  #sender: MessageSender | undefined;

  constructor(primary: SimulatedPrimary, terms: () => readonly Term[]) {
    this.#primary = primary;
    this.#reader = new LogReader({
      log: {
        tellsScopes: false,
        read: (since) => new Promise((answer) => this.pending.push({ since, asked: primary.snapshot(), answer })),
      },
      start: primary.snapshot(),
      failures: { failed: () => {}, succeeded: () => {} },
      onReading: (reading) => {
        this.#sender?.add(reading);
        for (const { resource, keys } of reading.changes) this.told.push({ resource, key: Number(keys?.[0]) });
      },
      onBegin: () => this.#incoming.readBegins(),
    });
    this.#receiver = new MessageReceiver({
      keys: async () => terms(),
      epoch: () => epochId(this.#reader.position),
    });
    this.#incoming = new Incoming({
      receiver: this.#receiver,
      heard: () => false,
      leader: () => ({ notified: () => {}, beatNow: () => {}, leading: this.#sender !== undefined }),
      reader: () => this.#reader,
      counts: this.counts,
    });
  }

  readonly counts = new FeedCounts();

  /** Begins to lead, whoever else does. */
  lead(term: Term, send: (payload: string) => void): void {
    this.#incoming.begin(term);
    this.#sender = new MessageSender(term, this.#reader.position, {
      send: async (payload) => send(payload),
      answers: () => this.#incoming.answers(),
    });
  }

  learn(term: Term): void {
    this.#receiver.learn(term);
  }

  tellOthers(): void {
    void this.#sender?.flush();
  }

  receive(notification: Notification): void {
    this.#incoming.take(notification);
  }

  read(): void {
    void this.#reader.read();
  }

  /** Postgres answers the oldest read, with a snapshot of when it was asked or of now. */
  async answer(late: boolean): Promise<void> {
    const read = this.pending.shift();
    read?.answer(this.#primary.read(read.since, late ? this.#primary.snapshot() : read.asked));
    await settled();
  }

  /** Answers everything, and reads once more. */
  async catchUp(): Promise<void> {
    this.read();
    await settled();
    while (this.pending.length > 0) await this.answer(true);
    this.#reader.stop();
    this.#incoming.forget();
  }
}

/** Resolves when all that follows from what was done has been done. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));
