// SPDX-License-Identifier: MIT
// The real OpenCode against scripted models: what it said over ACP and what clients saw must agree.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OPENCODE, ROOT, existsSync, harnessEnv, seconds, startKarta, startModel, tempDir, writeFileSync, writeFiles } from './lib.mjs';
import { Differential, PNG, blocks, chosen, differences, teeOf } from '../lib/differential.mjs';
import { expectAcp } from '../lib/expect-acp.mjs';

const skip = existsSync(OPENCODE) ? false : 'OpenCode is not installed for this processor';

const tool = (name, input = {}) => ({ tool: name, input });
const bash = (command) => tool('bash', { command, description: 'd' });
const task = (prompt) => tool('task', { description: 'd', prompt, subagent_type: 'general' });
const then = (words) => `[[text:${words}]]`;
const drop = { fault: 'drop', times: 1 };
const pause = { sleep: 2500 };
const once = Array(4).fill('approve_once');
const saying = (words) => (e) => e.type === 'text' && e.data.part.text.includes(words);
const running = (e) => e.type === 'tool_use' && e.data.state === 'running';

/* `reply`: the words that must be seen in the end, whatever the lines say. */
const BEHAVIOURS = [
  // Words.
  { name: 'words', text: then('Some words that come in pieces.') },
  { name: 'a slow model whose pieces repeat', reply: ['110 euros'], text: blocks({ text: '1' }, pause, { text: '1' }, pause, { text: '0 euros' }) },
  { name: 'short pieces that repeat', reply: ['hahaha'], text: blocks({ text: ['ha', 'ha', 'ha'] }) },
  { name: 'an emoji cut in two', reply: ['grin \u{1f600} done'], text: blocks({ text: ['grin \ud83d', '\ude00 done'] }) },
  { name: 'pieces without words', reply: ['ab'], text: blocks({ text: ['', 'a', '', 'b', ''] }) },
  { name: 'odd characters', text: blocks({ text: ['a\u0000b', '\u001b[31mred', '\u2028\u2029', 'x\r\n\ty ', '\ufeff\u200b\u202e', ' \ud800 alone'] }) },
  { name: 'blank pieces first', text: blocks({ text: ['\n', '\n', 'The answer.'] }) },
  { name: 'a thousand small pieces', text: blocks({ text: 'abc ', repeat: 250, n: 1000 }) },
  { name: 'chunks nobody knows', reply: ['onetwo'], text: blocks({ text: 'one' }, { chunk: { mystery: 'x' } }, { chunk: { content: null } }, { text: 'two' }) },
  { name: 'no words', text: '[[empty]]' },
  { name: 'cut at the limit', text: '[[maxtokens:This is cut]]' },
  { name: 'a filtered reply', text: '[[refusal:I will not]]' },

  // Thoughts.
  { name: 'thoughts between words', thinking: true, text: blocks({ thinking: 'First I think. ' }, { text: 'Then I say.' }, { thinking: 'More thoughts.' }, { text: 'The end.' }) },
  { name: 'thoughts nobody asked for', reply: ['loud'], text: blocks({ thinking: 'quiet' }, { text: 'loud' }) },
  { name: 'a thought before a call', thinking: true, text: blocks({ thinking: 'I must look.' }, bash('echo seen')) + then('ok') },

  // Model calls that break.
  { name: 'cut before words', reply: ['here'], text: `${blocks(drop, { text: 'here' })} 1` },
  { name: 'cut in words', reply: ['I look. and see'], text: `${blocks({ text: ['I ', 'look. '] }, drop, { text: 'and see' })} 2` },
  { name: 'an error in words', reply: ['I look. and see'], text: `${blocks({ text: ['I ', 'look. '] }, { fault: 'errstream', times: 1 }, { text: 'and see' })} 3` },
  { name: 'cut in words that repeat', reply: ['hahaha!'], text: `${blocks({ text: ['ha', 'ha', 'ha'] }, drop, { text: '!' })} 4` },
  { name: 'cut in a thought', thinking: true, text: `${blocks({ thinking: 'I think of much. ' }, drop, { text: 'So it is.' })} 5` },
  { name: 'cut after a call had begun', text: `${blocks({ text: ['I ', 'look. '] }, bash('echo seen'), { sleep: 50 }, drop)}${then('end')} 6` },
  { name: 'too many requests, once', reply: ['back'], text: `[[error:429*1]]${then('back')} 7` },
  { name: 'a bad request', text: '[[error:400]]' },
  { name: 'a refused key', text: '[[error:401]]' },

  // Tools.
  { name: 'words, a call, words', reply: ['I look. ', 'I looked.'], text: blocks({ text: 'I look. ' }, bash('echo seen')) + then('I looked.') },
  { name: 'words behind a call in one model call', reply: ['I look. ', 'after', 'end'], text: blocks({ text: 'I look. ' }, bash('touch a'), { text: 'after' }) + then('end'), inputs: once },
  { name: 'parallel calls', text: blocks(bash('echo one'), bash('echo two'), bash('echo three')) + then('all three') },
  { name: 'an input in many pieces', text: blocks({ ...bash('echo "ünï \u{1f600} \\u00e9"'), pieces: 40 }) + then('ok') },
  { name: 'numbers in an input', text: blocks({ tool: 'bash', pieces: ['{"command":"echo x","description":"d","timeout":', '60000,"big":12345678901234567890,"f":1e-7}'] }) + then('ok') },
  { name: 'an empty input', text: blocks(tool('bash')) + then('ok'), inputs: once },
  { name: 'an input that is no JSON', text: blocks({ tool: 'bash', pieces: ['{"command": "echo'] }) + then('ok'), inputs: once },
  { name: 'a tool that is not there', text: blocks(tool('frobnicate', { a: [1, { b: null }] })) + then('ok') },
  { name: 'a call that fails', text: blocks(tool('read', { filePath: 'nothing.txt' })) + then('ok') },
  { name: 'a command that fails', text: blocks(bash('echo out; echo err >&2; exit 3')) + then('ok'), inputs: once },
  { name: 'odd bytes in a result', text: blocks(bash("echo; printf 'a\\377b\\000c\\033[31mred\\r\\n\\303'")) + then('ok'), inputs: once },
  { name: 'a file elsewhere', text: blocks(tool('read', { filePath: '/etc/hostname' })) + then('ok'), inputs: ['deny'] },
  { name: 'an image in a result', text: blocks(tool('read', { filePath: 'dot.png' })) },
  { name: 'a picture of a server', text: blocks(tool('toy_picture')) + then('ok') },
  { name: 'blocks of every kind', text: blocks(tool('toy_many')) + then('ok') },
  { name: 'a server\'s tool that fails', text: blocks(tool('toy_fail')) + then('ok') },
  { name: 'a server that asks', text: blocks(tool('toy_form')) + then('ok'), inputs: ['deny'] },
  { name: 'a written file', text: blocks(tool('write', { filePath: 'x.txt', content: 'hello\n' })) + then('written'), inputs: once },
  { name: 'an edited file', text: blocks(tool('read', { filePath: 'x.txt' })) + blocks(tool('edit', { filePath: 'x.txt', oldString: 'hello', newString: 'bye' })) + then('edited'), inputs: once },
  { name: 'things to do', text: blocks(tool('todowrite', { todos: [{ content: 'one', status: 'in_progress', priority: 'high', id: '1' }] })) + then('ok') },
  { name: 'a sub-agent', text: blocks(task(`${blocks(bash('echo sub'))}${then('sub done')}`)) + then('main done') },

  // Questions and rules.
  { name: 'a denied call', text: blocks(bash('touch no')) + then('denied'), inputs: ['deny'] },
  { name: 'calls of the same kind', text: blocks(bash('touch b')) + blocks(bash('touch b')) + then('both'), inputs: ['approve_session'] },
  { name: 'a rule that denies', text: blocks(bash('rm x')) + then('so be it') },

  { name: 'a plan', session: 'plan', create: { permission_mode: 'plan' }, text: blocks({ text: 'A plan.' }, tool('write', { filePath: 'planned.txt', content: 'x' })) + then('planned'), inputs: once },

  // Interrupts.
  { name: 'interrupted in words', text: `${then('slow words here')} {{delay=100}} {{n=300}}`, interrupt: saying('slow') },
  { name: 'interrupted in a tool', text: blocks({ text: 'I sleep.' }, bash('echo; sleep 30')) + then('no'), inputs: once, interrupt: (e) => e.type === 'status' && e.data.state === 'input_resolved' },
  { name: 'interrupted in a question', text: blocks({ text: 'I ask.' }, bash('touch never')) + then('no'), interrupt: (e) => e.type === 'input_required' },
  { name: 'words after interrupts', text: then('alive') },

  // A harness that dies.
  { name: 'killed in words', text: `${then('slow words here')} {{delay=100}} {{n=300}}`, kill: saying('slow') },
  { name: 'words after it died', text: then('alive') },

  // Commands.
  { name: 'a command of the application', text: '/hi bob' },
  { name: 'a command that is none', text: '/nosuch thing' },
  { name: 'a path', text: '/etc/hosts is a file' },

  // Sizes, in the end: OpenCode sends all that was said with every call to the model.
  { name: 'a long result', text: blocks(bash('echo; seq 1 20000')) + then('ok'), inputs: once },
  { name: 'a reply of 1.2 MB', text: blocks({ text: 'word ', repeat: 250000, n: 20 }) },
];

