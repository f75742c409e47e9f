// better-sse on node:http: one channel, broadcast to all.
import { createServer } from 'node:http';
import { createChannel, createSession } from 'better-sse';
import { servePeer } from './serve-peer.js';

const channel = createChannel();

servePeer(
  createServer(async (request, response) => {
    const session = await createSession(request, response);
    channel.register(session);
    session.push({ clientId: 'x' }, 'connected');
  }),
  (data) => channel.broadcast(data, 'table-update'),
);
