import { expect, test } from '@jest/globals';
import { QueryClient, VueQueryPlugin } from '@tanstack/vue-query';
import { createSSRApp, h } from 'vue';
import { renderToString } from 'vue/server-renderer';
import { useSSE } from '../../src/vue/index.js';
import { useLiveQuery } from '../../src/vue-query/index.js';
import { renderingServer } from '../client/rendering-server.js';

test('where a server renders pages, components say `idle`, and nothing is kept or asked for', async () => {
  const { server, service, expectNothingKept } = renderingServer();
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
  await expectNothingKept();
});
