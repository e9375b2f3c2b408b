// SPDX-License-Identifier: MIT
// The real Claude Code against scripted models: what it said on its stdio and what clients saw must agree.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLAUDE, ROOT, existsSync, harnessEnv, seconds, startKarta, startModel, tempDir, writeFileSync, writeFiles } from './lib.mjs';
import { Differential, PNG, blocks, chosen, differences, teeOf } from '../lib/differential.mjs';
import { expectClaude, splitClaude } from '../lib/expect-claude.mjs';

const skip = existsSync(CLAUDE) ? false : 'Claude Code is not installed for this processor';

const tool = (name, input = {}) => ({ tool: name, input });
const bash = (command, more = {}) => tool('Bash', { command, description: 'd', ...more });
const task = (prompt) => tool('Task', { description: 'd', prompt, subagent_type: 'general-purpose' });
const then = (words) => `[[text:${words}]]`;
const drop = { fault: 'drop', times: 1 };
const question = tool('AskUserQuestion', { questions: [{ question: 'Which colour?', header: 'Colour', multiSelect: false,
  options: [{ label: 'Red', description: 'r' }, { label: 'Blue', description: 'b' }] }] });
const once = Array(4).fill('approve_once');
const answered = (d) => ({ decision: 'answer', answers: { [d.questions[0].question]: 'Blue' } });
const saying = (words) => (e) => e.type === 'text' && e.data.part.text.includes(words);
const running = (e) => e.type === 'tool_use' && e.data.state === 'running';

/* What the application's hook does, by a word in the prompt or command (settings.json, hook.sh). */
const HOOK = `#!/bin/sh
case "$1 $(cat)" in
prompt*REFUSE-PROMPT*) echo 'no card numbers here' >&2; exit 2 ;;
prompt*BLOCK-PROMPT*) echo '{"decision":"block","reason":"not in this house"}' ;;
prompt*END-PROMPT*) echo '{"continue":false,"stopReason":"the budget is spent"}' ;;
pre*PRE-REFUSE*) echo 'the hook says no' >&2; exit 2 ;;
pre*PRE-DENY*) echo '{"hookSpecificOutput":{"hookEventName":"PreToolUse","permissionDecision":"deny","permissionDecisionReason":"denied by the hook"}}' ;;
pre*PRE-ASK*) echo '{"hookSpecificOutput":{"hookEventName":"PreToolUse","permissionDecision":"ask","permissionDecisionReason":"the hook asks"}}' ;;
pre*PRE-END*) echo '{"continue":false,"stopReason":"ended before the call"}' ;;
post*POST-END*) echo '{"continue":false,"stopReason":"ended after the call"}' ;;
post*POST-BLOCK*) echo '{"decision":"block","reason":"the hook did not like it"}' ;;
stop*'"stop_hook_active":true'*) ;;
stop*STOP-AGAIN*) echo '{"decision":"block","reason":"say more"}' ;;
esac
`;

