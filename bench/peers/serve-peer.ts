import type { Server } from 'node:net';

/** Serves a peer on a free port, and hands what the bench sends to it, as JSON, to `publish`. */
export function servePeer(server: Server, publish: (data: unknown) => void): void {
  process.on('SIGTERM', () => process.exit(0));
  process.stdin.setEncoding('utf8').on('data', (line: string) => publish(JSON.parse(line)));
  server.listen(0, '127.0.0.1', 4096, () => {
    const address = server.address();
    console.log(`serving on ${typeof address === 'object' ? address?.port : address}`);
  });
}
