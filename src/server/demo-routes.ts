import Router from '@koa/router';

/** The demo sign-in: a token for anybody who asks. For a database that holds nothing but the demo's own rows. */
export function demoRoutes(token: () => Promise<string>): Router {
  const router = new Router({ prefix: '/api/demo' });
  router.get('/', (ctx) => {
    ctx.body = { demo: true };
  });
  router.post('/token', async (ctx) => {
    ctx.set('Cache-Control', 'no-store');
    ctx.body = { token: await token() };
  });
  return router;
}