const BEHAVIOURS = [
  // Words.
  { name: 'words', text: then('Some words that come in pieces.') },
  { name: 'a blank first block', reply: ['The answer is 42.'], text: blocks({ text: '\n\n' }, { text: ['The answer ', 'is 42.'] }) },
  { name: 'an empty first block', reply: ['The answer is 42.'], text: blocks({ text: [] }, { text: ['The answer ', 'is 42.'] }) },
  { name: 'a blank block between', reply: ['one', 'two'], text: blocks({ text: 'one' }, { text: ' \n' }, { text: 'two' }) },
  { name: 'several blocks', reply: ['one two', 'three', 'four five'], text: blocks({ text: ['one ', 'two'] }, { text: 'three' }, { text: ['four', ' five'] }) },
  { name: 'the same words in two blocks', reply: ['again', 'again'], text: blocks({ text: 'again' }, { text: 'again' }) },
  { name: 'short pieces that repeat', reply: ['hahaha110'], text: blocks({ text: ['ha', 'ha', 'ha', '1', '1', '0'] }) },
  { name: 'an emoji cut in two', reply: ['grin \u{1f600} done'], text: blocks({ text: ['grin \ud83d', '\ude00 done'] }) },
  { name: 'pieces without words', reply: ['ab'], text: blocks({ text: ['', 'a', '', 'b', ''] }) },
  { name: 'odd characters', text: blocks({ text: ['a\u0000b', '\u001b[31mred', '\u2028\u2029', 'x\r\n\ty ', '\ufeff\u200b\u202e', ' \ud800 alone'] }) },
  { name: 'a thousand small pieces', text: blocks({ text: 'abc ', repeat: 250, n: 1000 }) },
  { name: 'one large piece', text: blocks({ text: 'word ', repeat: 50000, n: 1 }) },
  { name: 'a reply of 1.2 MB', via: 'unary', text: blocks({ text: 'word ', repeat: 250000, n: 20 }) },
  { name: 'indices with holes', reply: ['one', 'two'], text: blocks({ text: 'one', index: 5 }, { text: 'two', index: 9 }) },
  { name: 'an index twice', reply: ['one', 'two'], text: blocks({ text: 'one', index: 0 }, { text: 'two', index: 0 }) },
  { name: 'a piece of no block', text: blocks({ text: 'one' }, { raw: { type: 'content_block_delta', index: 8, delta: { type: 'text_delta', text: 'lost' } } }, { text: 'two' }) },
  { name: 'pings and events nobody knows', reply: ['one', 'two'], text: blocks({ raw: { type: 'ping' } }, { text: 'one' }, { raw: { type: 'mystery', x: 1 } }, { text: 'two' }, { raw: { type: 'ping' } }) },
  { name: 'a block nobody knows', reply: ['one', 'two'], text: blocks({ text: 'one' }, { start: { type: 'hologram', data: 'x' } }, { text: 'two' }) },
  { name: 'words in the beginning of a block', text: blocks({ start: { type: 'text', text: 'begin ' }, deltas: [{ type: 'text_delta', text: 'a' }, { type: 'odd_delta', odd: 'x' }, { type: 'text_delta', text: 'b' }] }) },
  { name: 'citations', reply: ['cited', ' and not'], text: blocks({ text: 'cited', citations: [{ type: 'char_location', cited_text: 'x', document_index: 0, document_title: 'd', start_char_index: 0, end_char_index: 1 }] }, { text: ' and not' }) },
  { name: 'a search of the provider', reply: ['I search.', 'Found.'], text: blocks({ text: 'I search.' },
    { start: { type: 'server_tool_use', id: 'srvtoolu_1', name: 'web_search', input: {} }, deltas: [{ type: 'input_json_delta', partial_json: '{"query":"x"}' }] },
    { start: { type: 'web_search_tool_result', tool_use_id: 'srvtoolu_1', content: [{ type: 'web_search_result', title: 'T', url: 'https://x.example', encrypted_content: 'e', page_age: null }] } },
    { text: 'Found.' }) },

  // Thoughts.
  { name: 'thoughts between words', thinking: true, text: blocks({ thinking: 'First I think. ' }, { text: 'Then I say.' }, { thinking: 'More thoughts.' }, { text: 'The end.' }) },
  { name: 'thoughts nobody asked for', reply: ['loud'], text: blocks({ thinking: 'quiet' }, { text: 'loud' }) },
  { name: 'hidden thoughts', thinking: true, reply: ['one'], text: blocks({ start: { type: 'redacted_thinking', data: 'xyz' } }, { text: 'one' }) },
  { name: 'nothing but a thought', thinking: true, text: blocks({ thinking: 'hm' }) + then('something') },

  // Why the model stops, and what a call costs.
  ...['refusal', 'max_tokens', 'pause_turn', 'stop_sequence', 'model_context_window_exceeded', 'odd_reason'].map((stop) => ({ name: `stopped by ${stop}`,
    text: blocks({ blocks: [{ text: `stopped by ${stop}` }], stop, stop_sequence: stop === 'stop_sequence' ? 'END' : null }) + then('and goes on') })),
  { name: 'an empty reply', text: `[[empty]]${then('something')}` },
  { name: 'a blank reply', text: blocks({ text: '\n\n' }) + then('something') },
  { name: 'odd tokens', text: blocks({ blocks: [{ text: 'x' }], usage: { start: { input_tokens: 0, cache_creation_input_tokens: null }, end: { input_tokens: null, output_tokens: 5000, cache_creation_input_tokens: 7 } } }) },

  // Calls that break.
  { name: 'cut before words', reply: ['here'], text: `${blocks(drop, { text: 'here' })} 1` },
  { name: 'cut in words', reply: ['I look. '], text: `${blocks({ text: ['I ', 'look. '], open: true }, drop)} 2` },
  { name: 'cut after a block', text: `${blocks({ text: ['I ', 'look. '] }, drop, { text: 'and see' })} 3` },
  { name: 'cut in the second block', text: `${blocks({ text: 'one block' }, { text: 'half', open: true }, drop)} 4` },
  { name: 'cut in a call', text: `${blocks({ text: 'I look.' }, { tool: 'Bash', pieces: ['{"comm'], open: true }, drop)}${then('end')} 5` },
  { name: 'cut after a call had begun', reply: ['I look.', 'end'], text: `${blocks({ text: 'I look.' }, bash('echo seen'), { sleep: 300 }, drop)}${then('end')} 6` },
  { name: 'an error in words', reply: ['I look.'], text: `${blocks({ text: 'I look.', open: true }, { fault: 'errstream', times: 1 })} 7` },
  { name: 'an error after words', text: `${blocks({ text: 'I look.' }, { fault: 'errstream', times: 1 })} 8` },
  { name: 'cut before the answer', reply: ['back'], text: `[[drop0*1]]${then('back')} 9` },
  { name: 'too many requests, once', reply: ['back'], text: `[[error:429*1]]${then('back')} 10` },
  { name: 'overloaded for good', text: '[[error:529]]' },
  { name: 'a refused key', text: '[[error:401]]' },
  { name: 'a bad request', text: '[[error:400]]' },

  // Tools.
  { name: 'words, a call, words', reply: ['I look. ', 'I looked.'], text: blocks({ text: 'I look. ' }, bash('echo seen')) + then('I looked.') },
  { name: 'parallel calls', text: blocks(bash('echo one'), bash('echo two'), bash('echo three')) + then('all three') },
  { name: 'words between and behind calls', reply: ['between', 'behind', 'end'], text: blocks(bash('echo a'), { text: 'between' }, bash('echo b'), { text: 'behind' }) + then('end') },
  { name: 'an input in many pieces', text: blocks({ ...bash('echo "ünï \u{1f600} \\u00e9"'), pieces: 40 }) + then('ok'), inputs: once },
  { name: 'numbers in an input', text: blocks({ tool: 'Bash', pieces: ['{"command":"echo x","description":"d","timeout":', '60000.5,"big":12345678901234567890,"f":1e-7,"neg":-0}'] }) + then('ok'), inputs: once },
  { name: 'an empty input', text: blocks(tool('Bash')) + then('ok'), inputs: once },
  { name: 'an input without pieces', text: blocks({ tool: 'TaskList', pieces: [] }) + then('ok') },
  { name: 'an input that is no JSON', text: blocks({ tool: 'Bash', pieces: ['{"command": "echo'] }) + then('ok'), inputs: once },
  { name: 'a tool that is not there', text: blocks(tool('Frobnicate', { a: [1, { b: null }] })) + then('ok') },
  { name: 'a call that fails', text: blocks(bash('ls /nonexistent; false')) + then('ok'), inputs: once },
  { name: 'a long result', text: blocks(bash('seq 1 20000')) + then('ok'), inputs: once },
  { name: 'odd bytes in a result', text: blocks(bash("printf 'a\\377b\\000c\\033[31mred\\r\\n\\303'")) + then('ok'), inputs: once },
  { name: 'a large file', text: blocks({ ...tool('Write', { file_path: 'large.txt', content: 'word ' }), fill: 'content', repeat: 60000 }) + then('ok'), inputs: once },
  { name: 'a file over 1 MiB', text: blocks({ ...tool('Write', { file_path: 'huge.txt', content: 'word ' }), fill: 'content', repeat: 240000 }) + then('ok'), inputs: once },
  { name: 'an edited file', text: blocks(tool('Write', { file_path: 'x.txt', content: 'hello\n' })) + blocks(tool('Edit', { file_path: 'x.txt', old_string: 'hello', new_string: 'bye' })) + then('ok'), inputs: once },
  { name: 'a picture that is read', text: blocks(tool('Read', { file_path: 'dot.png' })) + then('ok') },
  { name: 'a picture of a server', text: blocks(tool('mcp__toy__picture')) + then('ok'), inputs: once },
  { name: 'blocks of every kind', text: blocks(tool('mcp__toy__many')) + then('ok'), inputs: once },
  { name: 'a server\'s tool that fails', text: blocks(tool('mcp__toy__fail')) + then('ok'), inputs: once },
  { name: 'a server that asks', text: blocks(tool('mcp__toy__form')) + then('ok'), inputs: ['approve_once', 'deny'] },
  { name: 'a server that is answered', text: blocks(tool('mcp__toy__form')) + then('ok'), inputs: ['approve_once', answered] },
  { name: 'background work', turns: 2, text: blocks(bash('while [ ! -e go ]; do sleep 0.1; done; echo bg', { run_in_background: true })) + then('started'), inputs: once,
    between: (dir) => writeFileSync(`${dir}/go`, '') },
  { name: 'things to do', text: blocks(tool('TaskCreate', { subject: 'one', description: 'd', activeForm: 'doing' })) + blocks(tool('TaskUpdate', { taskId: '1', status: 'in_progress' })) + then('ok') },

  // Sub-agents.
  { name: 'a sub-agent with a tool', reply: ['main done'], text: blocks(task(`${blocks({ text: 'sub looks' }, bash('echo sub'))}${then('sub done')}`)) + then('main done') },
  { name: 'two sub-agents at once', text: blocks(task(`${blocks(bash('echo s1'))}${then('one done')}`), task(`${blocks({ thinking: 'hm' }, bash('echo s2'))}${then('two done')}`)) + then('main done') },
  { name: 'a sub-agent that asks', text: blocks(task(`${blocks(bash('touch sub'))}${then('sub done')}`)) + then('main done'), inputs: once },
  { name: 'two sub-agents that ask', text: blocks(task(`${blocks(bash('touch s1'))}${then('one done')}`), task(`${blocks(bash('touch s2'))}${then('two done')}`)) + then('main done'), inputs: ['approve_once', 'deny'] },
  { name: 'a sub-agent that fails', text: blocks(task('[[error:400]]')) + then('main done') },

  // Questions, plans, rules.
  { name: 'a denied call', text: blocks(bash('touch no')) + then('denied'), inputs: ['deny'] },
  { name: 'calls of the same kind', text: blocks(bash('touch a')) + blocks(bash('touch a')) + then('both'), inputs: ['approve_session'] },
  { name: 'a question', text: blocks(question) + then('ok'), inputs: [answered] },
  { name: 'a question without an answer', text: blocks(question) + then('ok'), inputs: ['deny'] },
  { name: 'a plan', session: 'plan', create: { permission_mode: 'plan' }, text: blocks({ text: 'A plan.' }, tool('ExitPlanMode', { plan: '1. do it' })) + blocks(bash('touch planned')) + then('done'), inputs: ['deny'] },
  { name: 'a plan that is taken', session: 'plan', text: blocks({ text: 'A plan.' }, tool('ExitPlanMode', { plan: '1. do it' })) + blocks(bash('touch planned')) + then('done'), inputs: once },
  { name: 'a rule that denies', text: blocks(bash('rm x')) + then('so be it') },
  { name: 'a rule that denies a file', text: blocks(tool('Read', { file_path: 'secret.txt' })) + then('so be it') },

  { name: 'edits that are not asked for', session: 'edits', create: { permission_mode: 'acceptEdits' }, text: blocks(tool('Write', { file_path: 'y.txt', content: 'y' })) + then('ok') },
  { name: 'another agent', agent: 'reviewer', text: then('reviewed') },
  { name: 'the first agent again', agent: 'default', text: then('back') },

  // Hooks.
  { name: 'a hook refuses the message', text: 'REFUSE-PROMPT 4111' },
  { name: 'a hook blocks the message', text: 'BLOCK-PROMPT please' },
  { name: 'a hook ends the turn', text: 'END-PROMPT please' },
  { name: 'a hook refuses a call', text: blocks(bash('echo PRE-REFUSE')) + then('so be it') },
  { name: 'a hook denies a call', text: blocks(bash('echo PRE-DENY')) + then('so be it') },
  { name: 'a hook ends the turn before a call', text: blocks(bash('echo PRE-END')) + then('no') },
  { name: 'a hook ends the turn after a call', text: blocks(bash('echo POST-END')) + then('no') },
  { name: 'a hook asks', text: blocks(bash('echo PRE-ASK')) + then('so be it'), inputs: once },
  { name: 'a hook blocks a result', text: blocks(bash('echo POST-BLOCK')) + then('so be it') },
  { name: 'a hook wants more', text: then('STOP-AGAIN') },

  // Interrupts.
  { name: 'interrupted in words', text: `${then('slow words here')} {{delay=100}} {{n=300}}`, interrupt: saying('slow') },
  { name: 'interrupted in thoughts', thinking: true, text: '[[think:slow thoughts here]] {{delay=100}} {{n=300}}', interrupt: (e) => e.type === 'reasoning' },
  { name: 'interrupted before words', text: `${then('late')} {{first=20000}}`, interrupt: (e) => e.type === 'step_start' },
  { name: 'interrupted in an input', text: blocks({ text: 'I write' }, { tool: 'Bash', pieces: ['{"comm', 'and":'], open: true }, { fault: 'hang' }), interrupt: (e) => e.type === 'tool_use' },
  { name: 'interrupted in a tool', text: blocks({ text: 'I sleep.' }, bash('sleep 30')) + then('no'), interrupt: running },
  { name: 'interrupted in a question', text: blocks({ text: 'I ask.' }, bash('touch never')) + then('no'), interrupt: (e) => e.type === 'input_required' },
  { name: 'interrupted in a sub-agent', text: blocks(task(`${blocks(bash('sleep 30'))}${then('no')}`)) + then('no'), interrupt: (e) => e.parent_tool_use_id && running(e) },
  { name: 'interrupted in a retry', text: '[[error:429]]', interrupt: (e) => e.type === 'status' && e.data.state === 'retrying' },
  { name: 'words after interrupts', text: then('alive') },

  // A harness that dies.
  { name: 'killed in words', text: `${then('slow words here')} {{delay=100}} {{n=300}}`, kill: saying('slow') },
  { name: 'words after it died', text: then('alive') },
  { name: 'killed in a tool', text: blocks({ text: 'I sleep.' }, bash('sleep 30')) + then('no'), kill: running },
  { name: 'killed in a question', text: blocks({ text: 'I ask.' }, bash('touch never')) + then('no'), kill: (e) => e.type === 'input_required' },

  // Commands.
  { name: 'a command of the application', text: '/hi bob' },
  { name: 'a command that is none', text: '/nosuch thing' },
  { name: 'a path', text: '/etc/hosts is a file' },
  { name: 'a command of the program', text: '/context' },
  { name: 'compaction', text: '/compact' },
  { name: 'words after compaction', text: then('after') },
];

