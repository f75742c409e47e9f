#!/usr/bin/env node
// It checks the version before it imports anything, in syntax that old versions read: other files would fail there with a riddle.
const required = [20, 19];
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`pg-change-feed needs Node.js ${required.join('.')} or later, and this is ${process.versions.node}.`);
  process.exit(1);
}
const { runCommandLine } = await import('./command-line.js');
await runCommandLine(process.argv);

export {};
