import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/** Ticks of /proc/PID/stat in a second. */
const TICKS = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** A server under test, in a process of its own. */
export interface ServerProcess {
  readonly pid: number;
  readonly port: number;
  /** Writes a line to its standard input. */
  say(line: string): void;
  stop(): Promise<void>;
}

/** How a server is started. */
export interface StartOptions {
  /** The CPU it may use; any unless given. */
  readonly cpu?: number | undefined;
  readonly env?: Readonly<Record<string, string>>;
  /** The line of its output that says it serves, with its port as the first group. */
  readonly ready: RegExp;
}

/** Starts a program, and waits until it says that it serves. */
export async function startProcess(
  command: readonly string[],
  { cpu, env, ready }: StartOptions,
): Promise<ServerProcess> {
  const [program = '', ...args] = cpu === undefined ? command : ['taskset', '-c', String(cpu), ...command];
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: 'pipe' });
  const port = await new Promise<number>((resolve, reject) => {
    let said = '';
    const listen = (chunk: Buffer) => {
      said += chunk.toString();
      const match = ready.exec(said);
      if (match) resolve(Number(match[1]));
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${command.join(' ')} ended with ${code}: ${said}`)));
  });
  // taskset replaces itself by the program, so the pid is the program's.
  return {
    pid: child.pid as number,
    port,
    say: (line) => child.stdin.write(`${line}\n`),
    stop: () => endProcess(child),
  };
}

/** Ends a child process, by force where it does not go. */
export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await ended;
  clearTimeout(late);
}

/** CPU time that a process, with all its threads, has used so far, in µs. */
export function cpuTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return ((Number(fields[11]) + Number(fields[12])) / TICKS) * 1e6;
}

/** Memory of a process that is resident, in bytes. */
export function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1]) * 1024;
}
