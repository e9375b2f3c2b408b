#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: unseen.py MARK TEXT PROGRAM [ARGUMENT...]

Run a program on a terminal; once MARK is on it, type TEXT (`\\x03` is Ctrl-C). Prints how the program
ended (an exit status, or minus a signal) and of echoing: whether it was off when MARK was there,
whether it is on at the end, and whether TEXT was shown.
"""
import os
import pty
import signal
import sys
import termios

mark, text = sys.argv[1].encode(), sys.argv[2].encode().decode("unicode_escape").encode()


def echoes():
    return bool(termios.tcgetattr(keep)[3] & termios.ECHO)


signal.alarm(120)
fd, keep = pty.openpty()  # `keep`: the terminal is there to be asked when the program has ended
pid = os.fork()
if pid == 0:
    os.close(fd)
    os.setsid()
    os.close(os.open(os.ttyname(keep), os.O_RDWR))  # makes it the controlling terminal
    for n in range(3):
        os.dup2(keep, n)
    os.execv(sys.argv[3], sys.argv[3:])
seen = b""
while mark not in seen:
    seen += os.read(fd, 1000)
hidden = not echoes()
os.write(fd, text)
status = os.waitpid(pid, 0)[1]
os.write(keep, b"\0")
while not seen.endswith(b"\0"):
    seen += os.read(fd, 1000)
print(os.waitstatus_to_exitcode(status), "hidden" if hidden else "open", "echo" if echoes() else "silent",
      "shown" if text.strip() in seen else "unseen")
