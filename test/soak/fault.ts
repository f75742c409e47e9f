import type { SoakClient } from './clients.js';
import type { SoakPostgres } from './postgres.js';
import type { Server, Servers } from './servers.js';
import type { WriterHabits, Writers } from './writers.js';

/** What the faults are done to. */
export interface Target {
  readonly postgres: SoakPostgres;
  readonly servers: Servers;
  readonly clients: readonly SoakClient[];
  /** Whether minutes may pass. */
  readonly long: boolean;
}

/** One fault: done, and undone. */
export interface Fault {
  readonly name: string;
  /** Who writes meanwhile; 8 busy sessions unless told otherwise. */
  readonly writers?: WriterHabits;
  /** Commits may be lost: Postgres itself loses them. */
  readonly mayLose?: boolean;
  /** The log is pruned: afterwards it can't be asked what became of a change. */
  readonly prunes?: boolean;
  /** How long a change may take to a steady client whose server runs, in ms. Default 5,000. */
  readonly limitMs?: number;
  readonly strike: (target: Target, writers: Writers) => Promise<void>;
}

/** What steady clients of this server are told does not count for now: the fault is that it hangs. */
export function exemptClientsOf({ url }: Server, { clients }: Target): void {
  for (const client of clients) if (client.server === url) client.exempt();
}
