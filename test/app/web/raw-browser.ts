import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

// Chromium by its own protocol (https://chromedevtools.github.io/devtools-protocol/). Playwright makes every tab believe that
// it is visible and has the focus; here a tab is hidden when another is in front of it, as in a person's browser.

type Answer = Record<string, unknown>;

/** A tab. */
export interface RawTab {
  /** Puts it in front of the others. */
  show(): Promise<void>;
  /** Runs an expression in the page, and returns what it resolves to. */
  evaluate<Result>(expression: string): Promise<Result>;
  send(method: string, parameters?: Answer): Promise<Answer>;
  close(): Promise<void>;
}

/** A browser with one window. */
export class RawBrowser {
  readonly #process: ChildProcess;
  readonly #profile: string;
  readonly #pending = new Map<number, { resolve(answer: Answer): void; reject(error: Error): void }>();
  #next = 1;

  private constructor(child: ChildProcess, profile: string) {
    this.#process = child;
    this.#profile = profile;
    let rest = '';
    // Messages end with NUL.
    (child.stdio[4] as Readable).setEncoding('utf8').on('data', (text: string) => {
      const messages = (rest + text).split('\0');
      rest = messages.pop() ?? '';
      for (const message of messages) this.#take(JSON.parse(message));
    });
    child.once('exit', () => {
      for (const { reject } of this.#pending.values()) reject(new Error('the browser has ended'));
    });
  }

  /** Starts it, with a profile of its own. */
  static async start(executablePath: string): Promise<RawBrowser> {
    const profile = await mkdtemp(join(tmpdir(), 'pg-change-feed-browser-'));
    const args = [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--remote-debugging-pipe',
      `--user-data-dir=${profile}`,
      'about:blank',
    ];
    const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] as const;
    return new RawBrowser(spawn(executablePath, args, { stdio: [...stdio] }), profile);
  }

  /** Opens a tab in front of the others, or behind them. */
  async open(url: string, { background = false } = {}): Promise<RawTab> {
    const { targetId } = await this.#send('Target.createTarget', { url, background });
    const { sessionId } = await this.#send('Target.attachToTarget', { targetId, flatten: true });
    const send = (method: string, parameters: Answer = {}) => this.#send(method, parameters, sessionId as string);
    return {
      send,
      show: async () => void (await this.#send('Target.activateTarget', { targetId })),
      close: async () => void (await this.#send('Target.closeTarget', { targetId })),
      evaluate: async <Result>(expression: string) => {
        const given = { expression, awaitPromise: true, returnByValue: true };
        const { result, exceptionDetails } = await send('Runtime.evaluate', given);
        if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
        return (result as { value: Result }).value;
      },
    };
  }

  async close(): Promise<void> {
    const ended = once(this.#process, 'exit');
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill('SIGKILL');
      await ended;
    }
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  #send(method: string, params: Answer, sessionId?: string): Promise<Answer> {
    const id = this.#next;
    this.#next += 1;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      (this.#process.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  #take({ id, result, error }: { id?: number; result?: Answer; error?: { message: string } }): void {
    if (id === undefined) return;
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (error) pending?.reject(new Error(error.message));
    else pending?.resolve(result ?? {});
  }
}
