import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Written } from './ledger.js';

/** The tables that the writers write. */
export const TABLES = ['soak_a', 'soak_b'] as const;

/** Who writes, and how. */
export interface WriterHabits {
  readonly count: number;
  /** Between two transactions of a session, in ms, at the most. */
  readonly pauseMs: number;
  /** Their commits do not wait for the disk. */
  readonly asynchronous?: boolean;
}

let lastKey = 0;

/** Many sessions that write in mixed transactions, until they are stopped, and note what they committed. */
export class Writers {
  readonly written: Written[] = [];
  #stopped = false;
  readonly #loops: Promise<void>[] = [];

  constructor(
    private readonly databaseUrl: () => string,
    private readonly habits: WriterHabits,
  ) {
    for (let i = 0; i < habits.count; i += 1) this.#loops.push(this.#write(i));
  }

  /** Notes a row that somebody else inserts; whoever does says how that ended. */
  noteOther(resource: string): { readonly change: Written; readonly key: number } {
    const key = nextKey();
    return { change: noteIn(this.written, resource, key, 'insert', false), key };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  async #write(index: number): Promise<void> {
    while (!this.#stopped) {
      const client = new pg.Client({
        connectionString: this.databaseUrl(),
        application_name: `soak writer ${index}`,
        connectionTimeoutMillis: 5000,
        ...(this.habits.asynchronous && { options: '-c synchronous_commit=off' }),
      });
      client.on('error', () => {});
      try {
        await client.connect();
        while (!this.#stopped) {
          await this.#transaction(client);
          await delay(Math.random() * this.habits.pauseMs);
        }
      } catch {
        // What was open has been noted as unknown; the next session goes on.
        await delay(100);
      } finally {
        await client.end().catch(() => {});
      }
    }
  }

  async #transaction(client: pg.Client): Promise<void> {
    const table = pick(TABLES);
    const run = new Run(client, this.written);
    const kind = pick([
      'auto',
      'auto',
      'life',
      'long',
      'rollback',
      'savepoint',
      'bulk',
      'huge',
      'both',
      'serializable',
    ]);
    switch (kind) {
      case 'auto':
        return run.alone(() => run.insert(table, [nextKey()]));
      case 'life': {
        const key = nextKey();
        await run.alone(() => run.insert(table, [key]));
        await run.alone(() => run.change(table, 'update', key));
        return run.alone(() => run.change(table, 'delete', key));
      }
      case 'long':
        return run.transaction(async () => {
          await run.insert(table, [nextKey()]);
          await delay(Math.random() * 1000);
          await run.insert(table, [nextKey()]);
        });
      case 'rollback':
        return run.transaction(() => run.insert(table, [nextKey(), nextKey()]), 'rollback');
      case 'savepoint':
        return run.transaction(async () => {
          await run.insert(table, [nextKey()]);
          await client.query('savepoint s');
          const gone = await run.insert(table, [nextKey()]);
          await client.query('rollback to s');
          for (const change of gone) change.outcome = 'rolled back';
          await run.insert(table, [nextKey()]);
        });
      case 'bulk':
        return run.alone(() => run.insert(table, Array.from({ length: 50 }, nextKey)));
      case 'huge':
        return run.alone(() => run.insert(table, Array.from({ length: 300 }, nextKey)));
      case 'both':
        return run.transaction(async () => {
          for (const each of TABLES) await run.insert(each, [nextKey()]);
        });
      default:
        return run.serializable(table);
    }
  }
}

/** The statements of one transaction, and their notes. */
class Run {
  #open: Written[] = [];

  constructor(
    private readonly client: pg.Client,
    private readonly written: Written[],
  ) {}

  async insert(resource: string, keys: number[]): Promise<Written[]> {
    // A statement that names no keys is one change.
    const unnamed = keys.length > 100;
    const changes = (unnamed ? keys.slice(0, 1) : keys).map((key) => this.#note(resource, key, 'insert', unnamed));
    await this.client.query(`insert into ${resource} select unnest($1::int[])`, [keys]);
    return changes;
  }

  async change(resource: string, operation: 'update' | 'delete', key: number): Promise<void> {
    this.#note(resource, key, operation, false);
    const text = operation === 'update' ? `update ${resource} set stand = stand + 1` : `delete from ${resource}`;
    await this.client.query(`${text} where id = $1`, [key]);
  }

  /** A statement that is its own transaction. */
  async alone(work: () => Promise<unknown>): Promise<void> {
    const sent = performance.now();
    await work();
    this.#close('committed', sent);
  }

  async transaction(work: () => Promise<unknown>, end: 'commit' | 'rollback' = 'commit'): Promise<void> {
    await this.client.query('begin');
    await work();
    const sent = performance.now();
    await this.client.query(end);
    this.#close(end === 'commit' ? 'committed' : 'rolled back', sent);
  }

  /** Two serializable sessions that read what the other writes: some fail, and try again. */
  async serializable(resource: string): Promise<void> {
    for (let attempt = 0; attempt < 5; attempt += 1) {
      try {
        await this.client.query('begin isolation level serializable');
        await this.client.query(`select count(*) from ${resource} where id > $1`, [lastKey - 50]);
        await this.insert(resource, [nextKey()]);
        const sent = performance.now();
        await this.client.query('commit');
        this.#close('committed', sent);
        return;
      } catch (error) {
        if ((error as pg.DatabaseError).code !== '40001') throw error;
        await this.client.query('rollback');
        this.#close('rolled back', performance.now());
      }
    }
  }

  #note(resource: string, key: number, operation: Written['operation'], unnamed: boolean): Written {
    const change = noteIn(this.written, resource, key, operation, unnamed);
    this.#open.push(change);
    return change;
  }

  #close(outcome: 'committed' | 'rolled back', sent: number): void {
    for (const change of this.#open) {
      if (change.outcome !== 'unknown') continue;
      change.outcome = outcome;
      change.commitSent = sent;
      change.commitAnswered = performance.now();
    }
    this.#open = [];
  }
}

/** Unknown until its transaction has ended: for a connection that breaks on the way. */
function noteIn(
  written: Written[],
  resource: string,
  key: number,
  operation: Written['operation'],
  unnamed: boolean,
): Written {
  const change: Written = {
    resource,
    key,
    operation,
    unnamed,
    commitSent: performance.now(),
    commitAnswered: 0,
    outcome: 'unknown',
  };
  written.push(change);
  return change;
}

/** A key that no other row has. */
function nextKey(): number {
  lastKey += 1;
  return lastKey;
}

function pick<Item>(items: readonly Item[]): Item {
  return items[Math.floor(Math.random() * items.length)] as Item;
}
