// SPDX-License-Identifier: MIT
// Front matter that is unusual, but found in the world: what each harness makes of it is asked, not
// written down here. NAME stands for a name of the placement's own. `breaks` marks what keeps
// OpenCode from starting when an agent has it, `command` when a command has it.

const bytes = (text) => Buffer.from(text, 'latin1');
const described = (value) => `name: NAME\ndescription: ${value}\n`;
const D = described('d');

/** Values of a description that are no plain text. */
const VALUES = {
  plain: 'Reviews code', colon: 'Use this agent when: code changed. Examples: user: "done" assistant: "ok"', 'colon-end': 'ends with a colon:',
  url: 'see http://x.y/z', time: 'at 10:30 each day', at: '@team asks', 'at-colon': '@team: asks', tick: '`npm test` runs', bang: '!important note',
  'bang-space': '! important', percent: '%20 of all', bracket: '[WIP] not done', 'bracket-colon': '[WIP] not: done', brace: '{x}', 'brace-text': '{name} is put in',
  list: '[x, y]', star: '*see below', bold: '**Bold** words', amp: '&foo words', 'amp-space': '& words', hash: '# nothing', 'hash-inside': 'words # no more', 'hash-word': 'issue#12',
  pipe: '| words', greater: '> words', question: '? words', 'question-word': '?words', dash: '- words', 'dash-word': '-words', comma: ', words', 'close-bracket': ']x', 'close-brace': '}x',
  equals: '= words', less: '<example>x</example>', apostrophe: "it's fine: really", 'quote-inside': 'say "hi" now', 'quote-colon': 'say "hi: you" now', 'quote-open': '"never closed',
  'quote-tail': '"first" and more', 'quote-colon-tail': '"first": more', 'single-bad': "'it's broken'", 'single-doubled': "'it''s fine'", escapes: '"one\\ntwo"', 'backslash-n': 'one\\ntwo',
  example: 'Use it.\\n\\n<example>\\nContext: x\\nuser: "hi"\\n</example>', dots: '...', dashes: 'before --- behind', emdash: 'first — then: last', emoji: '🎉 party: time', unicode: 'grüße: 日本語',
  number: '42', float: '1.50', octal: '010', hex: '0x1F', big: '12345678901234567890', inf: '.inf', underscore: '1_000', yes: 'yes', true: 'true', null: 'null', tilde: '~', empty: '',
  'empty-quoted': '""', blanks: '"  "', clock: '10:30', 'clock-seconds': '10:30:45', 'clock-fraction': '10:30:45.5', 'clock-early': '08:30', 'clock-not': '10:75', date: '2024-01-01', tag: '!!str 42', multiline: 'first\n  second line\n  third', 'multiline-colon': 'first: x\n  second line', 'multiline-bad': 'first\nsecond without a key',
  folded: '>\n  folded\n  text', literal: '|\n  literal\n  text', 'literal-strip': '|-\n  literal: x\n  text', sequence: '\n  - a\n  - b', map: '\n  a: b', twice: 'one\ndescription: two',
  'line-separator': 'a\u2028b', 'no-break-space': '\u00a0d', control: 'a\x07b', escape: 'a\x1b[31mb',
};
const OPENCODE_BREAKS = new Set(['bracket-colon', 'brace', 'list', 'hash', 'question', 'number', 'float', 'octal', 'hex', 'big', 'inf', 'underscore', 'true', 'null', 'tilde', 'empty', 'clock', 'clock-seconds', 'clock-fraction', 'date',
  'sequence', 'map']);

