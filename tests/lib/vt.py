# SPDX-License-Identifier: MIT
"""A terminal for tests: what is on its screen after the bytes that a program wrote.

Knows wrapping with the pending wrap of the last column, scrolling, wide characters, and the
sequences that karta uses; another one is an error. Styles are kept by cell.
"""
import re
import unicodedata

SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")


def width(ch):
    if unicodedata.combining(ch) or ch in "\u200d\ufe0f":
        return 0
    return 2 if unicodedata.east_asian_width(ch) in "WF" else 1


class Screen:
    def __init__(self, columns=80, rows=24):
        self.columns, self.height = columns, rows
        self.lines = [[]]  # all of them; the screen is from self.top on
        self.top = self.row = self.col = 0
        self.pending = False
        self.style = ""
        self.rest = ""
        self.frames = 0

    def _line(self, row):
        while len(self.lines) <= row:
            self.lines.append([])
        return self.lines[row]

    def _down(self):
        self.row += 1
        self._line(self.row)
        self.top = max(self.top, self.row + 1 - self.height)

    def _put(self, ch):
        w = width(ch)
        if w == 0:
            return
        if self.pending or self.col + w > self.columns:
            self._down()
            self.col, self.pending = 0, False
        line = self._line(self.row)
        line.extend([(" ", "")] * (self.col + w - len(line)))
        line[self.col] = (ch, self.style)
        if w == 2:
            line[self.col + 1] = ("", self.style)
        self.col += w
        if self.col >= self.columns:
            self.col, self.pending = self.columns - 1, True

    def _sequence(self, args, final):
        n = int(args) if args.isdigit() else 1
        if final == "m":
            reset = args in ("", "0")
            self.style = "" if reset else args[2:] if args.startswith("0;") else ";".join(filter(None, (self.style, args)))
            return
        if final in "hl":
            return
        self.pending = False
        if final == "A":
            self.row = max(self.row - n, self.top)
        elif final == "B":
            self.row = min(self.row + n, self.top + self.height - 1)
        elif final == "C":
            self.col = min(self.col + n, self.columns - 1)
        elif final == "H":
            self.row, self.col = self.top, 0
        elif final == "K":
            del self._line(self.row)[self.col:]
        elif final == "J":
            if args == "2":
                del self.lines[self.top:]
            else:
                del self._line(self.row)[self.col:]
                del self.lines[self.row + 1:]
        else:
            raise ValueError(f"unknown sequence ESC[{args}{final}")

    def feed(self, text):
        """Take text; an incomplete sequence at its end waits for the rest."""
        text, self.rest, i = self.rest + text, "", 0
        while i < len(text):
            ch = text[i]
            if ch == "\x1b":
                m = SEQUENCE.match(text, i)
                if not m:
                    self.rest = text[i:]
                    return
                self._sequence(m[1], m[2])
                i = m.end()
                continue
            if ch == "\n":
                self._down()
                self.pending = False
            elif ch == "\r":
                self.col, self.pending = 0, False
            elif ch == "\t":
                self.col = min(self.col // 8 * 8 + 8, self.columns - 1)
            elif ch == "\b":
                self.col = max(self.col - 1, 0)
            elif ch >= " ":
                self._put(ch)
            i += 1

    def _text(self, line):
        return "".join(c for c, _ in line).rstrip()

    def screen(self):
        """The rows that are visible, without what is blank below."""
        rows = [self._text(self._line(r)) for r in range(self.top, self.top + self.height)]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def all(self):
        """The screen and what scrolled away, as one text."""
        return "\n".join(self._text(line) for line in self.lines)

    def style_at(self, text):
        """The style of the first place where text stands."""
        for line in self.lines:
            at = "".join(c if c else "\0" for c, _ in line).find(text)
            if at >= 0:
                return line[at][1]
        return None
