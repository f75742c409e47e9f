/**
 * A process of its own that runs Postgres and stops it when the process that has started it is gone, however that went:
 * its IPC channel closes with it. Detached, so that a Ctrl-C in the terminal doesn't reach Postgres before the server
 * has let go of it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';

/** A message to the supervisor. */
export type Order =
  | {
      readonly do: 'start';
      readonly program: string;
      readonly args: readonly string[];
      readonly options: { uid?: number; gid?: number; cwd: string; env: Record<string, string> };
      /** The file of Postgres' log once it runs. */
      readonly logFile: string;
    }
  | { readonly do: 'log' }
  | { readonly do: 'stop' };

/** A message of the supervisor. */
export type Report =
  | { readonly event: 'started'; readonly pid: number }
  /** `log`: what Postgres said, as long as its log went nowhere else. */
  | { readonly event: 'ended'; readonly log: string };

/** A fast shutdown that takes longer than this, in ms, becomes an immediate one. */
const FAST_SHUTDOWN_MS = 10_000;

let postgres: ChildProcess | undefined;
let log = '';
let logFile: string | undefined;
let logStream: WriteStream | undefined;

process.on('message', (order: Order) => {
  if (order.do === 'start') {
    logFile = order.logFile;
    start(order.program, order.args, order.options);
  } else if (order.do === 'log' && logFile) {
    // Only now: a second start on the same folder fails, and must not touch the log of the first.
    logStream = createWriteStream(logFile, { flags: 'w', mode: 0o600 });
    logStream.on('error', () => {});
    logStream.write(log);
  } else if (order.do === 'stop') {
    stop();
  }
});
process.on('disconnect', stop);
process.on('SIGTERM', stop);
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});

function start(program: string, args: readonly string[], options: object): void {
  postgres = spawn(program, args, { ...options, stdio: ['ignore', 'ignore', 'pipe'] });
  postgres.stderr?.on('data', (chunk: Buffer) => {
    if (logStream) logStream.write(chunk);
    else log = (log + chunk.toString()).slice(-10_000);
  });
  postgres.on('spawn', () => report({ event: 'started', pid: postgres?.pid ?? 0 }));
  postgres.on('error', (error) => end(error.message));
  postgres.on('close', () => end(log));
}

function stop(): void {
  if (!postgres) process.exit(0);
  postgres.kill('SIGINT'); // fast shutdown
  setTimeout(() => postgres?.kill('SIGQUIT'), FAST_SHUTDOWN_MS).unref();
}

function end(said: string): void {
  report({ event: 'ended', log: said });
  process.exit(0);
}

function report(said: Report): void {
  if (process.connected) process.send?.(said);
}
