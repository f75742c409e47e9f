// node:http without a framework: a write to each response.
import { createServer, type ServerResponse } from 'node:http';
import { servePeer } from './serve-peer.js';

const clients = new Set<ServerResponse>();

servePeer(
  createServer((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
    response.write('event: connected\ndata: {"clientId":"x"}\n\n');
    clients.add(response);
    response.on('close', () => clients.delete(response));
  }),
  (data) => {
    const text = `event: table-update\ndata: ${JSON.stringify(data)}\n\n`;
    for (const response of clients) response.write(text);
  },
);
