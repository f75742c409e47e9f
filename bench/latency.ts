import { type ChildProcess, spawn } from 'node:child_process';
import { connect as connectSocket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bench } from './bench.js';
import { connect } from './database.js';
import { printTable, round } from './report.js';
import { percentile } from './statistics.js';
import { ourStream, startOurs } from './targets.js';

/** How long a commit takes to a reader's socket, beside a bare LISTEN connection; calm, and under writers at full speed. */
export const latency: Bench = {
  name: 'latency',
  about: 'from the COMMIT that is sent to the socket of one of 100 readers, beside a bare LISTEN connection',
  run: async ({ postgres, scale }) => {
    const database = await postgres.createDatabase();
    const { session, url } = database;
    await session.query(`create table eilig (id int primary key, wert int); insert into eilig values (1, 0);
      create table last (id int primary key, wert int); insert into last select g, 0 from generate_series(1, 100000) g;
      select change_feed.watch('eilig'), change_feed.watch('last')`);
    const listener = await connect(url);
    await listener.query('listen bare');
    const server = await startOurs(url);
    const heard = { stream: new Map<number, number>(), bare: new Map<number, number>() };
    listener.on('notification', ({ payload }) => heard.bare.set(Number(payload), performance.now()));
    const sockets = await openReaders(server.port, heard.stream);

    const rows: string[][] = [];
    for (const load of ['50 writes a second', '16 writers at full speed']) {
      const pgbench = load.startsWith('16') ? startLoad(url) : undefined;
      await delay(1000);
      const sent = { stream: new Map<number, number>(), bare: new Map<number, number>() };
      const from = heard.stream.size + heard.bare.size;
      for (let i = 1; i <= scale(1000, 100); i += 1) {
        const number = from + i;
        const kind = i % 2 ? 'stream' : 'bare';
        sent[kind].set(number, performance.now());
        if (kind === 'stream') {
          await session.query(`select change_feed.emit('eilig', to_jsonb(${number}))`);
        } else {
          await session.query(
            `with w as (update eilig set wert = wert + 1 where false) select pg_notify('bare', '${number}')`,
          );
        }
        await delay(20 - (performance.now() % 20));
      }
      await delay(2000);
      if (pgbench) pgbench.kill();
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
          load,
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

function startLoad(url: string): ChildProcess {
  const child = spawn('pgbench', ['-n', '-M', 'prepared', '-c', '16', '-T', '600', '-f', '/dev/stdin', url], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.stdin?.end('\\set id random(1, 100000)\nupdate last set wert = wert + 1 where id = :id;\n');
  return child;
}

/** A hundred readers; the first of them notes when it heard of which number. */
async function openReaders(port: number, heard: Map<number, number>) {
  const { path, headers } = await ourStream(port, 'resources=eilig,last');
  return Promise.all(
    Array.from({ length: 100 }, async (_, place) => {
      const socket = connectSocket(port, '127.0.0.1');
      socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\nAuthorization: ${headers?.Authorization}\r\n\r\n`);
      await new Promise((resolve) => socket.once('data', resolve));
      socket.on('data', (chunk) => {
        if (place !== 0) return;
        const now = performance.now();
        for (const [, number] of chunk.toString().matchAll(/"data":(\d+)/g)) heard.set(Number(number), now);
      });
      return socket;
    }),
  );
}
