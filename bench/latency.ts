import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bench } from './bench.js';
import { connect } from './database.js';
import { openRawStream } from './raw-stream.js';
import { printTable, round } from './report.js';
import { percentile } from './statistics.js';
import { startOurs } from './targets.js';

/** How long a commit takes to a reader's socket, beside a bare LISTEN connection; calm, and under writers at full speed. */
export const latency: Bench = {
  name: 'latency',
  about: 'from the COMMIT that is sent to the socket of one of 100 readers, beside a bare LISTEN connection',
  run: async ({ postgres, scale }) => {
    const database = await postgres.createDatabase();
    const { session, url } = database;
    await session.query(`create table last (id int primary key, wert int);
      insert into last select g, 0 from generate_series(1, 100000) g;
      select change_feed.watch('last');
      create table unbeachtet (id int)`);
    const listener = await connect(url);
    await listener.query('listen bare');
    const server = await startOurs(url);
    const heard = { stream: new Map<number, number>(), bare: new Map<number, number>() };
    listener.on('notification', ({ payload }) => heard.bare.set(Number(payload), performance.now()));
    const sockets = await openReaders(server.port, heard.stream);

    const rows: string[][] = [];
    for (const load of ['50 writes a second', '16 writers at full speed']) {
      const stopLoad = load.startsWith('16') ? await startLoad(url) : async () => 0;
      await delay(1000);
      const sent = { stream: new Map<number, number>(), bare: new Map<number, number>() };
      const from = heard.stream.size + heard.bare.size;
      for (let i = 1; i <= scale(1000, 100); i += 1) {
        const number = from + i;
        const kind = i % 2 ? 'stream' : 'bare';
        // A name for each: what is summed up names the resource and no more.
        // Both write a row: a transaction that only notifies does not wait for the disk.
        const told =
          kind === 'stream'
            ? `select change_feed.emit('eilig-${number}')`
            : `insert into unbeachtet values (${number}); select pg_notify('bare', '${number}')`;
        await session.query(`begin; ${told}`);
        sent[kind].set(number, performance.now());
        await session.query('commit');
        await delay(20 - (performance.now() % 20));
      }
      await delay(2000);
      const written = await stopLoad();
      const times = (kind: 'stream' | 'bare') =>
        [...sent[kind]]
          .map(([number, at]) => (heard[kind].get(number) ?? Number.NaN) - at)
          .filter((ms) => !Number.isNaN(ms));
      for (const [kind, name] of [
        ['bare', 'LISTEN'],
        ['stream', 'reader'],
      ] as const) {
        const all = times(kind);
        rows.push([
          written ? `${load} (${written.toLocaleString('en')} commits)` : load,
          name,
          ...[50, 95, 99].map((p) => round(percentile(all, p))),
          `${all.length} of ${sent[kind].size}`,
        ]);
      }
    }
    printTable(['load', 'who', 'p50, ms', 'p95', 'p99', 'heard'], rows);
    for (const socket of sockets) socket.destroy();
    await server.stop();
    await listener.end();
    await database.drop();
  },
};

/** @returns how to end it; that says how many commits it made. */
async function startLoad(url: string): Promise<() => Promise<number>> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-latency-'));
  const script = join(folder, 'last');
  await writeFile(script, '\\set id random(1, 100000)\nupdate last set wert = wert + 1 where id = :id;\n');
  const pgbench = spawn('pgbench', ['-n', '-M', 'prepared', '-c', '16', '-j', '2', '-T', '600', '-f', script, url]);
  const ended = once(pgbench, 'exit');
  const session = await connect(url);
  const written = async () => Number((await session.query('select sum(wert) from last')).rows[0].sum);
  const before = await written();
  return async () => {
    const made = (await written()) - before;
    pgbench.kill();
    await Promise.all([ended, session.end(), rm(folder, { recursive: true })]);
    if (made === 0) throw new Error('pgbench wrote nothing');
    return made;
  };
}

/** A hundred readers; the first of them notes when it heard of which number. */
async function openReaders(port: number, heard: Map<number, number>) {
  return Promise.all(
    Array.from({ length: 100 }, async (_, place) => {
      const socket = await openRawStream(port, 'resources=*');
      socket.on('data', (chunk) => {
        if (place !== 0) return;
        const now = performance.now();
        for (const [, number] of chunk.toString().matchAll(/"resource":"eilig-(\d+)"/g)) heard.set(Number(number), now);
      });
      return socket;
    }),
  );
}