function writeApp(dir) {
  const hook = (event) => [{ hooks: [{ type: 'command', command: `sh "$CLAUDE_PROJECT_DIR"/.claude/hook.sh ${event}` }] }];
  writeFiles(dir, { 'CLAUDE.md': 'You are a test.\n', 'karta.toml': 'name = "bot"\n[harness]\ntype = "claude-code"\nmodel = "standin-1"\n',
    '.claude/settings.json': JSON.stringify({ enableAllProjectMcpServers: true, permissions: { deny: ['Bash(rm *)', 'Read(./secret.txt)'] },
      hooks: { UserPromptSubmit: hook('prompt'), PreToolUse: hook('pre'), PostToolUse: hook('post'), Stop: hook('stop') } }),
    '.claude/agents/reviewer.md': '---\nname: reviewer\ndescription: reviews\n---\nYou review.\n',
    '.claude/hook.sh': HOOK, '.claude/commands/hi.md': '---\ndescription: says hi\n---\n[[text:hi from the command]] $ARGUMENTS\n', 'secret.txt': 's',
    '.mcp.json': JSON.stringify({ mcpServers: { toy: { command: process.execPath, args: [`${ROOT}/tests/lib/mcp-server.mjs`] } } }) });
  writeFileSync(`${dir}/dot.png`, PNG);
}

test('Claude Code', { skip, ...seconds(150) }, async (t) => {
  const model = await startModel(t);
  const dir = tempDir(t, 'claude');
  const tee = teeOf(t, CLAUDE);
  writeApp(dir);
  const env = { ...harnessEnv(model, tempDir(t, 'home')), KARTA_CLAUDE: tee.program };
  const differential = new Differential(await startKarta(t, dir, { args: ['--warm', '0'], env }), model, tee.dir);

  for (const b of chosen(BEHAVIOURS)) {
    await t.test(b.name, { todo: b.todo }, async () => {
      const played = await differential.play({ session: 'main', ...b });
      assert.deepEqual(differences(b, played, expectClaude, splitClaude), []);
    });
  }
});
