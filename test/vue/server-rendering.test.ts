import { expect, test } from '@jest/globals';
import { QueryClient, VueQueryPlugin } from '@tanstack/vue-query';
import { createSSRApp, h } from 'vue';
import { renderToString } from 'vue/server-renderer';
import { SSEService } from '../../src/client/index.js';
import { useSSE } from '../../src/vue/index.js';
import { useLiveQuery } from '../../src/vue-query/index.js';
import { ScriptedServer } from '../client/scripted-server.js';

test('where a server renders pages, components say `idle`, and nothing is kept or asked for', async () => {
  const server = new ScriptedServer();
  // Of its own, with an absolute URL: Node could open its stream.
  const service = new SSEService({ url: 'http://server/api/events', getToken: () => 'token', fetch: server.fetch });
  const page = {
    setup() {
      const { status } = useSSE({ resource: 'a', scope: { x: 7 } }, () => {}, { service });
      const { data } = useLiveQuery(
        'a',
        { queryKey: ['a'], queryFn: async () => 1, initialData: 5 },
        { service, since: server.position },
      );
      return () => h('p', `${status.value} ${data.value}`);
    },
  };
  for (let i = 0; i < 300; i += 1) {
    const app = createSSRApp(page).use(VueQueryPlugin, { queryClient: new QueryClient() });
    expect(await renderToString(app)).toBe('<p>idle 5</p>');
  }
  expect(service.status).toBe('idle');
  expect(server.requests).toEqual([]);
  // Nobody listens: the next listener begins with a stream of its own topic alone.
  const off = service.on('b', () => {});
  for (let i = 0; i < 20 && server.requests.length === 0; i += 1) await new Promise(setImmediate);
  expect(server.requests[0]?.query.get('resources')).toBe('b');
  off();
  service.disconnect();
});
