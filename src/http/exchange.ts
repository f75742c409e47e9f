import type { Writable } from 'node:stream';
import type { Parameters } from './parameters.js';

/** A request and the way to answer it, the same for every server and framework. */
export interface Exchange {
  readonly method: string;
  /** The path without the query, for messages. */
  readonly path: string;
  /** The parameters of the URL. */
  readonly parameters: Parameters;
  /** Returns a header of the request; undefined where it has none of this name. */
  header(name: string): string | undefined;
  /**
   * Reads the body as JSON.
   * @throws {HttpError} unsupported_media_type, payload_too_large, or bad_request.
   */
  json(): Promise<unknown>;
  /** True once the client has left. */
  readonly isOver: boolean;
  /** Makes a signal that is aborted when the client leaves, or has its answer. */
  ending(): AbortSignal;
  /**
   * Begins a stream: sends 200 with these headers and those that the application has set.
   * @returns the writable that takes the stream's bytes. It is closed when the client leaves.
   */
  openStream(headers: Readonly<Record<string, string>>): Writable;
}

/** An answer that is a text. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** Makes an answer of JSON, which no cache keeps. @param body what goes out as JSON, or its text. */
export function jsonAnswer(
  body: object | string,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return {
    status,
    headers: { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store', ...headers },
    text: typeof body === 'string' ? body : JSON.stringify(body),
  };
}
