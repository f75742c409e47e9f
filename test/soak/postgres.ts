import { execFile } from 'node:child_process';
import { chmod, chown, lstat, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded/embedded-postgres.js';
import { readInstanceFile } from '../../src/embedded/holder.js';
import { TcpProxy } from '../tcp-proxy.js';
import { until } from '../until.js';

const run = promisify(execFile);

/**
 * As an operator would set it up with a standby: enough WAL is kept for one that is just being made. The queue of
 * notifications is small, so that it can be filled, in pages of 8 kB.
 */
const SETTINGS = {
  max_connections: '250',
  max_wal_size: '4GB',
  wal_keep_size: '1GB',
  wal_writer_delay: '10s',
  max_notify_queue_pages: '4000',
};

/** The Postgres under the soak: it can be restarted, crashed, and replaced by a standby that lags behind. */
export class SoakPostgres {
  #dataDir: string;
  #postgres: EmbeddedPostgres;

  private constructor(dataDir: string, postgres: EmbeddedPostgres) {
    this.#dataDir = dataDir;
    this.#postgres = postgres;
  }

  static async start(): Promise<SoakPostgres> {
    const dataDir = await makeDataDir();
    return new SoakPostgres(dataDir, await startEmbeddedPostgres({ dataDir, port: 0, settings: SETTINGS }));
  }

  /** The address of the primary; it is another after {@link SoakPostgres.failOver}. */
  get url(): string {
    return this.#postgres.url;
  }

  async restart(): Promise<void> {
    await this.#postgres.stop();
    await this.#startAgain();
  }

  /** Ends it as a power cut would (immediate shutdown): what was not flushed is gone. Then it recovers. */
  async crash(): Promise<void> {
    await this.#kill();
    await this.#startAgain();
  }

  /** Runs statements as one simple query, so that several transactions go out at once. */
  async sql(text: string): Promise<pg.QueryResult> {
    const client = await this.connect();
    try {
      return await client.query(text);
    } finally {
      await client.end().catch(() => {});
    }
  }

  async connect(): Promise<pg.Client> {
    return connect(this.url);
  }

  /**
   * Makes a standby, lets it fall behind for a while, crashes the primary, and promotes the standby in its place: the
   * last `lagMs` of commits are lost.
   * @param before is called when the primary is about to go.
   */
  async failOver(lagMs: number, before: () => void): Promise<void> {
    const standbyDir = await makeDataDir();
    await this.#copyTo(standbyDir);
    const replication = await TcpProxy.open(() => ({ host: '127.0.0.1', port: this.#postgres.port }));
    const { username, password } = new URL(this.url);
    const standby = await startEmbeddedPostgres({
      dataDir: standbyDir,
      port: 0,
      settings: {
        ...SETTINGS,
        primary_conninfo: `host=127.0.0.1 port=${replication.port} user=${username} password=${password}`,
      },
    });
    const session = await connect(standby.url);
    const { rows } = await this.sql('select pg_current_wal_lsn()::text as lsn');
    await until(async () => {
      const reached = await session.query('select pg_last_wal_replay_lsn() >= $1::pg_lsn as caught_up', [rows[0].lsn]);
      return reached.rows[0].caught_up === true;
    }, 'the standby to catch up');

    replication.goSilent({ allNew: true });
    await delay(lagMs);
    before();
    await this.#kill();
    await session.query('select pg_promote()');
    await session.end();
    await replication.close();
    await rm(this.#dataDir, { recursive: true, force: true });
    this.#dataDir = standbyDir;
    this.#postgres = standby;
  }

  async stop(): Promise<void> {
    await this.#postgres.stop();
    await rm(this.#dataDir, { recursive: true, force: true });
  }

  async #kill(): Promise<void> {
    process.kill((await readInstanceFile(this.#dataDir))?.postgresPid ?? 0, 'SIGQUIT');
    await this.#postgres.stop();
  }

  async #startAgain(): Promise<void> {
    const { port } = this.#postgres;
    this.#postgres = await startEmbeddedPostgres({ dataDir: this.#dataDir, port, settings: SETTINGS });
  }

  /** A base backup, as pg_basebackup takes it: https://www.postgresql.org/docs/current/continuous-archiving.html */
  async #copyTo(dataDir: string): Promise<void> {
    const session = await this.connect();
    await session.query(`select pg_backup_start('soak', true)`);
    // cp fails where a file goes away under it; the log that is replayed makes up for that.
    await run('cp', ['-a', `${this.#dataDir}/.`, dataDir]).catch(() => {});
    const { rows } = await session.query('select labelfile from pg_backup_stop()');
    await session.end();

    const folder = join(dataDir, 'postgres');
    await rm(join(dataDir, 'holder.json'));
    await rm(join(folder, 'postmaster.pid'));
    for (const file of await readdir(join(folder, 'pg_wal'))) {
      if (/^[0-9A-F]{24}/.test(file)) await rm(join(folder, 'pg_wal', file));
    }
    const { uid, gid } = await lstat(folder);
    for (const [name, text] of [
      ['backup_label', rows[0].labelfile],
      ['standby.signal', ''],
    ]) {
      await writeFile(join(folder, name), text);
      await chown(join(folder, name), uid, gid);
    }
  }
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'soak' });
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function makeDataDir(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'soak-'));
  await chmod(dataDir, 0o711); // for root, whose Postgres runs as another user
  return dataDir;
}
