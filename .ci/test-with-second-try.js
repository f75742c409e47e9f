// Runs an npm script of tests, and what failed of it a second time: `node .ci/test-with-second-try.js SCRIPT [ARGUMENTS]`.
// What passes then is flaky: it is named loudly, and does not fail the run. What fails twice does.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

/** More failed files than this are no accident of one test: they fail the run at once. */
const MOST_FLAKY_FILES = 10;

const [script, ...rest] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'test-results-'));

/** Runs the script. @returns its exit code, and the files with the names of the tests that failed. */
function run(npmArguments, jestArguments) {
  const outputFile = join(folder, 'results.json');
  rmSync(outputFile, { force: true });
  const all = ['run', ...npmArguments, script, '--', ...jestArguments, '--json', `--outputFile=${outputFile}`];
  const { status } = spawnSync('npm', all, { stdio: 'inherit' });
  const results = existsSync(outputFile) ? JSON.parse(readFileSync(outputFile, 'utf8')).testResults : [];
  const failed = results.filter((file) => file.status === 'failed');
  return { passed: status === 0, failed };
}

/** One line for each failed test, or for the file where it failed outside of them. */
function linesOf(failed) {
  return failed.flatMap(({ name, assertionResults }) => {
    const tests = assertionResults.filter((test) => test.status === 'failed').map((test) => test.fullName);
    return (tests.length > 0 ? tests : ['(the file)']).map((test) => `${relative('.', name)}: ${test}`);
  });
}

function say(headline, lines) {
  const stars = '*'.repeat(100);
  console.log(['', stars, headline, ...lines.map((line) => `  ${line}`), stars, ''].join('\n'));
}

let code = 0;
const first = run([], rest);
if (!first.passed) {
  const lines = linesOf(first.failed);
  // Without a name of what failed there is nothing to repeat: the set-up, a timeout of the machine, a crash of jest.
  if (lines.length === 0 || first.failed.length > MOST_FLAKY_FILES) {
    say(`FAILED, and is not tried again: npm run ${script}`, lines);
    code = 1;
  } else {
    say(`FAILED ONCE, and is tried again: npm run ${script}`, lines);
    const files = first.failed.map(({ name }) => name);
    const options = rest.filter((argument) => argument.startsWith('-'));
    const second = run(['--ignore-scripts'], [...options, '--runTestsByPath', ...files]);
    code = second.passed ? 0 : 1;
    if (second.passed) say('FLAKY: failed once and passed the second time', lines);
    else say('FAILED TWICE', linesOf(second.failed));
  }
}
rmSync(folder, { recursive: true, force: true });
process.exit(code);
