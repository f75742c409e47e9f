import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** The end of a program. */
export interface EndedProgram {
  /** Its exit code; null where a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end. Unlike spawnSync it lets a server in this process serve meanwhile: a server that stands still
 * loses its sessions and its clients.
 * @param input what the program reads. @throws where it cannot be started.
 */
export async function runProgram(
  command: string,
  args: readonly string[],
  { input = '', ...options }: { cwd?: string; env?: NodeJS.ProcessEnv; input?: string } = {},
): Promise<EndedProgram> {
  const child = spawn(command, args, options);
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
    });
  }
  child.stdin.on('error', () => {}); // it may end before it has read all
  child.stdin.end(input);
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, ...said };
}
