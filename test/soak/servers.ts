import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.js';
import { until } from '../until.js';

/** One server, in a process of its own. */
export interface Server {
  readonly child: ChildProcess;
  readonly url: string;
}

/** Several built servers on one database, as an operator runs them. */
export class Servers {
  readonly running: Server[] = [];
  /** What they have logged at the level error. */
  readonly errors: string[] = [];
  /** Exits that nobody asked for. */
  readonly crashes: string[] = [];
  readonly #expected = new Set<ChildProcess>();

  constructor(private readonly env: Readonly<Record<string, string>>) {}

  urls = (): readonly string[] => this.running.map(({ url }) => url);

  async start(more: Readonly<Record<string, string>> = {}): Promise<Server> {
    const child = spawn(process.execPath, [join(packageRoot, 'dist/src/cli.js'), 'serve'], {
      cwd: '/',
      env: { PATH: process.env.PATH, PORT: '0', HOST: '127.0.0.1', ...this.env, ...more },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let url: string | undefined;
    let said = '';
    const listen = (chunk: Buffer) => {
      const lines = (said + chunk.toString()).split('\n');
      said = lines.pop() ?? '';
      for (const line of lines) {
        if (line.includes('"msg":"serving"')) url = JSON.parse(line).url;
        if (!line.startsWith('{') || line.includes('"level":50')) this.errors.push(line);
      }
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    child.on('exit', (code, signal) => {
      if (!this.#expected.has(child)) this.crashes.push(`exit ${code ?? signal}: ${this.errors.at(-1)}`);
    });
    await until(() => url !== undefined || child.exitCode !== null, 'a server to start');
    if (!url) throw new Error(`A server did not start: ${this.errors.join('\n')}`);
    const server = { child, url };
    this.running.push(server);
    return server;
  }

  /** Ends one with a signal, and waits for its end. @returns how long that took, in ms. */
  async end(server: Server, signal: 'SIGKILL' | 'SIGTERM'): Promise<number> {
    const begun = performance.now();
    this.#expected.add(server.child);
    this.running.splice(this.running.indexOf(server), 1);
    const ended = once(server.child, 'exit');
    server.child.kill(signal);
    await ended;
    return performance.now() - begun;
  }

  async stop(): Promise<void> {
    for (const server of [...this.running]) await this.end(server, 'SIGTERM');
  }
}
