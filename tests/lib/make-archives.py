#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make-archives.py DIR: writes archives, hostile and good, and what has to become of each.

DIR/cases.txt has a line a case, separated by tabs: SET, NAME, FILE, VERDICT, TEXT. VERDICT is one
or more of ok, invalid, limit, proto (with | between). TEXT is, for a refused archive, what its
message says; for a good one, the manifest's "MODE PATH" with commas between, or =GROUP: all of a
group have the same manifest, byte for byte; or "-": not looked at.

Everything is made of bytes here, because libraries do not write what is wrong. Formats: POSIX pax
and ustar, GNU tar, RFC 1952 (gzip), RFC 8878 (zstd: raw and run-length blocks only).
"""
import hashlib
import io
import os
import struct
import subprocess
import sys
import tarfile
import zlib

OUT = sys.argv[1]
cases = []
MIB = 1 << 20
EOA = bytes(1024)


# --- compressions ---------------------------------------------------------------------------------

def gz(data, level=6):
    c = zlib.compressobj(level, zlib.DEFLATED, 31)
    return c.compress(data) + c.flush()


def gz_zeros(total):
    """Gzip of a run of zeros, without compressing all of them: a flushed piece, repeated."""
    piece = 8 * MIB
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = c.compress(bytes(piece)) + c.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(total // piece):
        crc = zlib.crc32(bytes(piece), crc)
    return (b"\x1f\x8b\x08\0\0\0\0\0\0\3" + first * (total // piece) + b"\3\0" +
            struct.pack("<II", crc, total & 0xffffffff))


def zstd_frame(blocks, window=0x58):
    """One frame of (data, times) blocks: times > 1 repeats one byte. 0x58 is a window of 2 MiB."""
    out = [struct.pack("<IBB", 0xfd2fb528, 0, window)]
    for i, (data, times) in enumerate(blocks):
        last = i == len(blocks) - 1
        if times > 1:
            out.append(struct.pack("<I", times << 3 | 1 << 1 | last)[:3] + data)
        else:
            out.append(struct.pack("<I", len(data) << 3 | last)[:3] + data)
    return b"".join(out)


def zst(data, window=0x58):
    blocks = [(data[i:i + 131072], 1) for i in range(0, len(data), 131072)] or [(b"", 1)]
    return zstd_frame(blocks, window)


# --- tar ------------------------------------------------------------------------------------------

def number(n, width):
    if n >= 8 ** (width - 1) or n < 0:
        return bytes([0x80 if n >= 0 else 0xff]) + n.to_bytes(width - 1, "big", signed=n < 0)
    return b"%0*o\0" % (width - 1, n)


def raw(s):
    return s if isinstance(s, bytes) else s.encode()


def header(name, size=0, kind="0", mode=0o644, link="", prefix="", magic=b"ustar\x0000",
           uid=0, mtime=0, extra=b"", device=(0, 0)):
    h = (raw(name)[:100].ljust(100, b"\0") + number(mode, 8) + number(uid, 8) + number(0, 8) +
         number(size, 12) + number(mtime, 12) + b" " * 8 + raw(kind) +
         raw(link)[:100].ljust(100, b"\0") + magic + b"\0" * 64 + number(device[0], 8) +
         number(device[1], 8) + raw(prefix).ljust(155, b"\0"))
    h = (h[:345] + extra if extra else h).ljust(512, b"\0")
    return h[:148] + b"%06o\0 " % sum(h) + h[156:]


def pad(data):
    return data + bytes(-len(data) % 512)


def member(name, data=b"", **more):
    data = raw(data)
    return header(name, len(data), **more) + pad(data)


def pax(records, kind="x"):
    body = b""
    for key, value in records:
        rest = b" " + raw(key) + b"=" + raw(value) + b"\n"
        n = len(rest) + 1
        while len(b"%d" % n) + len(rest) != n:
            n = len(b"%d" % n) + len(rest)
        body += b"%d" % n + rest
    return member("PaxHeaders/x", body, kind=kind)


def named(name, data=b"x", **more):
    """A file whose name only a pax header can hold."""
    return pax([("path", name)]) + member("short", data, **more)


def gnu_long(kind, text):
    return member("././@LongLink", raw(text) + b"\0", kind=kind, magic=b"ustar  \0")


def tar(*members):
    return b"".join(members) + EOA


def put(group, name, data, verdict, text="-"):
    path = f"{group}-{name}"
    with open(os.path.join(OUT, path), "wb") as f:
        if callable(data):
            data(f)
        else:
            f.write(data)
    cases.append((group, name, path, verdict, text))


A = member("a.txt", "alpha\n")


# --- bombs ----------------------------------------------------------------------------------------

def bombs():
    gib = 1 << 30
    big = header("zeros", gib)
    put("bombs", "zstd-1gib-zeros", zstd_frame([(big, 1)] + [(b"\0", 131072)] * 8192),
        "limit", "zeros")
    # Within the limit of one file: the ratio has to notice.
    small = header("zeros", 200 * MIB)
    put("bombs", "zstd-200mib-zeros", zstd_frame([(small, 1)] + [(b"\0", 131072)] * 1600),
        "limit", "max_ratio")
    whole = gz(header("zeros", gib))
    put("bombs", "gzip-1gib-zeros", whole + gz_zeros(gib), "limit", "zeros")
    put("bombs", "gzip-200mib-zeros", gz(small) + gz_zeros(200 * MIB) + gz(EOA), "limit", "max_ratio")
    inner = gz(tar(A))
    put("bombs", "gzip-in-gzip", gz(inner), "proto", "no tar archive")
    put("bombs", "gzip-thrice", gz(gz(inner)), "proto", "no tar archive")
    put("bombs", "gzip-in-zstd", zst(inner), "proto", "no tar archive")
    put("bombs", "gzip-bomb-in-gzip", gz(gz_zeros(gib)), "proto", "no tar archive")
    put("bombs", "zstd-window-2gib", zst(tar(A), window=0xa8), "limit", "window")
    put("bombs", "zstd-window-64mib", zst(tar(A), window=0x80), "limit", "window")
    put("bombs", "zstd-window-32mib", zst(tar(A), window=0x78), "ok", "100644 a.txt")
    put("bombs", "zstd-window-second-frame", zst(tar(A)[:512]) + zst(tar(A)[512:], window=0x80),
        "limit", "window")
    put("bombs", "zstd-frames", b"".join(zst(tar(A)[i:i + 100]) for i in range(0, 2048, 100)),
        "ok", "100644 a.txt")
    put("bombs", "zstd-skippable", zst(A) + struct.pack("<II", 0x184d2a53, 5) + b"hello" + zst(EOA),
        "ok", "100644 a.txt")
    put("bombs", "zstd-garbage", zst(tar(A)) + b"garbage", "proto", "frames")
    put("bombs", "zstd-cut", zst(tar(A))[:-700], "proto")
    put("bombs", "gzip-cut", gz(tar(member("r", os.urandom(5000))))[:-2500], "proto")
    put("bombs", "gzip-bad-sum", gz(tar(A))[:-8] + b"abcdefgh", "ok|proto")
    sparse = bytes(41) + number(1 << 40, 12) + number(0, 12) + bytes(24 * 3 + 1) + number(1 << 40, 12)
    put("bombs", "sparse-gnu-1tib", tar(header("sparse", 0, kind="S", magic=b"ustar  \0", extra=sparse)),
        "invalid|limit", "sparse")
    hole = bytes(41) + number(MIB, 12) + number(0, 12) + bytes(24 * 3 + 1) + number(MIB, 12)
    put("bombs", "sparse-gnu-1mib", tar(header("sparse", 0, kind="S", magic=b"ustar  \0", extra=hole)),
        "invalid", "sparse")
    put("bombs", "sparse-pax-1tib", tar(
        pax([("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "sparse"),
             ("GNU.sparse.realsize", str(1 << 40))]),
        member("GNUSparseFile.0/sparse", pad(b"1\n%d\n0\n" % (1 << 40)))), "invalid|limit", "sparse")
    put("bombs", "sparse-pax-01", tar(
        pax([("GNU.sparse.size", "1000000"), ("GNU.sparse.numblocks", "1"),
             ("GNU.sparse.map", "999999,1")]), member("sparse", "x")), "invalid", "sparse")
    put("bombs", "files-25000", gz(b"".join(header(f"f{i:06}") for i in range(25000)) + EOA, 1),
        "limit", "max_release_files")
    put("bombs", "folders-50000", gz(b"".join(header(f"d{i:06}/", kind="5") for i in range(50000)) +
                                     EOA, 1), "limit", "max_release_files")
    put("bombs", "globals-60000", gz(pax([("comment", "c")], kind="g") * 60000 + tar(A), 1),
        "ok|invalid|limit|proto")
    put("bombs", "pax-chain-60000", gz(pax([("comment", "c")]) * 60000 + tar(A), 1),
        "ok|invalid|limit|proto")
    put("bombs", "longlink-chain-60000", gz(gnu_long("L", "n") * 60000 + tar(A), 1),
        "ok|invalid|limit|proto")
    put("bombs", "depth-30000", tar(named("d/" * 30000 + "f")), "limit", "d/d/d")
    put("bombs", "pax-200mib", zstd_frame([(header("PaxHeaders", 200 * MIB, kind="x"), 1)] +
                                          [(b"a", 131072)] * 1600), "limit|proto")
    put("bombs", "longlink-200mib", zstd_frame(
        [(header("././@LongLink", 200 * MIB, kind="L", magic=b"ustar  \0"), 1)] +
        [(b"a", 131072)] * 1600), "limit|proto")
    # A gzip file that unpacks to one that begins like itself: two stored blocks deep is enough.
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\3"
    put("bombs", "gzip-quine-like", gz(head + gz(head + bytes(600))), "proto")
    put("bombs", "size-2-to-63", tar(header("huge", (1 << 63) - 1)), "limit|proto")
    put("bombs", "size-negative", tar(header("minus", -5)), "invalid|proto")
    put("bombs", "longer-than-archive", header("long", 5000) + b"x" * 600, "proto", "long")
    put("bombs", "hard-links", gz(A + header("l", kind="1", link="a.txt") * 100000 + EOA, 1),
        "invalid", "hard link")
    put("bombs", "garbage-1gib", lambda f: (f.write(tar(A)), f.truncate(gib)), "limit",
        "max_archive_bytes")
    put("bombs", "zeros-behind-gzip", gz(tar(A)) + gz_zeros(gib), "limit", "max_ratio")
    put("bombs", "garbage-behind", tar(A) + bytes(8192) + b"garbage", "invalid", "behind its end")
    put("bombs", "second-archive-behind", tar(A) + tar(member("b", "hidden")), "invalid",
        "behind its end")
    put("bombs", "empty-file", b"", "proto", "0 bytes")
    put("bombs", "one-byte", b"\x1f", "proto", "1 bytes")
    put("bombs", "empty-gzip", gz(b""), "proto")
    put("bombs", "empty-tar", EOA, "invalid", "no files")
    put("bombs", "only-folders", tar(header("d/", kind="5")), "invalid", "no files")
    put("bombs", "text", b"just some text that is no archive at all\n" * 50, "proto", "no tar")
    zip_file = io.BytesIO()
    import zipfile
    with zipfile.ZipFile(zip_file, "w") as z:
        z.writestr("../x", "x")
    put("bombs", "zip", zip_file.getvalue(), "proto", "no tar")
    put("bombs", "cpio", b"070701" + b"0" * 104 + b"../x\0\0" + bytes(600), "proto", "no tar")


# --- names ----------------------------------------------------------------------------------------

def names():
    def name(case, text, verdict="invalid", expect="-"):
        put("names", case, tar(named(text)), verdict, expect)

    name("up", "../x", expect="..")
    name("up-inside", "a/../../x", expect="..")
    name("absolute", "/x", expect="absolute")
    name("absolute-two", "//x", expect="absolute")
    name("dot-up", "./../x", expect="..")
    name("dots-inside", "a/./../x", expect="'.'")
    name("up-harmless", "a/../x", expect="..")
    name("up-only", "..", expect="..")
    name("dot-only", ".", expect="'.'")
    name("dot-slash", "./x", "ok", "100644 x")
    name("slashes", "a//x", expect="empty component")
    put("names", "empty", tar(member("", "x")), "invalid|proto")
    name("nul-pax", b"a\0/../x", "ok|invalid|proto")
    put("names", "nul-ustar", tar(member(b"a\0/../x", "x")), "ok", "100644 a")
    name("len-101", "n" * 101, "ok", "100644 " + "n" * 101)
    name("len-255", "n" * 255, "ok", "100644 " + "n" * 255)
    name("component-256", "n" * 256, expect="255 bytes")
    name("path-1024", ("p" * 63 + "/") * 15 + "q" * 64, "ok")
    name("path-1025", ("p" * 63 + "/") * 15 + "q" * 65 + "/r", "limit|ok")
    name("path-1400", ("p" * 100 + "/") * 14 + "r", "limit", "max_path_bytes")
    name("path-65536", ("p" * 200 + "/") * 327, "limit", "max_path_bytes")
    name("depth-32", "d/" * 31 + "f", "ok")
    name("depth-34", "x/" + "d/" * 33 + "f", "limit", "max_depth")
    name("depth-2000", "d/" * 500 + "f", "limit", "max_depth")
    name("backslash", "a\\..\\x", expect="backslash")
    name("drive-root", "C:\\x", expect="backslash")
    name("drive", "C:x", "ok")
    name("colon", "a:b", "ok")
    name("ends-dot", "a.", expect="dot or blank")
    name("ends-blank", "a ", expect="dot or blank")
    name("folder-ends-blank", ".git /config", expect="dot or blank")
    name("device-name", "CON", "ok")
    name("control", "a\x01b", expect="control")
    name("escape", "a\x1b[2Jb", expect="control")
    name("delete", "a\x7fb", expect="control")
    name("c1", "a\u009bb", expect="cannot be seen")
    name("newline", "a\nb", expect="control")
    name("invalid-utf8", b"a\xffb", expect="UTF-8")
    name("overlong", b"a\xc0\xafb", expect="UTF-8")
    name("surrogate", b"a\xed\xa0\x80b", expect="UTF-8")
    put("names", "invalid-utf8-ustar", tar(member(b"a\xffb", "x")), "invalid", "UTF-8")
    name("nfc", "caf\u00e9", "ok", "100644 caf\u00e9")
    put("names", "nfc-ustar", tar(member("caf\u00e9", "x")), "ok", "100644 caf\u00e9")
    name("nfd", "cafe\u0301", expect="normal form")
    name("kelvin", "\u212a", expect="normal form")
    put("names", "case-twins", tar(member("CLAUDE.md", "1"), member("claude.md", "2")), "invalid",
        "CLAUDE.md")
    put("names", "case-twins-umlaut", tar(named("\u00c4.md"), named("\u00e4.md")), "invalid")
    put("names", "case-twins-folder", tar(named(".claude/settings.json"),
                                          named(".cLaude/settings.json")), "invalid")
    put("names", "sharp-s", tar(named("stra\u00dfe"), named("strasse")), "ok|invalid")
    put("names", "ligature", tar(named("\ufb01le"), named("file")), "ok|invalid")
    name("rtl", "a\u202egpj.exe", expect="cannot be seen")
    name("zero-width", "a\u200bb", expect="cannot be seen")
    name("byte-order-mark", "\ufeffa", expect="cannot be seen")
    name("option", "-rf", expect="'-'")
    name("option-tar", "--checkpoint-action=exec=sh x", expect="'-'")
    # What tar takes of a repository beside its files is left out, whatever it is.
    name("git-hook", ".git/hooks/post-checkout", expect="no files")
    name("git-hook-case", "sub/.GiT/hooks/post-checkout", expect="no files")
    put("names", "git-beside", tar(header("./", kind="5"), header("./.git/", kind="5"),
                                   member("./.git/config", "x"), header("./.git/h", kind="1", link="./.git/config"),
                                   member("./sub/.git", "gitdir: ../x"), member("./a", "x"),
                                   member("./sub/b", "")), "ok", "100644 a,100644 sub/b")
    put("names", "git-folder-around", tar(member("top/.git/HEAD", "x"), member("top/a", "x"),
                                          member("top/.gitignore", "")), "ok", "100644 .gitignore,100644 a")
    put("names", "git-then-publish", tar(member(".git/x", ""), member("karta-publish.json", "{}")), "ok",
        "100644 karta-publish.json")
    name("gitignore", ".gitignore", "ok", "100644 .gitignore")
    name("settings", ".claude/settings.json", "ok", "100644 settings.json")
    put("names", "twice", tar(A, A), "invalid", "a.txt")
    put("names", "file-then-folder", tar(A, member("a.txt/b", "x")), "invalid", "a.txt")
    put("names", "file-then-empty-folder", tar(A, header("a.txt/", kind="5")), "invalid", "a.txt")
    put("names", "folder-then-file", tar(header("d/", kind="5"), member("d/x", ""), member("d", "x")),
        "invalid", "d")
    put("names", "folder-twice", tar(header("d/", kind="5"), header("d/", kind="5"),
                                     member("d/x", ""), member("e", "")), "ok", "100644 d/x,100644 e")
    put("names", "pax-over-ustar", tar(pax([("path", "../evil")]), member("good", "x")), "invalid",
        "..")
    put("names", "ustar-prefix-up", tar(member("x", "x", prefix="..")), "invalid", "..")
    put("names", "two-pax-paths", tar(pax([("path", "good"), ("path", "../evil")]), member("x", "x")),
        "invalid", "..")
    put("names", "global-path", tar(pax([("path", "../evil")], kind="g"), member("good", "x")),
        "ok|invalid")
    put("names", "folder-up", tar(A, header("../d/", kind="5")), "invalid", "..")
    put("names", "top-minus", tar(member("x/-rf", "1"), member("x/b", "2")), "invalid", "'-'")


# --- links ----------------------------------------------------------------------------------------

def links():
    def link(case, target, verdict="invalid", text="l", at="l"):
        put("links", case, tar(A, pax([("linkpath", target)]), header(at, kind="2", link="x")),
            verdict, text)

    link("absolute", "/etc/passwd", text="/etc/passwd")
    link("up", "../..", text="..")
    link("proc", "/proc/self/environ", text="/proc")
    link("inside", "a.txt", "ok", "100644 a.txt,120000 l")
    link("inside-up", "../a.txt", "ok", "100644 a.txt,120000 d/l", at="d/l")
    link("inside-up-far", "../../a.txt", "invalid", "..", at="d/l")
    link("down-and-up", "d/../../a.txt", "invalid", "..")
    link("escape-codes", "\x1b]0;x\x07", "ok|invalid")
    link("not-utf8", b"\xff\xfe", "invalid")
    link("long", "a/" * 2100 + "x", "limit", "target")
    link("empty", "", "invalid|ok")
    link("dash", "-rf", "invalid", "'-'", at="-rf")
    put("links", "prefix-escape", tar(member("top/a", "1"), header("top/l", kind="2", link="../x")),
        "invalid", "leaves the tree")
    put("links", "itself", tar(A, header("l", kind="2", link="l")), "ok", "100644 a.txt,120000 l")
    put("links", "chain", tar(A, header("l1", kind="2", link="a.txt"), header("l2", kind="2", link="l1"),
                              header("l3", kind="2", link="l2")), "ok")
    put("links", "chain-escape", tar(member("s/t/f", "x"), header("s/t/d", kind="2", link="../.."),
                                     header("e", kind="2", link="s/t/d/../x")), "invalid", "'e'")
    put("links", "loop", tar(A, header("l1", kind="2", link="l2"), header("l2", kind="2", link="l1")),
        "ok")
    put("links", "write-through", tar(A, header("l", kind="2", link="d"), member("l/x", "evil")),
        "invalid", "l")
    put("links", "then-file", tar(A, header("l", kind="2", link="a.txt"), member("l", "evil")),
        "invalid", "l")
    put("links", "swapped", tar(header("d/", kind="5"), member("d/a", "1"),
                                header("d", kind="2", link="/tmp"), member("d/b", "2")), "invalid")
    put("links", "slash-name", tar(A, header("l/", kind="2", link="a.txt")), "invalid|ok")
    put("links", "no-name", tar(A, header("", kind="2", link="a.txt")), "invalid|proto")
    put("links", "no-target", tar(A, header("l", kind="2")), "invalid", "target")
    put("links", "to-git", tar(A, header("l", kind="2", link=".git/config")), "ok|invalid")
    put("links", "with-body", tar(A, header("l", 700, kind="2", link="a.txt"), b"y" * 1024), "ok|proto|invalid")
    for case, target in (("absolute", "/etc/passwd"), ("up", "../x"), ("link", "l"), ("later", "z"),
                         ("inside", "a.txt"), ("prefix", "top/a")):
        put("links", "hard-" + case, tar(A, header("h", kind="1", link=target), member("z", "")),
            "invalid", "hard link")
    put("links", "hard-then-file", tar(A, header("h", kind="1", link="a.txt"), member("h", "evil")),
        "invalid", "hard link")
    put("links", "hard-with-data", tar(A, header("h", 4, kind="1", link="a.txt") + pad(b"evil")),
        "invalid", "hard link")
    put("links", "hard-to-device", tar(header("n", kind="3", device=(1, 3)),
                                       header("h", kind="1", link="n")), "invalid", "device")
    put("links", "hard-pax", tar(A, pax([("linkpath", "../../evil")]), header("h", kind="1", link="x")),
        "invalid", "hard link")


# --- kinds and modes ------------------------------------------------------------------------------

def kinds():
    put("kinds", "char", tar(A, header("n", kind="3", device=(1, 3))), "invalid", "device")
    put("kinds", "block", tar(A, header("n", kind="4", device=(8, 0))), "invalid", "device")
    put("kinds", "fifo", tar(A, header("n", kind="6")), "invalid", "FIFO")
    put("kinds", "contiguous", tar(member("c", "x", kind="7")), "ok", "100644 c")
    put("kinds", "unknown", tar(A, member("u", "x", kind="Z")), "ok|invalid|proto")
    put("kinds", "socket-mode", tar(A, member("s", "x", mode=0o140644)), "ok|invalid")
    put("kinds", "device-mode", tar(A, member("s", "x", mode=0o020644)), "ok|invalid")
    put("kinds", "long-name", tar(gnu_long("L", "l" * 150), member("x", "1", magic=b"ustar  \0")),
        "ok", "100644 " + "l" * 150)
    put("kinds", "long-name-up", tar(gnu_long("L", "../evil"), member("x", "1", magic=b"ustar  \0")),
        "invalid", "..")
    put("kinds", "long-link", tar(A, gnu_long("K", "../evil"),
                                  header("x", kind="2", link="a.txt", magic=b"ustar  \0")),
        "invalid", "..")
    put("kinds", "long-names-chained", tar(gnu_long("L", "one"), gnu_long("L", "../two"),
                                           member("x", "1", magic=b"ustar  \0")), "invalid|proto")
    put("kinds", "multi-volume", tar(A, member("part", "x", kind="M", magic=b"ustar  \0")),
        "ok|invalid|proto")
    put("kinds", "volume-label", tar(member("label", "", kind="V", magic=b"ustar  \0"), A), "ok|invalid")
    put("kinds", "dump-folder", tar(A, member("d/", b"Yx\0\0", kind="D", magic=b"ustar  \0")),
        "ok|invalid")
    put("kinds", "sparse-overlap", tar(header(
        "s", 1024, kind="S", magic=b"ustar  \0",
        extra=bytes(41) + number(0, 12) + number(512, 12) + number(0, 12) + number(512, 12) +
        bytes(24 * 2 + 1) + number(512, 12)) + b"x" * 1024), "invalid|proto")
    for case, mode, want in (("setuid", 0o4755, "100755"), ("setgid", 0o2755, "100755"),
                             ("sticky", 0o1644, "100644"), ("all", 0o777, "100755"),
                             ("none", 0, "100644"), ("group-only", 0o610, "100644")):
        put("kinds", "mode-" + case, tar(member("f", "x", mode=mode)), "ok", want + " f")
    put("kinds", "folder-mode-0", tar(header("d/", kind="5", mode=0), member("d/f", "x"),
                                      member("e", "x")), "ok", "100644 d/f,100644 e")
    put("kinds", "owner", tar(member("f", "x", uid=1234)), "ok", "100644 f")
    put("kinds", "future", tar(member("f", "x", mtime=1 << 34)), "ok", "100644 f")
    put("kinds", "xattr", tar(pax([("SCHILY.xattr.security.capability", b"\x01\0\0\x02"),
                                   ("SCHILY.acl.access", "user::rw-,group::r--,other::r--"),
                                   ("LIBARCHIVE.xattr.user.x", "eA==")]), member("f", "x")),
        "ok", "100644 f")
    put("kinds", "bad-checksum", tar(A[:148] + b"000000\0 " + A[156:]), "proto")
    put("kinds", "bad-checksum-second", tar(A, A[:148] + b"000000\0 " + A[156:]), "proto|invalid")


# --- good archives: one tree, many forms ------------------------------------------------------------

def good():
    files = [("karta.toml", b"name = \"x\"\n", 0o644), ("agents/one.md", b"# one\n", 0o644),
             ("bin/run", b"#!/bin/sh\nexit 0\n", 0o755), ("empty", b"", 0o644),
             ("\u00fcber/" + "d" * 60 + "/" + "l" * 90 + ".md", b"long\n", 0o644), ("big.bin", bytes(range(256)) * 2000, 0o644)]
    link = ("bin/again", "run")

    def build(fmt, prefix="", folders=False, shuffle=False):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=fmt, encoding="utf-8") as t:
            def add(name, **more):
                info = tarfile.TarInfo(prefix + name)
                data = more.pop("data", b"")
                info.size = len(data)
                for key, value in more.items():
                    setattr(info, key, value)
                t.addfile(info, io.BytesIO(data))
            todo = list(reversed(files)) if shuffle else files
            if folders:
                if prefix:
                    add("", type=tarfile.DIRTYPE, mode=0o755)
                for d in ("agents", "bin", "\u00fcber"):
                    add(d, type=tarfile.DIRTYPE, mode=0o755)
            for name, data, mode in todo:
                add(name, data=data, mode=mode, mtime=1000 if shuffle else 0)
            add(link[0], type=tarfile.SYMTYPE, linkname=link[1], mode=0o777)
        return out.getvalue()

    pax_tar = build(tarfile.PAX_FORMAT)
    put("good", "pax", pax_tar, "ok", "=tree")
    put("good", "gnu", build(tarfile.GNU_FORMAT), "ok", "=tree")
    put("good", "ustar", build(tarfile.USTAR_FORMAT), "ok", "=tree")
    put("good", "gzip", gz(pax_tar), "ok", "=tree")
    put("good", "gzip-members", gz(pax_tar[:1000]) + gz(pax_tar[1000:]), "ok", "=tree")
    put("good", "zstd", zst(pax_tar), "ok", "=tree")
    put("good", "folders", build(tarfile.PAX_FORMAT, folders=True), "ok", "=tree")
    put("good", "shuffled", build(tarfile.PAX_FORMAT, shuffle=True), "ok", "=tree")
    put("good", "dot", build(tarfile.PAX_FORMAT, prefix="./", folders=True), "ok", "=tree")
    put("good", "prefix", build(tarfile.PAX_FORMAT, prefix="repo-1.0/"), "ok", "=tree")
    put("good", "prefix-folders", build(tarfile.GNU_FORMAT, prefix="x/", folders=True), "ok", "=tree")
    put("good", "forge", gz(pax([("comment", "0" * 40)], kind="g") +
                            build(tarfile.PAX_FORMAT, prefix="owner-repo-abc123/", folders=True)),
        "ok", "=tree")
    tree = os.path.join(OUT, "tree")
    for name, data, mode in files:
        path = os.path.join(tree, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        os.chmod(path, mode)
    os.symlink(link[1], os.path.join(tree, link[0]))
    env = dict(os.environ, GIT_CONFIG_NOSYSTEM="1", HOME=OUT, LC_ALL="C.UTF-8")

    def run(*words):
        subprocess.run(words, cwd=tree, env=env, check=True, stdout=subprocess.DEVNULL)
    run("tar", "-cf", "../good-gnutar", ".")
    run("tar", "-czf", "../good-gnutar-gz", "--format=pax", ".")
    run("git", "init", "-q")
    run("git", "add", ".")
    run("git", "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-qm", "x")
    run("git", "archive", "--format=tar", "-o", "../good-gitarchive", "HEAD")
    run("git", "archive", "--format=tar.gz", "--prefix=repo-1/", "-o", "../good-gitarchive-gz", "HEAD")
    for name in ("gnutar", "gnutar-gz", "gitarchive", "gitarchive-gz"):
        cases.append(("good", name, "good-" + name, "ok", "=tree"))
    put("good", "one-folder-kept", tar(header("./", kind="5"), member("./src/a", "x")), "ok",
        "100644 src/a")
    put("good", "one-folder-off", tar(member("src/a", "x")), "ok", "100644 a")
    put("good", "two-tops", tar(member("a/x", "1"), member("b/x", "1")), "ok", "100644 a/x,100644 b/x")


# --- bundles --------------------------------------------------------------------------------------

def bundles():
    publish = member("karta-publish.json", '{"v":1}')

    def blob(text, name=None, **more):
        return member("blobs/" + (name or hashlib.sha256(raw(text)).hexdigest()), text, **more)

    def bundle(case, verdict, text, *members):
        put("bundles", case, zst(tar(*members)), verdict, text)

    bundle("good", "ok", "bundle", publish, blob("one"), blob("two"))
    bundle("nothing-new", "ok", "bundle", publish)
    bundle("wrong-content", "invalid", "content", publish, blob("one", "0" * 64))
    bundle("upper-case", "invalid", "belong", publish,
           blob("one", hashlib.sha256(b"one").hexdigest().upper()))
    bundle("twice", "invalid", "twice", publish, blob("one"), blob("one"))
    bundle("other-member", "invalid", "belong", publish, A)
    bundle("second-publish", "invalid", "belong", publish, publish)
    bundle("up", "invalid", "belong", publish, member("blobs/../x", "x"))
    bundle("folder", "invalid", "belong", publish, header("blobs/", kind="5"))
    bundle("link", "invalid", "belong", publish, header("blobs/" + "0" * 64, kind="2", link="x"))
    bundle("hard-link", "invalid", "hard link", publish, header("blobs/" + "0" * 64, kind="1", link="x"))
    bundle("publish-link", "ok|invalid", "-", header("karta-publish.json", kind="2", link="x"), A)
    bundle("publish-late", "ok", "100644 a.txt", A, publish)
    put("bundles", "publish-too-large", zstd_frame(
        [(header("karta-publish.json", 60 * MIB), 1)] + [(b" ", 131072)] * 480 + [(EOA, 1)]),
        "limit", "karta-publish.json")
    put("bundles", "tar", tar(publish, blob("one")), "ok", "bundle")
    put("bundles", "cut", zst(tar(publish, blob("one" * 1000))[:2000]), "proto", "blobs/")


os.makedirs(OUT, exist_ok=True)
for make in (bombs, names, links, kinds, good, bundles):
    make()
with open(os.path.join(OUT, "cases.txt"), "w", encoding="utf-8") as f:
    for case in cases:
        f.write("\t".join(case) + "\n")
print(len(cases))
