import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** The listeners of node:http on a connection: by name, for it does not export them. */
const LISTENERS: ReadonlySet<string> = new Set([
  'bound socketOnData',
  'bound socketOnEnd',
  'bound socketOnClose',
  'bound socketOnDrain',
  'socketOnError',
  'socketOnTimeout',
  'onSocketResume',
  'onSocketPause',
]);
const EVENTS = ['data', 'end', 'close', 'drain', 'error', 'timeout', 'resume', 'pause'] as const;

/** The streams on connections of each server. */
const streams = new WeakMap<Server, Set<Socket>>();

/** The state that node:http keeps on a connection. */
interface Parsed {
  readonly parser?: object | null;
  readonly server?: Server;
}

/**
 * Takes a connection away from node:http for good, as it does itself for an upgrade to another protocol: its parser and its
 * listeners are half of the memory of an idle stream: docs/performance.md. Whatever the client sends from now on
 * is dropped unread.
 *
 * @returns false where nothing was done: node:http does not have the connection any more, or this version of Node has other
 * listeners.
 */
export function detachFromHttp(socket: Socket): boolean {
  const { parser, server } = socket as Parsed;
  if (!parser || !server) return false;
  const found = EVENTS.flatMap((event) => socket.listeners(event).map((listener) => ({ event, listener })));
  const own = found.filter(({ listener }) => LISTENERS.has(listener.name));
  const close = own.find(({ listener }) => listener.name === 'bound socketOnClose')?.listener;
  if (!close || new Set(own.map(({ listener }) => listener.name)).size < LISTENERS.size) return false;
  for (const { event, listener } of own) socket.off(event, listener as () => void);
  // As at the connection's end: it takes the parser off the socket.
  close();
  socket.on('error', ignore);
  socket.on('end', endAsWell);
  socket.resume();
  remember(socket, server);
  return true;
}

function ignore(): void {}

function endAsWell(this: Socket): void {
  this.end();
}

/** Lets `closeAllConnections()` of a server close streams, too: it knows connections by their parsers. */
function remember(socket: Socket, server: Server): void {
  const open = streams.get(server) ?? new Set();
  if (!streams.has(server)) {
    streams.set(server, open);
    const close = server.closeAllConnections;
    server.closeAllConnections = () => {
      close.call(server);
      for (const stream of open) stream.destroy();
    };
  }
  open.add(socket);
  socket.once('close', forget);
}

function forget(this: Socket): void {
  const { server } = this as Parsed;
  if (server) streams.get(server)?.delete(this);
}
