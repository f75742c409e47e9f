import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../src/package-root.js';

/** The built command line of the library. */
export const CLI = join(packageRoot, 'dist/src/cli.js');
/** The built command line of the application: `npm start`, `npm run feed`. */
export const APPLICATION = join(packageRoot, 'dist/src/app/cli.js');

/** A program that continues, and what it has printed. */
export interface RunningProgram {
  readonly child: ChildProcess;
  readonly said: () => string;
}

/** Runs programs in one folder, with PATH and the given variables as their whole environment. */
export class CommandLine {
  readonly #children: ChildProcess[] = [];

  /** @param folder where they run: its `.env` counts. */
  constructor(readonly folder: string) {}

  /** Runs a built script to its end, as a user does. */
  run(script: string, args: string[], env: Record<string, string> = {}) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], {
      cwd: this.folder,
      env: { PATH: process.env.PATH, ...env },
      encoding: 'utf8',
    });
    return { status, stdout, stderr };
  }

  /** Starts a program that continues, and collects what it prints. */
  start(command: string, args: string[], env: Record<string, string> = {}): RunningProgram {
    const child = spawn(command, args, {
      cwd: this.folder,
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.push(child);
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        said += chunk.toString();
      });
    }
    return { child, said: () => said };
  }

  /** Kills what was started. */
  stop(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }
}
