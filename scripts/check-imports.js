// Keeps the application and the library apart: src/app and migrations/ import the library by its public names alone, as any
// other application would (the embedded Postgres, which is in no package, aside), and the library imports nothing of theirs.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';

const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));
const publicNames = Object.keys(exports).map((name) => posix.join('pg-change-feed', name));
const SPECIFIER = /(?:from|import|import\()\s*['"]([^'"]+)['"]/g;

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', 'src', 'migrations'], {
  encoding: 'utf8',
}).split('\n');
for (const file of files.filter((name) => /\.(ts|vue)$/.test(name))) {
  const ofApplication = /^(src\/app|migrations)\//.test(file);
  for (const [, specifier] of readFileSync(file, 'utf8').matchAll(SPECIFIER)) {
    const target = specifier.startsWith('.') ? posix.join(posix.dirname(file), specifier) : specifier;
    const allowed = ofApplication
      ? target.startsWith('src/') || target.startsWith('migrations/')
        ? /^(src\/app|src\/embedded|migrations)\//.test(target)
        : !target.startsWith('pg-change-feed') || publicNames.includes(target)
      : !/^(src\/app|migrations)\//.test(target) && !target.startsWith('pg-change-feed');
    if (allowed) continue;
    console.error(`${file}: may not import ${specifier}`);
    process.exitCode = 1;
  }
}
