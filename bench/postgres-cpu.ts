import { readdirSync, readFileSync } from 'node:fs';
import type pg from 'pg';

/** CPU time of a whole Postgres, all its processes together. It must run on this machine. */
export class PostgresCpu {
  readonly #postmaster: number;

  private constructor(postmaster: number) {
    this.#postmaster = postmaster;
  }

  /** @param superuser a session that may read the file with the postmaster's process id. */
  static async of(superuser: pg.Client): Promise<PostgresCpu> {
    const { rows } = await superuser.query<{ file: string }>("select pg_read_file('postmaster.pid') as file");
    return new PostgresCpu(Number.parseInt(rows[0]?.file ?? '', 10));
  }

  /** The time that it has used since its start, in ms. Processes that have ended count to the tick of 10 ms. */
  total(): number {
    const { endedChildren } = readStat(this.#postmaster);
    const running = [this.#postmaster, ...childrenOf(this.#postmaster)];
    return endedChildren + running.reduce((sum, pid) => sum + onCpu(pid), 0);
  }
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readStat(pid).parent === parent;
      } catch {
        return false; // it has ended meanwhile
      }
    });
}

/** From /proc/PID/schedstat, whose unit is the nanosecond: a tick would hide what one change costs. */
function onCpu(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
  } catch {
    return 0;
  }
}

function readStat(pid: number): { readonly parent: number; readonly endedChildren: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
    .map(Number);
  return { parent: fields[1] ?? 0, endedChildren: ((fields[13] ?? 0) + (fields[14] ?? 0)) * 10 };
}
