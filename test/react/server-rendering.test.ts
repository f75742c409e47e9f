import { expect, test } from '@jest/globals';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { useSSE } from '../../src/react/index.js';
import { useLiveQuery } from '../../src/react-query/index.js';
import { renderingServer } from '../client/rendering-server.js';

test('where a server renders pages, components say `idle`, and nothing is kept or asked for', async () => {
  const { server, service, expectNothingKept } = renderingServer();
  const Page = () => {
    const { status } = useSSE({ resource: 'a', scope: { x: 7 } }, () => {}, { service });
    const { data } = useLiveQuery(
      'a',
      { queryKey: ['a'], queryFn: async () => 1, initialData: 5 },
      { service, since: server.position },
    );
    return createElement('p', null, `${status} ${data}`);
  };
  for (let i = 0; i < 300; i += 1) {
    const app = createElement(QueryClientProvider, { client: new QueryClient() }, createElement(Page));
    expect(renderToString(app)).toBe('<p>idle 5</p>');
  }
  await expectNothingKept();
});
