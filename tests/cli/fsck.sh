#!/bin/sh
# SPDX-License-Identifier: MIT
# karta fsck: a data folder in order, damaged ones, and folders that are none.
. "$(dirname "$0")/../lib/test-lib.sh"

command -v curl >/dev/null || test_skip_all 'curl is not installed'
command -v sqlite3 >/dev/null || python3 -c 'import sqlite3' || test_skip_all 'no sqlite3'

start_serve && serve_publish bot || exit 1

test_expect_success 'in order, while serving and after' '
	"$KARTA" fsck --data "$SERVE_DATA" >out 2>err && test_empty out && test_grep "is in order" err &&
	"$KARTA" fsck --data "$SERVE_DATA" --quick --json >out 2>err &&
	test_json out "d == {\"schema_version\": 1, \"ok\": True, \"findings\": [], \"left_over\": []}" &&
	"$KARTA" fsck --data "$SERVE_DATA" -q >out 2>err && test_empty out && test_empty err &&
	stop_serve && "$KARTA" fsck --data "$SERVE_DATA"
'

test_expect_success 'a folder that is none, and one without a database' '
	test_must_exit 5 "$KARTA" fsck --data nowhere >out 2>err && test_grep "no folder .nowhere" err &&
	mkdir empty && test_must_exit 5 "$KARTA" fsck --data empty && test -z "$(ls -A empty)" &&
	test_must_exit 5 "$KARTA" fsck --data empty --json >out && test_json out "d[\"error\"][\"code\"] == 5"
'

# damaged SCRIPT: what fsck says of a copy of the folder after SCRIPT, in it.
damaged() {
	chmod -R u+w copy 2>/dev/null
	rm -rf copy && cp -a "$SERVE_DATA" copy && (cd copy && eval "$1") || return 1
	test_must_exit 1 "$KARTA" fsck --data copy >out 2>err || return 1
	test_grep "^hint: " err && test_grep "^karta: [0-9]* findings? in copy" err && test -s out || return 1
	"$KARTA" fsck --data copy --json >out.json 2>err
	test $? -eq 1 && test_json out.json "not d[\"ok\"] and d[\"findings\"][0][\"message\"]"
}

test_expect_success 'a file that is missing' '
	damaged "rm -f \$(find blobs -type f | head -n 1)"
'

test_expect_success 'a file with other bytes is found, by reading it' '
	damaged "f=\$(find blobs -type f | head -n 1); chmod u+w \$f; printf x | dd of=\$f conv=notrunc status=none" &&
	test_grep blobs out || test_grep "[0-9a-f]{64}" out
'

test_expect_success 'an audit log with a row changed' '
	damaged "python3 -c \"
import sqlite3
db = sqlite3.connect(\\\"karta.db\\\")
for (name,) in db.execute(\\\"SELECT name FROM sqlite_master WHERE type = \x27trigger\x27\\\").fetchall():
    db.execute(f\\\"DROP TRIGGER {name}\\\")
db.execute(\\\"UPDATE audit SET actor_name = \x27nobody\x27 WHERE seq = 2\\\")
db.commit()\""
'

test_expect_success 'a database that is none' '
	rm -rf copy && cp -a "$SERVE_DATA" copy && rm -f copy/karta.db-* &&
	head -c 4000 /dev/zero >copy/karta.db &&
	test_must_exit 1 "$KARTA" fsck --data copy >out 2>err
'

test_done
