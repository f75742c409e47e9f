import Router from '@koa/router';

/**
 * The demo sign-in: a token for anybody who asks. For a database that holds nothing but the demo's own rows.
 *
 * @param token makes one; without it they only say that there is no demo.
 */
export function demoRoutes(token: (() => Promise<string>) | undefined): Router {
  const router = new Router({ prefix: '/api/demo', sensitive: true });
  router.get('/', (ctx) => {
    ctx.body = { demo: token !== undefined };
  });
  if (!token) return router;
  router.post('/token', async (ctx) => {
    ctx.set('Cache-Control', 'no-store');
    ctx.body = { token: await token() };
  });
  return router;
}
