// A crowd of readers in a process of its own: opens streams over raw sockets, and counts what arrives. Parsing less than a
// browser does, so that one core can read for ten thousand.
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

/** What the parent asks for. */
export type Order =
  | {
      readonly do: 'open';
      readonly port: number;
      readonly count: number;
      /** `{n}` in it stands for the reader's number. */
      readonly request: string;
      /** The number of readers in processes before this one. */
      readonly before: number;
    }
  | { readonly do: 'pause' | 'resume' | 'close' | 'report' | 'forget' };

/** What the readers have seen. */
export interface Report {
  readonly open: number;
  /** Streams that said `connected`, and those of them that were resumed. */
  readonly connected: number;
  readonly resumed: number;
  readonly events: number;
  /** When the last event arrived, in ms since 1970. */
  readonly lastAt: number;
  /** Streams that have seen an event at all. */
  readonly told: number;
}

const EVENT = Buffer.from('table-update');
const CONNECTED = Buffer.from('"clientId"');
const RESUMED = Buffer.from('"resumed":true');
/** Connections that are being opened at the same time. */
const AT_ONCE = 200;

const sockets = new Set<Socket>();
let told = new Set<Socket>();
let connected = 0;
let resumed = 0;
let events = 0;
let lastAt = 0;

function count(chunk: Buffer, what: Buffer): number {
  let found = 0;
  for (let at = chunk.indexOf(what); at >= 0; at = chunk.indexOf(what, at + what.length)) found += 1;
  return found;
}

function open(port: number, request: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(request));
    let greeted = false;
    socket.on('data', (chunk) => {
      if (!greeted) {
        greeted = true;
        resolve();
      }
      connected += count(chunk, CONNECTED);
      resumed += count(chunk, RESUMED);
      const found = count(chunk, EVENT);
      if (found === 0) return;
      events += found;
      told.add(socket);
      lastAt = performance.timeOrigin + performance.now();
    });
    socket.on('error', reject);
    socket.on('close', () => sockets.delete(socket));
    sockets.add(socket);
  });
}

async function openAll(port: number, total: number, request: string, before: number): Promise<void> {
  let opened = 0;
  const worker = async () => {
    while (opened < total) {
      opened += 1;
      await open(port, request.replace('{n}', String(before + opened)));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

process.on('message', async (order: Order) => {
  if (order.do === 'open') await openAll(order.port, order.count, order.request, order.before);
  if (order.do === 'pause') for (const socket of sockets) socket.pause();
  if (order.do === 'resume') for (const socket of sockets) socket.resume();
  if (order.do === 'close') for (const socket of sockets) socket.destroy();
  if (order.do === 'forget') {
    told = new Set();
    events = 0;
    connected = 0;
    resumed = 0;
  }
  const report: Report = { open: sockets.size, connected, resumed, events, lastAt, told: told.size };
  process.send?.(report);
});

process.on('disconnect', () => process.exit());
