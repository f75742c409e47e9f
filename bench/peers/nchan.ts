import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ServerProcess, startProcess } from '../processes.js';

/** Where Debian's libnginx-mod-nchan puts it. */
const MODULE = '/usr/lib/nginx/modules/ngx_nchan_module.so';

/** Whether nginx with nchan is here. */
export const hasNchan = existsSync(MODULE);

/** nginx with nchan in one process. `GET /events` reads, `POST /publish` publishes. */
export async function startNchan(cpu?: number): Promise<ServerProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-nchan-'));
  const port = await freePort();
  const path = join(folder, 'nginx.conf');
  await writeFile(
    path,
    `load_module ${MODULE};
daemon off; master_process off; user root; pid ${folder}/pid;
worker_rlimit_nofile 20000;
events { worker_connections 18000; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  nchan_shared_memory_size 256M;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /events { nchan_subscriber eventsource; nchan_channel_id all; nchan_subscriber_first_message newest; }
    location = /publish { nchan_publisher; nchan_channel_id all; nchan_message_timeout 5s; }
  }
}
`,
  );
  // It says nothing when it serves, unless its log is that talkative.
  const server = await startProcess(
    ['nginx', '-p', folder, '-c', path, '-e', 'stderr', '-g', 'error_log stderr notice;'],
    { cpu, ready: /using the "epoll" event method/ },
  );
  return {
    ...server,
    port,
    stop: async () => {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
