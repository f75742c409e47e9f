#!/usr/bin/env node
// This file stands alone, in syntax that old versions read: the imports of the others would fail there with a riddle.
const required = [20, 19];
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`pg-change-feed needs Node.js ${required.join('.')} or later, and this is ${process.versions.node}.`);
  process.exit(1);
}
const { runCommandLine } = await import('./command-line.js');
await runCommandLine(process.argv);

export {};
