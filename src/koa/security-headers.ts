import helmet from 'helmet';
import type { Middleware } from 'koa';

/**
 * Sets headers that keep a page from running or loading anything of other origins, and other pages from framing it. They
 * allow what a build by Vite needs, and no more: its own files and small images as `data:`, no inline script or style.
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
    // A URL may contain a token.
    referrerPolicy: { policy: 'no-referrer' },
    // The proxy that ends TLS decides that: it binds the whole host.
    strictTransportSecurity: false,
  });
  return (ctx, next) =>
    new Promise((resolve, reject) => {
      set(ctx.req, ctx.res, (error?: unknown) => (error ? reject(error) : resolve(next())));
    });
}
