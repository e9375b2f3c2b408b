/* SPDX-License-Identifier: MIT */
/* What test_acp.c expects of each transcript; see w_turn_end() for the fields of a turn. */
{ "claude-acp-01",
	"end_turn||Hello from the stand-in model, this reply comes in about ten small pieces.|||1|20221/10/20381|101717|think 0|replaced 0\n"
	"end_turn||I have thought about it and here is the answer.|||1|20270/16/20436|102113|think 53|replaced 0\n"
	"end_turn||I will run it\n"
	"\n"
	"All steps are done. The last tool said: (Bash completed with no output)| completed| ask(Bash|Allow Bash: touch out/acp1?|touch out/acp1)|2|40803/26/41129|205390|think 0|replaced 0\n"
	"end_turn||All steps are done. The last tool said: File created successfully at: /app/out/acpw.txt (file state is curre| completed+diff| ask(Write|Allow Write: Write out/acpw.txt?|/app/out/acpw.txt)|2|41115/14/41429|206650|think 0|replaced 0\n"
	"end_turn||All steps are done. The last tool said: (Bash completed with no output)| completed||2|41434/13/41747|208220|think 0|replaced 0\n"
	"end_turn||All steps are done. The last tool said: Updated task #1 status|| plan:1 plan:1 plan:1|1|62737/16/63203|315172|think 0|replaced 0\n"
	"end_turn||All steps are done. The last tool said: the sub agent says hello\n"
	"agentId: ac1968e87325e10db (use SendMessage with to: 'a| sub:completed completed||2|42329/21/42650|323625|think 0|replaced 0\n"
	"interrupted||Some|||1|-1/-1/-1|-1|think 0|replaced 0\n"
	"error|auth_failed||||1|-1/-1/-1|-1|think 0|replaced 1\n"
	"error|auth_failed||||1|-1/-1/-1|-1|think 0|replaced 1\n"
	"error|auth_failed||||1|-1/-1/-1|-1|think 0|replaced 1\n" },
{ "claude-acp-02-reject-plan",
	"end_turn||All steps are done. The last tool said: User refused permission to run tool| rejected| ask(Bash|Allow Bash: touch out/rej?|touch out/rej)|2|40564/13/40877|203870|think 0|replaced 0\n"
	"end_turn||All steps are done. The last tool said: User has approved your plan. You can now start coding. Start with updating your | completed| ask(ExitPlanMode|Ready to code?|-)|2|43459/11/43770|218295|think 0|replaced 0\n"
	"end_turn||All steps are done. The last tool said: <tool_use_error>Error: No such tool available: AskUserQuestion. AskUserQuestion | failed||2|44014/19/44333|221270|think 0|replaced 0\n"
	"end_turn||Recovered after 1 failures of kind error.|||1|22137/11/22298|111323|think 0|replaced 0\n" },
{ "codex-acp-01",
	"end_turn||Hello from the stand-in model, this reply comes in about ten small pieces.|| notice|1|-1/-1/-1|-1|think 0|replaced 0\n"
	"end_turn||I have thought about it and here is the answer.|| notice|1|-1/-1/-1|-1|think 55|replaced 0\n"
	"end_turn||I will run it\n"
	"\n"
	"All steps are done. The last tool said: Chunk ID: d02b7e\n"
	"Wall time: 0.0000 seconds\n"
	"Process exited with code 0\n"
	"Original t| completed| notice ask(execute|Allow execute: touch cx1?|-)|2|-1/-1/-1|-1|think 0|replaced 0\n"
	"end_turn||I will run it\n"
	"\n"
	"All steps are done. The last tool said: unsupported call: shell|| notice|2|-1/-1/-1|-1|think 0|replaced 0\n"
	"end_turn||All steps are done. The last tool said: Chunk ID: 585a9f\n"
	"Wall time: 0.0000 seconds\n"
	"Process exited with code 0\n"
	"Original t| completed| notice ask(execute|Allow execute: mkdir -p cxd?|-)|2|-1/-1/-1|-1|think 0|replaced 0\n"
	"end_turn||| rejected| notice ask(execute|Allow execute: mkdir -p cxe?|-)|1|-1/-1/-1|-1|think 0|replaced 0\n"
	"end_turn||All steps are done. The last tool said: Plan updated|| notice plan:2|1|-1/-1/-1|-1|think 0|replaced 0\n"
	"interrupted|||| notice|1|-1/-1/-1|-1|think 0|replaced 0\n"
	"error|auth_failed||| notice|1|-1/-1/-1|-1|think 0|replaced 0\n"
	"end_turn||bye|| notice|1|-1/-1/-1|-1|think 0|replaced 0\n" },
{ "gemini-acp-01",
	"end_turn||Hello from the stand-in model, this reply comes in about ten small pieces.|||1|12112/11/-1|-1|think 0|replaced 0\n"
	"end_turn||I have thought about it and here is the answer.|||1|12152/11/-1|-1|think 78|replaced 0\n"
	"end_turn||I will run it\n"
	"\n"
	"All steps are done. The last tool said: {\"output\": \"<untrusted_context>\\nOutput: (empty)\\nProcess Group PGID: 4954\\n</un| completed| ask(execute|Allow execute: touch gem1?|?)|2|24521/25/-1|-1|think 0|replaced 0\n"
	"end_turn||All steps are done. The last tool said: {\"error\": \"Cannot enable privileged approval modes in an untrusted folder.\"}| failed| ask(edit|Allow edit: Writing to gem.txt?|?)|2|24836/12/-1|-1|think 0|replaced 0\n"
	"end_turn||All steps are done. The last tool said: {\"error\": \"Tool \\\"run_shell_command\\\" was canceled by the user.\"}| rejected| ask(execute|Allow execute: mkdir -p gem2?|?)|2|25134/12/-1|-1|think 0|replaced 0\n"
	"interrupted||Some|||1|-1/-1/-1|-1|think 0|replaced 0\n"
	"error|auth_failed||||1|-1/-1/-1|-1|think 0|replaced 0\n"
	"end_turn||bye|||1|12650/4/-1|-1|think 0|replaced 0\n" },
{ "gemini-acp-02-trusted",
	"end_turn||remember me|||1|12141/12/-1|-1|think 0|replaced 0\n"
	"end_turn||All steps are done. The last tool said: {\"output\": \"<untrusted_context>\\nOutput: (empty)\\nProcess Group PGID: 4254\\n</un| completed+diff completed+diff completed| ask(edit|Allow edit: Writing to gem2.txt?|?) notice ask(execute|Allow execute: touch gem9?|?)|4|49523/14/-1|-1|think 0|replaced 0\n"
	"end_turn||All steps are done. The last tool said: {\"error\": \"Tool \\\"write_todos\\\" not found in registry.\"}|||1|25258/12/-1|-1|think 0|replaced 0\n" },
{ "opencode-acp-01-text",
	"end_turn||Hello from the stand-in model, this reply comes in about ten small pieces.|||1|7602/12/7714|23016|think 0|replaced 0\n"
	"end_turn||I have thought about it and here is the answer.|||1|7638/18/7756|23214|think 53|replaced 0\n"
	"end_turn||I will run it\n"
	"\n"
	"All steps are done. The last tool said: (no output)| completed| ask(bash|Allow bash: echo hi > made.txt?|echo hi > made.txt)|2|-1/-1/-1|46977|think 0|replaced 0\n" },
{ "opencode-acp-02-permissions",
	"end_turn||All steps are done. The last tool said: (no output)| completed completed completed| ask(bash|Allow bash: touch a1.txt?|touch a1.txt) ask(bash|Allow bash: mkdir -p dd?|mkdir -p dd)|4|-1/-1/-1|93486|think 0|replaced 0\n"
	"end_turn||| rejected| ask(write|Allow write: /app/w.txt?|/app/w.txt)|1|7885/6/7991|23775|think 0|replaced 0\n"
	"end_turn||All steps are done. The last tool said: <path>/app/w.txt</path>\n"
	"<type>file</type>\n"
	"<content>\n"
	"1: one\n"
	"2: three| completed+diff completed+diff completed| ask(write|Allow write: /app/w.txt?|/app/w.txt) ask(edit|Allow edit: /app/w.txt?|/app/w.txt)|4|-1/-1/-1|98334|think 0|replaced 0\n"
	"end_turn||| rejected| ask(bash|Allow bash: rm -f nothing?|rm -f nothing)|1|8331/6/8437|25113|think 0|replaced 0\n"
	"end_turn||| rejected| ask(bash|Allow bash: rm -f nothing2?|rm -f nothing2)|1|8430/6/8536|25410|think 0|replaced 0\n" },
{ "opencode-acp-03-cancel",
	"interrupted||Some|||1|-1/-1/-1|-1|think 0|replaced 0\n"
	"end_turn||alive|||1|7622/7/7729|23001|think 0|replaced 0\n"
	"interrupted||| cancelled| ask(bash|Allow bash: sleep 63?|sleep 63)|1|-1/-1/-1|-1|think 0|replaced 0\n"
	"interrupted||| cancelled| ask(bash|Allow bash: touch zzz?|touch zzz)|1|-1/-1/-1|-1|think 0|replaced 0\n"
	"end_turn||alive2|||1|7831/8/7939|23643|think 0|replaced 0\n" },
{ "opencode-acp-04-err-drop",
	"error|harness_crashed|Some words c|||1|-1/-1/-1|-1|think 0|replaced 0\n" },
{ "opencode-acp-04-err-empty",
	"end_turn|||||1|7602/2/7704|22866|think 0|replaced 0\n" },
{ "opencode-acp-04-err-error-400",
	"error|invalid_request||||1|-1/-1/-1|-1|think 0|replaced 0\n" },
{ "opencode-acp-04-err-error-401",
	"error|auth_failed||||1|-1/-1/-1|-1|think 0|replaced 0\n" },
{ "opencode-acp-04-err-error-403",
	"error|auth_failed||||1|-1/-1/-1|-1|think 0|replaced 0\n" },
{ "opencode-acp-04-err-error-404",
	"error|model_not_found||||1|-1/-1/-1|-1|think 0|replaced 0\n" },
{ "opencode-acp-04-err-error-429x1",
	"end_turn||Recovered after 1 failures of kind error.|||1|7603/13/7716|23034|think 0|replaced 0\n" },
{ "opencode-acp-04-err-error-500x1",
	"end_turn||Recovered after 1 failures of kind error.|||1|7603/13/7716|23034|think 0|replaced 0\n" },
{ "opencode-acp-04-err-errstream",
	/* Without its log: a model that repeats itself would look the same. */
	"error|harness_crashed|Some words cSome words cSome words cSome words c|||1|-1/-1/-1|-1|think 0|"
	"replaced 0\n" },
{ "opencode-acp-04-err-maxtokens",
	"end_turn||This reply was cut because|||1|7603/15/7718|23064|think 0|replaced 0\n" },
{ "opencode-acp-04-err-refusal",
	"refusal|refused|I will not.|||1|7602/13/7715|23031|think 0|replaced 0\n" },
{ "opencode-acp-05-err-refused",
	"error|harness_crashed||||1|-1/-1/-1|-1|think 0|replaced 0\n" },
{ "opencode-acp-06-load-a",
	"end_turn||running\n"
	"\n"
	"All steps are done. The last tool said: loaded| completed| ask(bash|Allow bash: echo loaded?|echo loaded)|2|-1/-1/-1|46368|think 0|replaced 0\n" },
{ "opencode-acp-09-plan-todo",
	"end_turn||All steps are done. The last tool said: [\n"
	"  {\n"
	"    \"content\": \"first\",\n"
	"    \"status\": \"in_progress\",\n"
	"    \"priority\": \"high| completed| plan:2|2|-1/-1/-1|46752|think 0|replaced 0\n" },
{ "opencode-acp-10-subagent",
	"error|harness_crashed|| cancelled||1|-1/-1/-1|-1|think 0|replaced 0\n" },
{ "opencode-acp-11-parallel",
	"end_turn||All steps are done. The last tool said: <path>/app/notes.txt</path>\n"
	"<type>file</type>\n"
	"<content>\n"
	"1: note con| completed completed completed| ask(bash|Allow bash: touch q1?|touch q1) ask(bash|Allow bash: touch q2?|touch q2)|2|-1/-1/-1|46881|think 0|replaced 0\n" },
{ "opencode-acp-12-two-sessions",
	"end_turn||session one talks a little while here now ok yes|||1|7617/12/7729|23061|think 0|replaced 0\n"
	"end_turn||first prompt words are here to read\n"
	"\n"
	"second prompt words|||2|-1/-1/-1|46632|think 0|replaced 0\n" },
{ "opencode-acp-13-anthropic-provider",
	"end_turn||I have thought about it and here is the answer.|||1|7654/16/7820|-1|think 53|replaced 0\n"
	"end_turn||All steps are done. The last tool said: <path>/app/notes.txt</path>\n"
	"<type>file</type>\n"
	"<content>\n"
	"1: note con| failed completed||2|-1/-1/-1|-1|think 0|replaced 0\n" },
{ "opencode-acp-14-permission-rules",
	"end_turn||All steps are done. The last tool said: (no output)| completed rejected completed| ask(bash|Allow bash: touch kk?|touch kk)|4|-1/-1/-1|94239|think 0|replaced 0\n" },
{ "opencode-acp-15-subagent-allow",
	"end_turn||All steps are done. The last tool said: <task id=\"ses_dfd270f61ffeqrdDIMF2MKj92U\" state=\"completed\">\n"
	"<task_result>\n"
	"sub s| completed||2|-1/-1/-1|46656|think 0|replaced 0\n" },
{ "opencode-acp-16-task-deny",
	"end_turn||All steps are done. The last tool said: The arguments provided to the tool are invalid: Model tried to call unavailable | completed||2|-1/-1/-1|40923|think 0|replaced 0\n" },
{ "opencode-acp-17-task-ask",
	"error|harness_crashed|| cancelled| ask(task|Allow task?|-)|1|-1/-1/-1|-1|think 0|replaced 0\n" },
{ "opencode-acp-18-continue-on-deny",
	"end_turn||All steps are done. The last tool said: The user rejected permission to use this specific tool call.| rejected| ask(bash|Allow bash: touch nope?|touch nope)|2|-1/-1/-1|46248|think 0|replaced 0\n" },
{ "opencode-acp-19-question",
	"end_turn||All steps are done. The last tool said: The arguments provided to the tool are invalid: Model tried to call unavailable | completed||2|-1/-1/-1|46671|think 0|replaced 0\n" },
{ "opencode-acp-20-retry",
	"end_turn||Recovered after 2 failures of kind drop.|||1|7588/12/7700|-1|think 0|replaced 1\n" },
{ "opencode-acp-21-retry-tool",
	"end_turn||I look. \n\nafter more\n\nAll steps are done. The last tool said: seen\n"
	"| completed completed| ask(bash|Allow bash: echo seen?|echo seen)"
	" ask(bash|Allow bash: echo seen?|echo seen)|2|-1/-1/-1|-1|think 0|replaced 2\n"
	"end_turn||hahaha|||1|7849/5/7954|-1|think 0|replaced 0\n" },
