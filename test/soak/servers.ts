import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.js';
import { NotificationFilter } from '../notification-filter.js';
import { TcpProxy, targetOf } from '../tcp-proxy.js';
import { until } from '../until.js';

/** One server, in a process of its own, and the network around it. */
export interface Server {
  readonly child: ChildProcess;
  /** As its clients reach it, through {@link Server.front}. */
  readonly url: string;
  readonly front: TcpProxy;
  /** Its way to Postgres. */
  readonly back: TcpProxy;
  /** On the way of its notifications. */
  readonly filter: NotificationFilter;
}

/** Several built servers on one database, as an operator runs them. */
export class Servers {
  readonly running: Server[] = [];
  /** What they have logged at the level error. */
  readonly errors: string[] = [];
  /** Exits that nobody asked for. */
  readonly crashes: string[] = [];
  readonly #expected = new Set<ChildProcess>();
  #leader: Server | undefined;

  /** @param databaseUrl asked for each connection that a server opens. */
  constructor(
    private readonly databaseUrl: () => string,
    private readonly env: Readonly<Record<string, string>>,
  ) {}

  urls = (): readonly string[] => this.running.map(({ url }) => url);

  /** The server that leads, as far as the logs say. */
  lead(): Server {
    return (this.#leader ?? this.running[0]) as Server;
  }

  async start(more: Readonly<Record<string, string>> = {}): Promise<Server> {
    const filter = new NotificationFilter();
    const back = await TcpProxy.open(() => targetOf(this.databaseUrl()), filter.newFilter);
    const child = spawn(process.execPath, [join(packageRoot, 'dist/src/cli.js'), 'serve'], {
      cwd: '/',
      env: {
        PATH: process.env.PATH,
        PORT: '0',
        HOST: '127.0.0.1',
        DATABASE_URL: back.through(this.databaseUrl()),
        ...this.env,
        ...more,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let own: string | undefined;
    let server: Server | undefined;
    let leads = false;
    let said = '';
    const listen = (chunk: Buffer) => {
      const lines = (said + chunk.toString()).split('\n');
      said = lines.pop() ?? '';
      for (const line of lines) {
        if (line.includes('"msg":"serving"')) own = JSON.parse(line).url;
        if (line.includes('this server leads')) {
          leads = true;
          this.#leader = server ?? this.#leader;
        }
        if (!line.startsWith('{') || line.includes('"level":50')) this.errors.push(line);
      }
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    child.on('exit', (code, signal) => {
      if (!this.#expected.has(child)) this.crashes.push(`exit ${code ?? signal}: ${this.errors.at(-1)}`);
    });
    await until(() => own !== undefined || child.exitCode !== null, 'a server to start');
    if (!own) throw new Error(`A server did not start: ${this.errors.join('\n')}`);
    const target = targetOf(own);
    const front = await TcpProxy.open(() => target);
    server = { child, front, back, filter, url: `http://127.0.0.1:${front.port}` };
    if (leads) this.#leader = server;
    this.running.push(server);
    return server;
  }

  /** Ends one with a signal, and waits for its end. */
  async end(server: Server, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.#expected.add(server.child);
    this.running.splice(this.running.indexOf(server), 1);
    if (this.#leader === server) this.#leader = undefined;
    const ended = once(server.child, 'exit');
    server.child.kill(signal);
    await ended;
    await Promise.all([server.front.close(), server.back.close()]);
  }

  async stop(): Promise<void> {
    for (const server of [...this.running]) await this.end(server, 'SIGTERM');
  }
}
