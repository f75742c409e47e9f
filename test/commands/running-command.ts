import { type ChildProcess, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { afterEach } from '@jest/globals';
import { CLI } from '../command-line.js';

/** A command that runs, and all that it has printed. */
export interface RunningCommand {
  readonly child: ChildProcess;
  readonly said: { readonly out: string; readonly err: string };
  /** Parses the lines that it has printed whole, each of them JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON
  lines(): any[];
}

/** Starts commands on a database beside the test: the server is in its process. Each test ends those that it started. */
export function useCommands(): (url: string, args: readonly string[]) => RunningCommand {
  const running: ChildProcess[] = [];
  afterEach(() => {
    for (const child of running.splice(0)) child.kill('SIGKILL');
  });
  return (url, args) => {
    const child = spawn(process.execPath, [CLI, ...args], {
      cwd: tmpdir(),
      env: { PATH: process.env.PATH, DATABASE_URL: url },
    });
    running.push(child);
    const said = { out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (text) => {
      said.out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said.err += text;
    });
    const whole = () => said.out.split('\n').slice(0, -1);
    return { child, said, lines: () => whole().map((line) => JSON.parse(line)) };
  };
}
