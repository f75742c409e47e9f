import { hostname } from 'node:os';
import type { Logger } from '../../logger.js';
import { packageVersion } from '../../package-root.js';

/** The time between two reports, in ms. `change_feed.status` shows a server for 30 s after its last. */
const REPORT_MS = 10_000;

/** The state that a server reports. */
export interface ServerState {
  readonly streams: number;
  readonly leading: boolean;
  readonly listening: boolean;
  /** The time since it read the log, in ms; null while it can't. */
  readonly readAgoMs: number | null;
}

/** The parts of the reports. */
export interface ServerReportOptions {
  readonly instanceId: string;
  readonly state: () => ServerState;
  readonly query: (text: string, values: unknown[]) => Promise<readonly Record<string, unknown>[]>;
  readonly logger: Logger;
}

/** Reports the state of a server every 10 s, for `select * from change_feed.status`. A report that fails disturbs nobody. */
export class ServerReport {
  readonly #options: ServerReportOptions;
  #timer: NodeJS.Timeout | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ServerReportOptions) {
    this.#options = options;
  }

  /** Reports now, and every 10 s. Resolves when the first report has been made. */
  async start(): Promise<void> {
    this.#timer = setInterval(() => this.#report(), REPORT_MS);
    this.#report();
    await this.#last;
  }

  /** Takes the server off the list. Before the connections are closed. */
  async stop(): Promise<void> {
    if (!this.#timer) return;
    clearInterval(this.#timer);
    await this.#last;
    await this.#query('select change_feed.forget_server($1)', [this.#options.instanceId]);
  }

  #report(): void {
    const { instanceId, state } = this.#options;
    const { streams, leading, listening, readAgoMs } = state();
    this.#last = this.#query('select change_feed.report_server($1, $2, $3, $4, $5, $6, $7, $8)', [
      instanceId,
      hostname(),
      process.pid,
      packageVersion,
      streams,
      leading,
      listening,
      readAgoMs,
    ]);
  }

  async #query(text: string, values: unknown[]): Promise<void> {
    const { query, logger } = this.#options;
    try {
      await query(text, values);
    } catch (error) {
      logger.debug({ err: error }, "this server's state could not be reported");
    }
  }
}
