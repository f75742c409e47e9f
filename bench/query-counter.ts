import { connect, createServer, type Socket } from 'node:net';

/** A way to Postgres that counts what goes through it. */
export interface QueryCounter {
  readonly url: string;
  /** The texts of the statements that were sent since the last call. */
  take(): string[];
  close(): void;
}

/**
 * Stands between a server and its database, and counts statements: the frontend's messages Query and Bind
 * (https://www.postgresql.org/docs/current/protocol-message-formats.html). Without TLS.
 */
export async function countQueries(databaseUrl: string): Promise<QueryCounter> {
  const target = new URL(databaseUrl);
  let texts: string[] = [];
  const proxy = createServer((client) => {
    const server = connect(Number(target.port || 5432), target.hostname);
    const prepared = new Map<string, string>();
    const listen = readMessages((type, body) => {
      const [first = '', second = ''] = body.toString('utf8').split('\0', 2);
      if (type === 'Q') texts.push(first);
      // Parse: the name of a prepared statement, then its text. Bind: a portal, then the name of its statement
      if (type === 'P') prepared.set(first, second);
      if (type === 'B') texts.push(prepared.get(second) ?? '');
    });
    client.on('data', (chunk: Buffer) => {
      listen(chunk);
      server.write(chunk);
    });
    server.pipe(client);
    const end = (one: Socket, other: Socket) =>
      one.on('close', () => other.destroy()).on('error', () => other.destroy());
    end(client, server);
    end(server, client);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = proxy.address();
  const own = new URL(databaseUrl);
  own.hostname = '127.0.0.1';
  own.port = String(typeof address === 'object' ? address?.port : '');
  return {
    url: own.href,
    take: () => {
      const taken = texts;
      texts = [];
      return taken;
    },
    close: () => proxy.close(),
  };
}

/** Cuts what the frontend sends into messages; the first has no type. */
function readMessages(onMessage: (type: string, body: Buffer) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  let started = false;
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      const head = started ? 1 : 0;
      if (rest.length < head + 4) return;
      const length = rest.readInt32BE(head);
      if (rest.length < head + length) return;
      if (started) onMessage(String.fromCharCode(rest[0] ?? 0), rest.subarray(head + 4, head + length));
      started = true;
      rest = rest.subarray(head + length);
    }
  };
}
