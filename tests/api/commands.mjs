// SPDX-License-Identifier: MIT
// Every command of the program that talks to a server, and words with which it does so: for tests that are about all
// of them. A new command belongs in here; the tests fail without.
import { execFileSync } from 'node:child_process';
import { KARTA } from './lib.mjs';

export const S = `sess_${'0'.repeat(22)}`;
/** Words for each command; null: its test has them. @APP and @PLAIN are folders, @ENV is a .env file. */
export const WORDS = {
  deploy: ['--dir', '@PLAIN', '--dirty', '--unpin', 'shop'], releases: [], 'releases list': [], 'releases show': ['v1'], 'releases diff': ['v1', 'v2'],
  'releases download': ['--output', 'x.tar.gz', 'v1'], 'releases activate': ['v1'], 'releases pin': [], 'releases unpin': [],
  rollback: ['--to', 'v1'], config: [], 'config list': [], 'config get': ['NAME'], 'config set': ['A=1'], 'config unset': ['A'], 'config edit': [], 'config import': ['@ENV'],
  logs: [], projects: [], 'projects list': [], 'projects show': [], 'projects create': ['shop'], 'projects add': ['@APP', 'disk'], 'projects default': [],
  'projects rename': ['shop', 'store'], 'projects delete': ['--confirm', 'shop', 'shop'], 'projects link': ['--force', 'shop'],
  'projects bind': ['--repo', 'https://github.com/a/b', 'shop'], 'projects releases': [], open: ['--print'], chat: ['--session', S],
  send: ['--session', S, 'hello'], sessions: [], 'sessions list': [], 'sessions show': [S], 'sessions approvals': [S], 'sessions tail': [S],
  'sessions export': ['--format', 'markdown', S], 'sessions delete': ['--yes', S], 'sessions rename': [S, 'x'], login: ['--no-browser'], logout: null, whoami: [],
  keys: ['--all'], 'keys list': ['--all'], 'keys create': ['ci'], 'keys revoke': ['key_1'], audit: [], 'audit list': [], 'audit verify': [],
  // These read a folder, and theirs is hostile too.
  init: ['--no-remote', '@APP'], agents: ['--dir', '@APP'], doctor: ['--dir', '@APP'],
};
/** Commands that talk to no server as a client, and why. */
export const NOT_HERE = {
  dev: 'is a server itself; what it serves to a terminal is chat', run: 'serves itself; what it prints is what send prints', serve: 'is a server itself', 'serve keys': 'a folder of the server', 'serve keys create': 'a folder of the server',
  'serve backup': 'a folder of the server', 'serve restore': 'a folder of the server', fsck: 'a folder of the server', help: 'its own words', version: 'its own words', upgrade: 'its own words, or a version of a few letters', completion: 'its own words',
};

/** The commands of the program's own table, sub-commands as "keys list". */
export const commandTable = () => execFileSync(KARTA, ['help', '--dump'], { encoding: 'utf8' }).split('\n')
  .filter((l) => l.startsWith('command\t')).map((l) => l.split('\t')[1]);
