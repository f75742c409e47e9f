import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { packageRoot } from '../src/package-root.js';
import { freePort } from './free-port.js';
import { until } from './until.js';

/** Whether nginx and openssl are installed. */
export const nginxInstalled = spawnSync('nginx', ['-v']).status === 0 && spawnSync('openssl', ['version']).status === 0;

/** An nginx that runs. */
export interface Nginx {
  /** `https://127.0.0.1:…`, with a certificate that it has signed itself. */
  readonly url: string;
  /** What it has logged of requests so far. */
  accessLog(): Promise<string>;
  stop(): Promise<void>;
}

/**
 * Runs a real nginx with ops/nginx.conf, but for addresses and paths, before servers.
 * @param folder of its own, for its files.
 * @param change what else is different: what stands in the file, and what instead of it.
 */
export async function startNginx(folder: string, servers: readonly string[], change: Record<string, string> = {}) {
  const port = await freePort();
  const [certificate, key, log] = ['cert.pem', 'key.pem', 'access.log'].map((name) => join(folder, name));
  const subject = ['-subj', '/CN=localhost', '-days', '2', '-keyout', `${key}`, '-out', `${certificate}`];
  spawnSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...subject]);
  const replaced: Record<string, string> = {
    'server 127.0.0.1:3000;': servers.map((url) => `server ${new URL(url).host};`).join('\n'),
    'listen 443 ssl http2;': `listen 127.0.0.1:${port} ssl http2;`,
    '/etc/ssl/certs/feed.example.org.pem': `${certificate}`,
    '/etc/ssl/private/feed.example.org.key': `${key}`,
    '/var/log/nginx/pg-change-feed.log': `${log}`,
    ...change,
  };
  let site = await readFile(join(packageRoot, 'ops/nginx.conf'), 'utf8');
  for (const [from, to] of Object.entries(replaced)) {
    if (!site.includes(from)) throw new Error(`ops/nginx.conf has no ${from}`);
    site = site.replace(from, to);
  }
  await writeFile(join(folder, 'site.conf'), site);
  const main = join(folder, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  await writeFile(
    main,
    `${process.getuid?.() === 0 ? 'user root;' : ''} daemon off; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
    events {} http { ${temporary.join(' ')} include ${folder}/site.conf; }`,
  );
  const child: ChildProcess = spawn('nginx', ['-p', folder, '-c', main, '-e', join(folder, 'error.log')], {
    stdio: 'inherit',
  });
  const listens = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
      socket.on('connect', () => socket.destroy());
    });
  await until(listens, 'nginx');
  const nginx: Nginx = {
    url: `https://127.0.0.1:${port}`,
    accessLog: () => readFile(`${log}`, 'utf8'),
    stop: async () => {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await exited;
    },
  };
  return nginx;
}
