#!/bin/sh
# SPDX-License-Identifier: MIT
# scripts/record: README's first screen can be typed, and what it shows becomes a recording and a picture.
# Those in docs/ are of the same form.
. "$(dirname "$0")/../lib/test-lib.sh"

test_expect_success 'a recording in asciicast form, and a picture small enough for a page' '
	"$TEST_ROOT/scripts/record" made && python3 - made "$TEST_ROOT/docs" <<-\EOF
	import json, os, re, sys, xml.dom.minidom
	for folder in sys.argv[1:]:
	    lines = open(os.path.join(folder, "terminal.cast"), encoding="utf-8").read().splitlines()
	    head, events = json.loads(lines[0]), [json.loads(line) for line in lines[1:]]
	    assert (head["version"], head["width"]) == (2, 80), head
	    assert all(kind == "o" and isinstance(text, str) for _, kind, text in events)
	    assert [at for at, _, _ in events] == sorted(at for at, _, _ in events) and events[-1][0] < 60
	    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", "".join(text for _, _, text in events))
	    for words in ("$ git push karta main\r\n", "remote: Released v1 of support-bot in 0.1s", "Good news, Mia:", "1,745 tokens in"):
	        assert words in said, (folder, words, said)
	    assert not re.search(r"/tmp/|/home/|/root", said), said
	    path = os.path.join(folder, "terminal.svg")
	    assert 5000 < os.path.getsize(path) <= 100000, os.path.getsize(path)
	    picture = xml.dom.minidom.parse(path)
	    assert not picture.getElementsByTagName("script") and "http" not in re.sub(r"http://(www\.w3\.org/2000/svg|[a-z.-]*localhost)", "", picture.toxml())
	    assert "Released v1 of support-bot" in picture.getElementsByTagName("desc")[0].firstChild.data
	EOF
'

test_done
