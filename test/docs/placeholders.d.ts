// What the examples of the pages leave to the reader.
import type Router from '@koa/router';
import type { QueryClient } from '@tanstack/query-core';
import type Koa from 'koa';
import type { Kysely } from 'kysely';
import type { Caller, FeedWithStreams, Logger } from 'pg-change-feed';

interface User {
  readonly id: string;
  readonly tables: readonly string[];
  readonly sessionEndsAt: Date;
}

declare global {
  // The server's
  const app: Koa;
  const router: Router;
  const feed: FeedWithStreams;
  // biome-ignore lint/suspicious/noExplicitAny: the reader's database
  const db: Kysely<any>;
  const logger: Logger;
  const row: Record<string, unknown>;
  const jwt: (options: { secret: string; algorithms: string[] }) => Koa.Middleware;
  const JWT_SECRET: string;
  const SESSION_SECRET: string;
  const fetchToken: (host: string, port: number, user: string) => Promise<string>;
  const userOfSession: (id: string | undefined) => Promise<User | undefined>;
  // The page's
  const dataTableRef: { readonly value?: { readonly query: { refetch(): Promise<unknown> } } };
  const fetchVeranstaltungen: () => Promise<readonly { readonly name: string }[]>;
  const refetch: (change?: unknown) => void;
  const queryClient: QueryClient;
  const myToken: string;
  const getToken: () => Promise<string>;
  const fetchAnotherToken: () => Promise<string>;
}

declare module 'express-session' {
  interface SessionData {
    user: Caller;
  }
}
