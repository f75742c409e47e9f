// npm run soak -- --minutes N [--faults REGEX]: the soak for about N minutes, a third of them without faults.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, faults: { type: 'string', default: '' } },
});
if (!/^\d{1,4}$/.test(values.minutes)) {
  console.error('--minutes: expected a whole number');
  process.exit(1);
}
const jest = ['--experimental-vm-modules', '--no-warnings', 'node_modules/jest/bin/jest.js'];
const { status } = spawnSync(process.execPath, [...jest, '--config', 'jest.slow.config.js', 'test/soak'], {
  stdio: 'inherit',
  env: { ...process.env, SOAK_MINUTES: values.minutes, SOAK_FAULTS: values.faults },
});
process.exit(status ?? 1);
