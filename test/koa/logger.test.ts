import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../src/package-root.js';

const logger = pathToFileURL(join(packageRoot, 'dist/src/http/logger.js'));
const program = `import { createLogger } from '${logger}'; createLogger('info').info({ client: 'c1' }, 'stream opened')`;

test('to a pipe or a file the log goes as JSON, a line for each', () => {
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  expect(JSON.parse(stdout)).toMatchObject({ level: 30, client: 'c1', msg: 'stream opened' });
});

// util-linux' script(1) gives the program a terminal.
const withTerminal = spawnSync('script', ['--version']).status === 0 ? test : test.skip;

withTerminal('on a terminal it is made readable', () => {
  const command = `'${process.execPath}' --input-type=module -e "${program}"`;
  const { stdout } = spawnSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8' });
  expect(stdout).toContain('stream opened');
  expect(stdout).toMatch(/INFO.*stream opened.*client.*c1/s);
  expect(stdout).not.toContain('{');
});

test('writes all lines that wait when the process exits, by itself or by an error', () => {
  const many = (end: string) =>
    `import { createLogger } from '${logger}'; const log = createLogger('info');
     for (let i = 0; i < 2000; i += 1) log.info({ i }, 'x'.repeat(100)); ${end}`;
  for (const end of ['process.exit(3);', "throw new Error('broken');", '']) {
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', many(end)], { encoding: 'utf8' });
    expect(stdout.trimEnd().split('\n')).toHaveLength(2000);
  }
});
