// What one writes first with Koa: a PassThrough for each client as the body, and a write to each.
import { createServer } from 'node:http';
import { PassThrough } from 'node:stream';
import Koa from 'koa';
import { servePeer } from './serve-peer.js';

const clients = new Set<PassThrough>();
const app = new Koa();
app.silent = true;
app.use((ctx) => {
  const body = new PassThrough();
  ctx.req.setTimeout(0);
  ctx.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  ctx.body = body;
  clients.add(body);
  body.on('close', () => clients.delete(body));
  body.write('event: connected\ndata: {"clientId":"x"}\n\n');
});

servePeer(createServer(app.callback()), (data) => {
  const text = `event: table-update\ndata: ${JSON.stringify(data)}\n\n`;
  for (const body of clients) body.write(text);
});
