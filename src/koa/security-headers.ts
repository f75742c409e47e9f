import helmet from 'helmet';
import type { Middleware } from 'koa';

/**
 * Headers that keep a page of ours from running or loading anything that isn't ours, and others from framing it.
 * What a build by Vite needs, and no more: its own files, no inline script or style, small images as `data:`.
 */
export function securityHeaders(): Middleware {
  const set = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        fontSrc: ["'self'", 'data:'],
        objectSrc: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
      },
    },
    xFrameOptions: { action: 'deny' },
    // A token may stand in a URL.
    referrerPolicy: { policy: 'no-referrer' },
    // For who ends TLS to say, before us: it binds the whole host.
    strictTransportSecurity: false,
  });
  return (ctx, next) =>
    new Promise((resolve, reject) => {
      set(ctx.req, ctx.res, (error?: unknown) => (error ? reject(error) : resolve(next())));
    });
}
