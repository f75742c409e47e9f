/**
 * The tests that may run side by side: all but `*.slow.test.ts`, see jest.slow.config.js.
 * @type {import('jest').Config}
 */
export default {
  preset: 'ts-jest/presets/default-esm',
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testRegex: ['(?<!\\.slow)\\.test\\.ts$'],
  // They mostly wait, for Postgres and for sockets: on two cores four workers take a quarter of one worker's time.
  maxWorkers: 4,
  // nodenext names the compiled file; ts-jest needs the source
  moduleNameMapper: {
    '^(\\.{1,2}/.*)\\.js$': '$1',
    '^pg-change-feed$': '<rootDir>/src/index.ts',
    '^pg-change-feed/server$': '<rootDir>/src/server.ts',
  },
  globalSetup: '<rootDir>/test/global-setup.js',
  globalTeardown: '<rootDir>/test/global-teardown.js',
  // Each waits for conditions, a minute at the most for each: see test/until.ts.
  testTimeout: 240_000,
  // A connection that a failed test has left must not keep `npm test` from ending.
  forceExit: true,
};
