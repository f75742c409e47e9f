import type { SentReading } from './live-changes.js';
import type { TraceReport } from './report.js';

/** Events whose way is remembered: test events, and others that an application emits beside them. */
const MAX_TRACES = 200;

/** Remembers when events of emit() passed each stage at this server, by their transaction. */
export class Traces {
  readonly #server: string;
  readonly #traces = new Map<string, TraceReport>();

  constructor(server: string) {
    this.#server = server;
  }

  /**
   * Takes a reading that has just been handed to the sockets.
   * @param heardAt when the last notification was received, by performance.now().
   */
  add({ changes, measured, sent }: SentReading, heardAt: number): void {
    if (!measured) return;
    const now = performance.now();
    for (const [place, { operation, xid, resource }] of changes.entries()) {
      if (operation !== 'emit' || xid === undefined) continue;
      // By the clock here: the database has said how long ago it was.
      const madeAt = measured.begunAt - (measured.agesMs[place] ?? 0);
      const tally = sent?.get(resource);
      this.#traces.set(String(xid), {
        server: this.#server,
        notifiedMs: heardAt >= madeAt ? heardAt - madeAt : null,
        readMs: measured.readAt - madeAt,
        handedMs: now - madeAt,
        streams: tally?.streams ?? 0,
        behind: tally?.behind ?? 0,
      });
    }
    for (const oldest of this.#traces.keys()) {
      if (this.#traces.size <= MAX_TRACES) break;
      this.#traces.delete(oldest);
    }
  }

  /** Returns the trace of a transaction's event; undefined where this server has not read it. */
  of(xid: string): TraceReport | undefined {
    return this.#traces.get(xid);
  }
}
