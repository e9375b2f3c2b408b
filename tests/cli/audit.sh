#!/bin/sh
# SPDX-License-Identifier: MIT
# karta audit: what was changed is there, by whom; a changed record is found.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v curl >/dev/null || test_skip_all "curl is not installed"

start_serve || exit 1
use_serve

test_expect_success 'every change is an entry, newest first' '
	"$KARTA" projects create a && "$KARTA" projects rename a b && "$KARTA" keys create k >/dev/null &&
	"$KARTA" audit >out && test_grep "^[0-9]+ .* admin  *127.0.0.1  *key.create " out &&
	"$KARTA" audit list --limit 2 --json >out &&
	test_json out "[e[\"action\"] for e in d[\"data\"]] == [\"key.create\", \"project.rename\"] or [e[\"action\"] for e in d[\"data\"]][0] == \"key.create\"" &&
	test_json out "d[\"has_more\"] and d[\"data\"][0][\"request_id\"] and d[\"data\"][0][\"at\"].endswith(\"+00:00\")" &&
	"$KARTA" audit -n 2 2>err >out && test_grep "there are more" err && test "$(wc -l <out)" -eq 3
'

test_expect_success 'pages' '
	"$KARTA" audit --json --limit 1000 >all && test_json all "not d[\"has_more\"] and d[\"data\"][-1][\"seq\"] == 1" &&
	"$KARTA" audit --before 3 --json >out && test_json out "[e[\"seq\"] for e in d[\"data\"]] == [2, 1]" &&
	test_must_exit 2 "$KARTA" audit --limit 0 && test_must_exit 2 "$KARTA" audit --before x
'

test_expect_success 'more than a page of the server' '
	python3 - "$SERVE_URL" "$SERVE_KEY" <<-"EOT" &&
	import http.client, json, sys
	c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1].rsplit(":", 1)[1]))
	for i in range(510):
	    c.request("PATCH", "/agent_projects/b", json.dumps({"production_ref": f"refs/heads/m{i}"}),
	              {"Authorization": "Bearer " + sys.argv[2], "Content-Type": "application/json"})
	    r = c.getresponse(); r.read(); assert r.status == 200, r.status
	EOT
	"$KARTA" audit --json --limit 505 >out && test_json out "len(d[\"data\"]) == 505 and d[\"has_more\"]" &&
	test_json out "all(x[\"seq\"] == y[\"seq\"] + 1 for x, y in zip(d[\"data\"], d[\"data\"][1:]))" &&
	"$KARTA" audit --json --limit 1000 >out && test_json out "d[\"data\"][-1][\"seq\"] == 1 and not d[\"has_more\"]"
'

test_expect_success 'verify prints the head, which must still be there later' '
	"$KARTA" audit verify >head 2>err && test_grep "^[0-9a-f]{64}$" head && test_grep "unbroken" err &&
	"$KARTA" projects create later && "$KARTA" audit verify --head "$(cat head)" >out && ! cmp -s head out &&
	"$KARTA" audit verify --head "$(cat out)" >out2 && test_cmp out out2 &&
	"$KARTA" audit verify --json >out && test_json out "d[\"ok\"] and d[\"entries\"] > 500" &&
	test_must_exit 2 "$KARTA" audit verify --head 0000 &&
	test_must_exit 1 "$KARTA" audit verify --head 0000000000000000000000000000000000000000000000000000000000000000 2>err &&
	test_grep "lacks the entry" err
'

# What somebody with the database in hand may try.
cat >tamper.py <<'EOT'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
try:
    db.execute("UPDATE audit SET actor_name = 'x' WHERE seq = 5")
    sys.exit("an UPDATE was taken")
except sqlite3.Error:
    pass
for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
    db.execute(f"DROP TRIGGER {name}")
db.execute("UPDATE audit SET actor_name = 'x' WHERE seq = 5")
db.commit()
EOT

test_expect_success 'a changed entry is found, and named' '
	stop_serve && python3 tamper.py "$SERVE_DATA/karta.db" &&
	start_serve && test_must_exit 1 "$KARTA" audit verify >out 2>err && test_grep "entry 5 " err &&
	test_must_exit 1 "$KARTA" audit verify --json >out && test_json out "d[\"error\"][\"code\"] == 1"
'

test_done
