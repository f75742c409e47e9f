import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../until.js';
import type { Fault, Target } from '../fault.js';

/** Longer than any limit after which a session that says nothing is given up, in ms. */
const STOPPED_MS = 5000;

/** Faults of single sessions: terminated, or hanging. */
export const SESSION_FAULTS: readonly Fault[] = [
  {
    name: 'the sessions that listen terminated',
    strike: (target) => terminate(target, `application_name = 'pg-change-feed listener'`),
  },
  {
    name: 'all sessions terminated, the writers among them',
    strike: (target) => terminate(target, `backend_type = 'client backend'`),
  },
  {
    name: 'the sessions that listen stopped (SIGSTOP) for 5 s',
    strike: (target) => stopBackends(target, `application_name = 'pg-change-feed listener'`),
  },
  {
    name: 'the sessions that read the log stopped (SIGSTOP) for 5 s',
    strike: (target) => stopBackends(target, `application_name = 'pg-change-feed log'`),
  },
  {
    name: 'the session of an awake leader stopped (SIGSTOP) for 5 s',
    strike: (target) => stopBackends(target, LEAD('not exists')),
  },
  {
    name: 'the session of an idle leader stopped (SIGSTOP) for 5 s',
    // Few write, or it would hardly sleep.
    writers: { count: 2, pauseMs: 200 },
    strike: (target) => stopBackends(target, LEAD('exists')),
  },
];

/** The session that leads, while the leader is idle or not. */
const LEAD = (sleeps: 'exists' | 'not exists') => `
  pid in (select pid from change_feed.current_leader) and ${sleeps} (select from change_feed.leader_idle where is_called)`;

async function terminate({ postgres }: Target, which: string): Promise<void> {
  await postgres.sql(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and ${which}`);
}

/** Stops the backends of sessions: their connections stand, and nothing comes over them. */
async function stopBackends({ postgres }: Target, which: string): Promise<void> {
  const client = await postgres.connect();
  const sessions = `select pid from pg_stat_activity where datname = current_database() and ${which}`;
  const stopped: number[] = [];
  const goOn = () => {
    for (const pid of stopped.splice(0)) process.kill(pid, 'SIGCONT');
  };
  try {
    await until(async () => {
      for (const { pid } of (await client.query(sessions)).rows) {
        process.kill(pid, 'SIGSTOP');
        stopped.push(pid);
      }
      // Between the question and the signal it may have gone on, to another state.
      const { rows } = await client.query(sessions);
      const still = rows.filter(({ pid }) => stopped.includes(pid));
      if (still.length > 0) return true;
      goOn();
      return false;
    }, 'sessions to stop');
    await delay(STOPPED_MS);
  } finally {
    goOn();
    await client.end();
  }
}
