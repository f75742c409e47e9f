// Puts the package pg-change-feed-client together, in dist/client-package: what a page needs, without the server's
// dependencies. npm cannot install a part of a package's dependencies, and as optional peers each server would have to name
// a dozen of them.
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';

const TARGET = 'dist/client-package';
const manifest = JSON.parse(await readFile('package.json', 'utf8'));
/** Folders of src/ that run in a browser; the first is the package's main entry. */
const FOLDERS = Object.keys(manifest.exports)
  .filter((name) =>
    ['./client', './query', './react', './react-query', './svelte', './vue', './vue-query'].includes(name),
  )
  .map((name) => name.slice(2));

await rm(TARGET, { recursive: true, force: true });
await mkdir(TARGET, { recursive: true });
for (const folder of FOLDERS) await cp(`dist/src/${folder}`, `${TARGET}/${folder}`, { recursive: true });
/** The files that they share with the server: its positions, its scopes, and the types of changes. */
const SHARED = ['change', 'scope', 'feed/log/position'];
for (const file of SHARED)
  for (const end of ['js', 'd.ts']) await cp(`dist/src/${file}.${end}`, `${TARGET}/${file}.${end}`);
await cp('LICENSE', `${TARGET}/LICENSE`);
await cp('docs/browser.md', `${TARGET}/README.md`);
const pick = (names, from) => Object.fromEntries(names.filter((name) => from[name]).map((name) => [name, from[name]]));
const entry = (folder) => ({ types: `./${folder}/index.d.ts`, default: `./${folder}/index.js` });
const { version, license, type, sideEffects, dependencies, peerDependencies, peerDependenciesMeta } = manifest;
const peers = Object.keys(peerDependencies).filter((name) => name !== 'pino-pretty');
await writeFile(
  `${TARGET}/package.json`,
  `${JSON.stringify(
    {
      name: 'pg-change-feed-client',
      version,
      description: 'The browser client of pg-change-feed, a change feed for PostgreSQL.',
      license,
      type,
      sideEffects,
      exports: Object.fromEntries(
        FOLDERS.map((folder) => [folder === 'client' ? '.' : `./${folder}`, entry(folder)]).concat([
          ['./package.json', './package.json'],
        ]),
      ),
      dependencies: pick(['eventsource-parser'], dependencies),
      peerDependencies: pick(peers, peerDependencies),
      peerDependenciesMeta: pick(peers, peerDependenciesMeta),
    },
    null,
    2,
  )}\n`,
);
