import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { endProcess } from './processes.js';
import type { Order, Report } from './readers-process.js';

/** Streams that one process of readers opens: a process may open 20,000 files on many machines. */
const PER_PROCESS = 8000;

/** How readers ask for their stream. */
export interface StreamAddress {
  readonly port: number;
  /** Path and query; `{n}` stands for the reader's number, from 1. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Many readers, in processes of their own. */
export class Readers {
  readonly #processes: { readonly child: ChildProcess; readonly count: number }[];

  private constructor(count: number) {
    const sizes = Array.from({ length: Math.ceil(count / PER_PROCESS) }, (_, part) =>
      Math.min(PER_PROCESS, count - part * PER_PROCESS),
    );
    this.#processes = sizes.map((size) => ({
      child: fork(fileURLToPath(new URL('./readers-process.js', import.meta.url))),
      count: size,
    }));
  }

  /** Opens so many streams. Returns when each has heard something. */
  static async open(count: number, address: StreamAddress): Promise<Readers> {
    const readers = new Readers(count);
    await readers.openAgain(address);
    return readers;
  }

  /** Opens as many streams again. */
  async openAgain({ port, path, headers = {} }: StreamAddress): Promise<void> {
    const lines = Object.entries({ Host: 'bench', Accept: 'text/event-stream', ...headers });
    const request = `GET ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
    await this.#each((count, before) => ({ do: 'open', port, count, request, before }));
  }

  pause = () => this.#each(() => ({ do: 'pause' }));
  resume = () => this.#each(() => ({ do: 'resume' }));
  closeStreams = () => this.#each(() => ({ do: 'close' }));
  /** Counts from zero again. */
  forget = () => this.#each(() => ({ do: 'forget' }));
  report = () => this.#each(() => ({ do: 'report' }));

  /** Waits until the report is as it should be; throws after so many seconds. */
  async until(holds: (report: Report) => boolean, seconds = 60): Promise<Report> {
    for (const end = Date.now() + seconds * 1000; ; await delay(20)) {
      const report = await this.report();
      if (holds(report)) return report;
      if (Date.now() > end) throw new Error(`After ${seconds} s the readers have seen only ${JSON.stringify(report)}`);
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#processes.map(({ child }) => endProcess(child)));
  }

  async #each(orderFor: (count: number, before: number) => Order): Promise<Report> {
    const reports = await Promise.all(
      this.#processes.map(async ({ child, count }, place) => {
        const answer = once(child, 'message') as Promise<[Report]>;
        child.send(orderFor(count, PER_PROCESS * place));
        return (await answer)[0];
      }),
    );
    const sum = (of: (report: Report) => number) => reports.reduce((total, report) => total + of(report), 0);
    return {
      open: sum(({ open }) => open),
      connected: sum(({ connected }) => connected),
      resumed: sum(({ resumed }) => resumed),
      events: sum(({ events }) => events),
      told: sum(({ told }) => told),
      lastAt: Math.max(...reports.map(({ lastAt }) => lastAt)),
    };
  }
}
