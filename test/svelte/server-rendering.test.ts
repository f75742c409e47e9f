import { expect, test } from '@jest/globals';
import { QueryClient } from '@tanstack/query-core';
import { compile } from 'svelte/compiler';
import { render } from 'svelte/server';
import { SSEService } from '../../src/client/index.js';
import { liveQuery, useSSE } from '../../src/svelte/index.js';
import { ScriptedServer } from '../client/scripted-server.js';

/** A component as a bundler would make it for a server, with what it imports handed over. */
async function componentOf(source: string) {
  const { js } = compile(source, { generate: 'server', name: 'Page' });
  const code = js.code.replace("import * as $ from 'svelte/internal/server';", '').replace('export default', 'return');
  // @ts-expect-error it has no types
  return new Function('$', code)(await import('svelte/internal/server'));
}

test('where a server renders pages, components say `idle`, and nothing is kept or asked for', async () => {
  const server = new ScriptedServer();
  // Of its own, with an absolute URL: Node could open its stream.
  const service = new SSEService({ url: 'http://server/api/events', getToken: () => 'token', fetch: server.fetch });
  const Page = await componentOf(`<script>
    let { follow } = $props();
    const live = follow();
  </script><p>{$live.status}</p>`);
  const follow = () => {
    liveQuery(new QueryClient(), { a: ['a'] }, { service });
    return useSSE({ resource: 'a', scope: { x: 7 } }, () => {}, { service });
  };
  for (let i = 0; i < 300; i += 1) expect(render(Page, { props: { follow } }).body).toContain('<p>idle</p>');
  expect(service.status).toBe('idle');
  expect(server.requests).toEqual([]);
  const off = service.on('b', () => {});
  for (let i = 0; i < 20 && server.requests.length === 0; i += 1) await new Promise(setImmediate);
  expect(server.requests[0]?.query.get('resources')).toBe('b');
  off();
  service.disconnect();
});
