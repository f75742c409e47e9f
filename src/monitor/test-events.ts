import { setTimeout as delay } from 'node:timers/promises';
import type { MonitorDatabase } from './monitor-database.js';
import type { Peers } from './peers.js';
import type { TestReport, TraceReport } from './report.js';
import type { Traces } from './traces.js';

/** The time for which a test event is followed, in ms, and between two looks for it. */
const FOLLOW_MS = 2000;
const LOOK_MS = 20;
/** The time between two questions to the other servers, in ms. */
const ASK_MS = 150;

/** Makes test events, one at a time, and follows each through the servers. */
export class TestEvents {
  readonly #parts: {
    readonly database: MonitorDatabase;
    readonly traces: Traces;
    readonly peers: Peers;
    readonly instanceId: string;
  };
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: { database: MonitorDatabase; traces: Traces; peers: Peers; instanceId: string }) {
    this.#parts = parts;
  }

  /** Commits an event of a resource, and waits until every server has sent it, two seconds at the most. */
  run(resource: string, subject: string): Promise<TestReport> {
    const test = this.#last.then(() => this.#run(resource, subject));
    this.#last = test.catch(() => {});
    return test;
  }

  async #run(resource: string, subject: string): Promise<TestReport> {
    const { database, instanceId } = this.#parts;
    const { xid, writtenMs, committedMs } = await database.emit(resource, subject);
    const all = (await database.servers()).map(({ id }) => id);
    const found = new Map<string, TraceReport>();
    const end = performance.now() + FOLLOW_MS;
    const others = all.filter((id) => id !== instanceId);
    await Promise.all([this.#followHere(xid, end, found), ...others.map((id) => this.#followAt(id, xid, end, found))]);
    const servers = [...found.values()].sort((one, other) => one.handedMs - other.handedMs);
    const missing = [...new Set([instanceId, ...all])].filter((id) => !found.has(id));
    return { resource, xid, writtenMs, committedMs, servers, missing };
  }

  async #followHere(xid: string, end: number, found: Map<string, TraceReport>): Promise<void> {
    const { traces, instanceId } = this.#parts;
    for (; performance.now() < end; await delay(LOOK_MS)) {
      const trace = traces.of(xid);
      if (!trace) continue;
      found.set(instanceId, trace);
      return;
    }
  }

  async #followAt(server: string, xid: string, end: number, found: Map<string, TraceReport>): Promise<void> {
    const { peers } = this.#parts;
    for (; performance.now() < end; await delay(ASK_MS)) {
      const trace = await peers.askOne<TraceReport | null>(server, { kind: 'monitor', ask: 'trace', xid }, 'monitor');
      if (!trace) continue;
      found.set(server, trace);
      return;
    }
  }
}
