import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { EmbeddedPostgres } from '../../src/database/embedded-postgres.js';
import { until } from '../until.js';
import type { Server, Servers } from './servers.js';

/** What the faults are done to. */
export interface Target {
  readonly servers: Servers;
  /** The address; it stays the same over restarts. */
  readonly databaseUrl: string;
  readonly postgres: () => EmbeddedPostgres;
  /** Starts Postgres again, on the same data and port. */
  readonly startAgain: () => Promise<void>;
  readonly postmasterPid: () => Promise<number>;
}

/** One fault: done, and undone. */
export interface Fault {
  readonly name: string;
  readonly strike: (target: Target) => Promise<void>;
}

/** Every fault that the soak injects. */
export const FAULTS: readonly Fault[] = [
  {
    name: 'the backends that listen terminated',
    strike: (target) => sql(target, TERMINATE('application_name = $$pg-change-feed bell$$')),
  },
  {
    name: 'all backends terminated, the writers among them',
    strike: (target) => sql(target, TERMINATE('true')),
  },
  {
    name: 'the backends that listen stopped for 6 s: their connections are half open',
    strike: async (target) => {
      const pids = await backends(target, 'pg-change-feed bell');
      for (const pid of pids) process.kill(pid, 'SIGSTOP');
      await delay(6000);
      for (const pid of pids) process.kill(pid, 'SIGCONT');
    },
  },
  {
    name: 'Postgres restarted fast',
    strike: async (target) => {
      await target.postgres().stop();
      await target.startAgain();
    },
  },
  {
    name: 'Postgres crashed (immediate), right after rollbacks and asynchronous commits',
    strike: async (target) => {
      await sql(
        target,
        `set synchronous_commit = off; create table if not exists soak_async (id int);
        do $$ begin for i in 1 .. 200 loop insert into soak_async values (i); end loop; end $$;
        begin; insert into soak_async values (0); rollback`,
      );
      const pid = await target.postmasterPid();
      process.kill(pid, 'SIGQUIT');
      await target.postgres().stop();
      await target.startAgain();
    },
  },
  {
    name: 'a transaction left open and idle for 8 s',
    strike: async (target) => {
      const client = await connect(target);
      await client.query('begin; insert into soak_a values (-1)');
      await delay(8000);
      await client.query('rollback');
      await client.end();
    },
  },
  {
    name: 'the log pruned down to nothing, under clients that are away',
    strike: async (target) => {
      await sql(target, `delete from change_feed.tick`);
      await sql(target, `select change_feed.note_tick()`);
      await sql(target, `select change_feed.prune('0 s', 1000000000, 1000000)`);
    },
  },
  {
    name: 'a server killed (SIGKILL)',
    strike: async ({ servers }) => {
      await servers.end(servers.running[0] as Server, 'SIGKILL');
      await servers.start();
    },
  },
  {
    name: 'a server stopped for 3 s (SIGSTOP)',
    strike: async ({ servers }) => {
      const { child } = servers.running[0] as Server;
      child.kill('SIGSTOP');
      await delay(3000);
      child.kill('SIGCONT');
    },
  },
  {
    name: 'a server ended (SIGTERM)',
    strike: async ({ servers }) => {
      await servers.end(servers.running[0] as Server, 'SIGTERM');
      await servers.start();
    },
  },
];

const TERMINATE = (which: string) =>
  `select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and ${which}`;

async function connect({ databaseUrl }: Target): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'soak fault' });
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function sql(target: Target, text: string): Promise<void> {
  const client = await connect(target);
  await client.query(text);
  await client.end();
}

async function backends(target: Target, application: string): Promise<number[]> {
  const client = await connect(target);
  const { rows } = await client.query('select pid from pg_stat_activity where application_name = $1', [application]);
  await client.end();
  return rows.map(({ pid }) => pid);
}

/** Waits until all servers can read and hear again. */
export async function untilRecovered({ servers }: Target): Promise<void> {
  await until(async () => {
    const answers = await Promise.all(
      servers.urls().map((url) =>
        fetch(`${url}/readyz`).then(
          ({ status }) => status,
          () => 0,
        ),
      ),
    );
    return answers.every((status) => status === 200);
  }, 'the recovery of all servers');
}