function writeApp(dir) {
  writeFiles(dir, { 'AGENTS.md': 'You are a test.\n', 'karta.toml': 'name = "bot"\n[harness]\ntype = "opencode"\n',
    '.opencode/command/hi.md': '---\ndescription: says hi\n---\n[[text:hi from the command]] $ARGUMENTS\n',
    'opencode.json': JSON.stringify({ mcp: { toy: { type: 'local', command: [process.execPath, `${ROOT}/tests/lib/mcp-server.mjs`] } } }) });
  writeFileSync(`${dir}/dot.png`, PNG);
}

test('OpenCode', { skip, ...seconds(150) }, async (t) => {
  const model = await startModel(t);
  const dir = tempDir(t, 'opencode');
  const tee = teeOf(t, OPENCODE);
  writeApp(dir);
  const env = { ...harnessEnv(model, tempDir(t, 'home')), KARTA_OPENCODE: tee.program };
  const config = JSON.parse(env.OPENCODE_CONFIG_CONTENT);
  config.permission.bash = { '*': 'ask', 'echo *': 'allow', 'rm *': 'deny' };
  /* A long reply is no reason to make the conversation shorter: the model call for that falls into its words. */
  for (const m of Object.values(config.provider.standin.models)) m.limit.context = 4000000;
  env.OPENCODE_CONFIG_CONTENT = JSON.stringify(config);
  const differential = new Differential(await startKarta(t, dir, { args: ['--warm', '0'], env }), model, tee.dir);

  for (const b of chosen(BEHAVIOURS)) {
    await t.test(b.name, { todo: b.todo }, async () => {
      const played = await differential.play({ session: 'main', ...b });
      assert.deepEqual(differences(b, played, expectAcp), []);
    });
  }
});
