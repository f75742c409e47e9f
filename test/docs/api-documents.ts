import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseYaml } from '@redocly/openapi-core';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { packageRoot } from '../../src/package-root.js';

/** The documents that machines read: paths from the root. */
export const apiDocuments = ['docs/openapi.yaml', 'docs/asyncapi.yaml'] as const;

// biome-ignore lint/suspicious/noExplicitAny: a document of any form
type Node = any;

const ajv = new Ajv2020({ strict: false, allErrors: true });
const parsed = new Map<string, Node>();
for (const path of apiDocuments) {
  const document = parseYaml(readFileSync(join(packageRoot, path), 'utf8'));
  parsed.set(path, document);
  ajv.addSchema(closed(document), path);
}

/** Returns a document, parsed. */
export function documentOf(path: (typeof apiDocuments)[number]): Node {
  return parsed.get(path);
}

/** An answer of a server. */
export interface GivenAnswer {
  readonly method: string;
  /** As the document writes it. */
  readonly path: string;
  readonly status: number;
  readonly headers: Headers;
  /** The body, where it is JSON. */
  readonly json?: unknown;
}

/** Compares an answer with docs/openapi.yaml. @returns what is wrong; a status that is not listed is. */
export function problemsOfAnswer({ method, path, status, headers, json }: GivenAnswer): string[] {
  const at = `/paths/${escaped(path)}/${method.toLowerCase()}/responses/${status}`;
  const pointer = followed('docs/openapi.yaml', at);
  const response = valueAt('docs/openapi.yaml', pointer);
  if (!response) return [`${method} ${path} ${status} is not documented`];
  const type = headers.get('Content-Type')?.split(';')[0] ?? '';
  if (!response.content[type]) return [`${type} is not documented`];
  const wrong = Object.keys(response.headers ?? {}).flatMap((name) => {
    const header = valueAt('docs/openapi.yaml', followed('docs/openapi.yaml', `${pointer}/headers/${name}`));
    const value = headers.get(name);
    if (value === null) return header.required ? [`${name} is missing`] : [];
    return ajv.validate(header.schema, value) ? [] : [`${name}: ${value}`];
  });
  if (type !== 'application/json') return wrong;
  return [...wrong, ...problemsOf('docs/openapi.yaml', `${pointer}/content/${escaped(type)}/schema`, json)];
}

/** Compares an event of a stream with docs/asyncapi.yaml. @returns what is wrong. */
export function problemsOfEvent({
  event,
  id,
  data,
}: {
  event: string;
  id?: string | undefined;
  data: unknown;
}): string[] {
  const at = `/components/messages/${event}`;
  if (!valueAt('docs/asyncapi.yaml', at)) return [`${event} is not documented`];
  return [
    ...problemsOf('docs/asyncapi.yaml', `${at}/headers`, { event, ...(id !== undefined && { id }) }),
    ...problemsOf('docs/asyncapi.yaml', `${at}/payload`, data),
  ];
}

function problemsOf(path: string, pointer: string, value: unknown): string[] {
  const validate = ajv.getSchema(`${path}#${pointer}`);
  if (!validate) throw new Error(`${path} has no schema at ${pointer}`);
  validate(value);
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  );
}

/** Forbids fields that a schema does not name: clients ignore them, but a document has to name all. */
function closed(node: Node): Node {
  if (Array.isArray(node)) return node.map(closed);
  if (typeof node !== 'object' || node === null) return node;
  const copy = Object.fromEntries(Object.entries(node).map(([name, value]) => [name, closed(value)]));
  const isClosable = node.type === 'object' && node.properties && !('additionalProperties' in node);
  return isClosable ? { ...copy, additionalProperties: false } : copy;
}

function valueAt(path: string, pointer: string): Node {
  const names = pointer.split('/').slice(1);
  return names.reduce(
    (node, name) => node?.[name.replaceAll('~1', '/').replaceAll('~0', '~')],
    parsed.get(path) as Node,
  );
}

/** The pointer, or where its $ref leads. */
function followed(path: string, pointer: string): string {
  const reference = valueAt(path, pointer)?.$ref as string | undefined;
  return reference ? followed(path, reference.slice(1)) : pointer;
}

function escaped(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
