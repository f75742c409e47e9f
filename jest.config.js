/** @type {import('jest').Config} */
export default {
  preset: 'ts-jest/presets/default-esm',
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  // nodenext names the compiled file; ts-jest needs the source
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  globalSetup: '<rootDir>/test/global-setup.js',
  globalTeardown: '<rootDir>/test/global-teardown.js',
  // Each waits for conditions; a busy machine takes its time.
  testTimeout: 120_000,
  // A connection that a failed test has left must not keep `npm test` from ending.
  forceExit: true,
};
