import { connect, type Socket } from 'node:net';
import { ourStream } from './targets.js';

/** Opens a stream of ours on a bare socket, so that its reader costs little. @returns the socket once the stream has begun. */
export async function openRawStream(port: number, query: string): Promise<Socket> {
  const { path, headers } = await ourStream(port, query);
  const socket = connect(port, '127.0.0.1');
  socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\nAuthorization: ${headers?.Authorization}\r\n\r\n`);
  await new Promise((resolve) => socket.once('data', resolve));
  return socket;
}
