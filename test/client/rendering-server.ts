import { expect } from '@jest/globals';
import type { SSEService } from '../../src/client/index.js';
import { ScriptedServer } from './scripted-server.js';

/** A service in a server that renders pages, and a feed that it could reach. */
export interface RenderingServer {
  readonly server: ScriptedServer;
  readonly service: SSEService;
  /** Expects that the pages rendered so far asked for nothing and left no listener, then ends the service. */
  expectNothingKept(): Promise<void>;
}

/** Makes a service as a server would that renders pages. */
export function renderingServer(): RenderingServer {
  const server = new ScriptedServer();
  // Of its own, with an absolute URL: Node could open its stream.
  const service = server.service();
  return {
    server,
    service,
    expectNothingKept: async () => {
      expect(service.status).toBe('idle');
      expect(server.requests).toEqual([]);
      // Nobody listens: the next listener begins with a stream of its own topic alone.
      const off = service.on('b', () => {});
      for (let i = 0; i < 20 && server.requests.length === 0; i += 1) await new Promise(setImmediate);
      expect(server.requests[0]?.query.get('resources')).toBe('b');
      off();
      service.disconnect();
    },
  };
}
