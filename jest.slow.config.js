import base from './jest.config.js';

/**
 * The tests that take minutes or the whole machine, one after the other: the soak, the floods, the packed tarball.
 * @type {import('jest').Config}
 */
export default { ...base, testRegex: ['\\.slow\\.test\\.ts$'], maxWorkers: 1 };
