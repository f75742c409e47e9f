import Router from '@koa/router';

/** `GET /`: what is where, for a person who opens the server's address. */
export function indexRoutes(): Router {
  const router = new Router();
  router.get('/', (ctx) => {
    ctx.body = {
      name: 'pg-change-feed',
      endpoints: {
        'GET /api/events?resources=*': 'the feed, as Server-Sent Events',
        'POST /api/events/subscribe': '{"clientId","resource"}',
        'POST /api/events/unsubscribe': '{"clientId","resource"}',
        'GET /api/veranstaltungen': 'events to register for',
        'GET /api/anmeldungen': 'registrations for them',
        'GET /healthz': 'the process answers',
        'GET /readyz': 'the database and the listener',
      },
    };
  });
  return router;
}