/** Other keys, and the block as a whole. */
const BLOCKS = {
  'no-description': { yaml: 'name: NAME\n' },
  tools: { yaml: `${D}tools: Read, Grep\n`, breaks: true },
  'tools-list': { yaml: `${D}tools: [Read, Grep]\n`, breaks: true },
  'tools-star': { yaml: `${D}tools: *\n` },
  'tools-open': { yaml: `${D}tools: [Read, Grep\n` },
  'tools-map': { yaml: `${D}tools:\n  read: true\n` },
  'tools-tab': { yaml: `${D}tools:\n\t- Read\n`, breaks: true },
  'model-alias': { yaml: `${D}model: sonnet\n` },
  'model-id': { yaml: `${D}model: anthropic/claude-opus-4\n` },
  'model-number': { yaml: `${D}model: 4\n`, breaks: true, command: true },
  'model-null': { yaml: `${D}model:\n`, breaks: true, command: true },
  'model-inherit': { yaml: `${D}model: inherit\n` },
  'model-blanks': { yaml: `${D}model: " opus "\n` },
  'mode-unknown': { yaml: `${D}mode: main\n`, breaks: true },
  'mode-subagent': { yaml: `${D}mode: subagent\n` },
  hidden: { yaml: `${D}hidden: true\n` },
  disabled: { yaml: `${D}disable: true\n` },
  color: { yaml: `${D}color: blue\n`, breaks: true },
  'color-hex': { yaml: `${D}color: "#ff0000"\n` },
  'temperature-text': { yaml: `${D}temperature: hot\n`, breaks: true },
  'permission-word': { yaml: `${D}permission: maybe\n`, breaks: true },
  'permission-map': { yaml: `${D}permission:\n  edit: deny\n  bash:\n    "git *": allow\n` },
  'steps-zero': { yaml: `${D}steps: 0\n`, breaks: true },
  unknown: { yaml: `${D}something: else\n` },
  comment: { yaml: `# first\n${D}# last\n` },
  'blank-lines': { yaml: '\nname: NAME\n\ndescription: d\n\n' },
  crlf: { yaml: 'name: NAME\r\ndescription: d\r\nmodel: haiku\r\n', eol: '\r\n' },
  tabs: { yaml: 'name:\tNAME\ndescription:\td\n' },
  'tab-first': { yaml: '\tname: NAME\n\tdescription: d\n' },
  'space-first': { yaml: '  name: NAME\n  description: d\n' },
  'quoted-keys': { yaml: '"name": NAME\n"description": d\n' },
  'spaced-keys': { yaml: 'name : NAME\ndescription : d\n' },
  'no-space': { yaml: 'name:NAME\ndescription:d\n' },
  'upper-keys': { yaml: 'Name: NAME\nDescription: d\n' },
  json: { yaml: '{"name": "NAME", "description": "d"}\n' },
  text: { yaml: 'just some text\n' },
  'only-list': { yaml: '- a\n- b\n' },
  indented: { yaml: `${D}  model: opus\n` },
  directive: { yaml: `%YAML 1.2\n${D}` },
  'document-end': { yaml: `${D}...\n` },
  merge: { yaml: `base: &b\n  x: y\n${D}<<: *b\n` },
  anchor: { yaml: 'name: NAME\ndescription: &a d\nmodel: *a\n' },
  'anchor-missing': { yaml: `${D}model: *nothing\n` },
  'unknown-tag': { yaml: `${D}x: !thing y\n` },
  latin1: { yaml: bytes('name: NAME\ndescription: caf\xe9\n') },
  nul: { yaml: bytes('name: NAME\ndescription: a\0b\n') },
  large: { yaml: `name: NAME\ndescription: d\nnotes: |\n${'  more than 64 KiB of notes\n'.repeat(3000)}` },
  deep: { yaml: `${D}x:\n${Array.from({ length: 12 }, (_, i) => `${'  '.repeat(i + 1)}a:\n`).join('')}` },
  'name-blanks': { yaml: 'name: NAME of two words\ndescription: d\n' },
  'name-true': { yaml: 'name: true\ndescription: d\n', breaks: true },
  'name-list': { yaml: 'name: [NAME, null, [x, 1.50]]\ndescription: d\n', breaks: true },
  'name-map': { yaml: 'name: {NAME: x}\ndescription: d\n', breaks: true },
  'name-quoted': { yaml: 'name: "NAME"\ndescription: d\n' },
  'name-comment': { yaml: 'name: NAME # who\ndescription: d\n' },
  'name-unicode': { yaml: 'name: grün-NAME\ndescription: d\n' },
};

/** Frames: the file as a whole, with %s for what is between the dashes. */
const FRAMES = {
  bom: '\ufeff---\n%s---\nBody.\n', 'blank-before': '\n---\n%s---\nBody.\n', 'space-before': ' ---\n%s---\nBody.\n', 'comment-before': '<!-- x -->\n---\n%s---\nBody.\n', 'four-dashes': '----\n%s----\nBody.\n',
  'four-at-end': '---\n%s----\nBody.\n', 'indented-end': '---\n%s  ---\nBody.\n', 'dots-at-end': '---\n%s...\nBody.\n', 'not-closed': '---\n%s', 'no-body': '---\n%s---\n', 'no-line-end': '---\n%s---',
  'trailing-blanks': '---  \n%s--- \t\nBody.\n', 'language-yaml': '---yaml\n%s---\nBody.\n',
};

/** The table: key, bytes of a file for a name, whether OpenCode breaks. */
export const ODDITIES = [
  ...Object.entries(VALUES).map(([key, value]) => ({ key, yaml: described(value), breaks: OPENCODE_BREAKS.has(key), command: OPENCODE_BREAKS.has(key) })),
  ...Object.entries(BLOCKS).map(([key, b]) => ({ key, command: false, breaks: false, ...b })),
  ...Object.entries(FRAMES).map(([key, frame]) => ({ key, yaml: D, frame, breaks: false, command: false })),
];

const replaceAll = (buffer, name) => Buffer.from(buffer.toString('latin1').replaceAll('NAME', Buffer.from(name).toString('latin1')), 'latin1');

/** The bytes of the oddity's file; `name` stands where a name stands. */
export function fileOf(oddity, name) {
  const eol = oddity.eol ?? '\n';
  const yaml = replaceAll(Buffer.isBuffer(oddity.yaml) ? oddity.yaml : Buffer.from(oddity.yaml), name);
  const [before, after] = (oddity.frame ?? `---${eol}%s---${eol}Body of it.${eol}`).split('%s');
  return Buffer.concat([Buffer.from(before), yaml, Buffer.from(after)]);
}
