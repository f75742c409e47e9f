import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { packageRoot } from '../../src/package-root.js';
import type { CodeBlock } from './pages.js';

/** Where the blocks would be, were they files. */
const FOLDER = join(packageRoot, 'test/docs/blocks');

/** The names that a reader imports, each with the source behind it: `exports` of package.json, which lead to dist/. */
function importedNames(): Record<string, string[]> {
  const { name, exports } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8'));
  const paths: Record<string, string[]> = {};
  for (const [path, target] of Object.entries<{ types?: string }>(exports)) {
    const source = target.types?.replace(/^\.\/dist\//, '').replace(/\.d\.ts$/, '.ts');
    if (source) paths[`${name}${path.slice(1)}`] = [join(packageRoot, source)];
  }
  return paths;
}

/** "Type … is not assignable": JavaScript cannot declare the types of its own functions' parameters. */
const NOT_ASSIGNABLE = [2322, 2345];

/**
 * Checks the types of blocks of ts and js against the package's own, each block as a module. What they leave to the
 * reader is declared in placeholders.d.ts. In JavaScript names, imports, members and options are checked.
 * @returns the errors, each with the page and the line.
 */
export function typeErrorsOf(blocks: readonly CodeBlock[]): string[] {
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    types: ['node'],
    paths: importedNames(),
    noEmit: true,
    skipLibCheck: true,
    moduleDetection: ts.ModuleDetectionKind.Force,
    allowJs: true,
  };
  const parsed = new Map<string, ts.SourceFile | undefined>();
  return [
    ...errorsOf(blocks, 'ts', { ...options, strict: true, exactOptionalPropertyTypes: true }, parsed),
    ...errorsOf(blocks, 'js', { ...options, strict: false, checkJs: true }, parsed),
  ];
}

/** @param parsed the files that both languages import: to parse them takes as long as all the rest. */
function errorsOf(
  blocks: readonly CodeBlock[],
  language: 'ts' | 'js',
  options: ts.CompilerOptions,
  parsed: Map<string, ts.SourceFile | undefined>,
): string[] {
  const files = new Map<string, CodeBlock>();
  for (const block of blocks) {
    if (block.language === language)
      files.set(join(FOLDER, `${block.page.replace('/', '-')}-${block.line}.${language}`), block);
  }
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (name) => files.has(name) || fileExists(name);
  host.readFile = (name) => files.get(name)?.code ?? readFile(name);
  host.getSourceFile = (name, target, ...rest) => {
    const block = files.get(name);
    if (!parsed.has(name)) {
      parsed.set(name, block ? ts.createSourceFile(name, block.code, target) : getSourceFile(name, target, ...rest));
    }
    return parsed.get(name);
  };
  const program = ts.createProgram([join(packageRoot, 'test/docs/placeholders.d.ts'), ...files.keys()], options, host);
  return Array.from(files).flatMap(([name, block]) => {
    const file = program.getSourceFile(name);
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
    const counted = language === 'ts' ? found : found.filter(({ code }) => !NOT_ASSIGNABLE.includes(code));
    return counted.map((diagnostic) => {
      const at = ts.getLineAndCharacterOfPosition(file as ts.SourceFile, diagnostic.start ?? 0).line;
      return `${block.page}:${block.line + at}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n')}`;
    });
  });
}
