// No HTTP server at all: the floor of what Node can do. One buffer for all, one write for each socket.
import { createServer, type Socket } from 'node:net';
import { servePeer } from './serve-peer.js';

const clients = new Set<Socket>();
const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n';

servePeer(
  createServer((socket) => {
    socket.once('data', () => {
      socket.write(`${head}event: connected\ndata: {"clientId":"x"}\n\n`);
      clients.add(socket);
    });
    socket.on('close', () => clients.delete(socket));
    socket.on('error', () => socket.destroy());
  }),
  (data) => {
    const bytes = Buffer.from(`event: table-update\ndata: ${JSON.stringify(data)}\n\n`);
    for (const socket of clients) socket.write(bytes);
  },
);
