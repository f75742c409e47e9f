import { expect, test } from '@jest/globals';
import { QueryClient } from '@tanstack/query-core';
import { compile } from 'svelte/compiler';
import { render } from 'svelte/server';
import { liveQuery, useSSE } from '../../src/svelte/index.js';
import { renderingServer } from '../client/rendering-server.js';

/** A component as a bundler would make it for a server, with what it imports handed over. */
async function componentOf(source: string) {
  const { js } = compile(source, { generate: 'server', name: 'Page' });
  const code = js.code.replace("import * as $ from 'svelte/internal/server';", '').replace('export default', 'return');
  // @ts-expect-error it has no types
  return new Function('$', code)(await import('svelte/internal/server'));
}

test('where a server renders pages, components say `idle`, and nothing is kept or asked for', async () => {
  const { service, expectNothingKept } = renderingServer();
  const Page = await componentOf(`<script>
    let { follow } = $props();
    const live = follow();
  </script><p>{$live.status}</p>`);
  const follow = () => {
    liveQuery(new QueryClient(), { a: ['a'] }, { service });
    return useSSE({ resource: 'a', scope: { x: 7 } }, () => {}, { service });
  };
  for (let i = 0; i < 300; i += 1) expect(render(Page, { props: { follow } }).body).toContain('<p>idle</p>');
  await expectNothingKept();
});
