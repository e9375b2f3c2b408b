/* SPDX-License-Identifier: MIT */
/*
 * Packing: a manifest of content-addressed files, and one archive of what the other side lacks of
 * them; an archive becomes files again, guarded. Where files come from (commits, folders) is
 * git/git.h.
 *
 * The manifest is text: one line a file, sorted by the bytes of the path, each
 *     MODE SP SIZE SP SHA256 SP PATH LF
 * with MODE 100644, 100755 or 120000 (symbolic link: its target is the content). Its own SHA-256 is
 * the release's digest; so the same tree has the same digest however it traveled.
 *
 * A bundle is a tar archive compressed with zstd (RFC 8878): first `karta-publish.json`, then
 * `blobs/SHA256` for each file that is sent.
 *
 * Blocking; one object one thread. libarchive (archive_dl.c) is loaded on first use. Sources:
 * gitignore(5) for patterns; POSIX.1-2017 pax.
 */
#ifndef KT_PACK_PACK_H
#define KT_PACK_PACK_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "crypto/crypto.h"

enum kt_file_mode { KT_MODE_FILE = 0100644, KT_MODE_EXEC = 0100755, KT_MODE_LINK = 0120000 };

struct kt_file {
	const char *path; /* relative, '/' between, UTF-8, checked by kt_pack_path_check() */
	enum kt_file_mode mode;
	int64_t size;
	char digest[KT_DIGEST_MAX];
};

/* Limits of what is packed and unpacked; each refusal names the member and the limit. */
struct kt_pack_limits {
	int64_t max_files; /* 20000 */
	int64_t max_bytes; /* unpacked, 512 MiB */
	int64_t max_file_bytes; /* one file, 256 MiB */
	int64_t max_archive_bytes; /* as sent, 100 MiB */
	int64_t max_ratio; /* unpacked to sent, after the first 8 MiB: 200 */
	int64_t max_path_bytes; /* 1024 */
	int64_t max_depth; /* 32 */
	int64_t max_ms; /* 60000 */
};
/* The defaults, from base/limits.h. */
void kt_pack_limits_init(struct kt_pack_limits *l);
/* Limits that nothing reaches: for text that was checked when it was made. */
extern const struct kt_pack_limits kt_pack_no_limits;

struct kt_manifest {
	struct kt_arena *arena; /* owns everything below */
	struct kt_file *files; /* sorted by path */
	size_t n_files;
	int64_t n_bytes; /* sum of sizes */
	char digest[KT_DIGEST_MAX];
	char *text; /* that the paths are in, or NULL */
};
void kt_manifest_free(struct kt_manifest *m); /* NULL is fine */
/*
 * A path that may be in a release: relative, no empty, "." or ".." component, no ".git" component
 * (any case), UTF-8 in NFC without control, bidi or zero-width characters, no backslash, no
 * component that begins with '-' at the root, ends with a dot or blank or is longer than 255 bytes;
 * length and depth within limits. Returns KT_OK or KT_EINVAL / KT_ELIMIT naming path and reason.
 */
KT_MUST_CHECK enum kt_code kt_pack_path_check(
	const char *path, size_t len, const struct kt_pack_limits *l, struct kt_err *err);
/*
 * Parse manifest text strictly: order, no duplicate, no two paths that are one when case is folded,
 * no file that is also a folder, links that stay inside the tree only (needs targets: checked by
 * who has the content, kt_manifest_check_link()), limits. Returns KT_EPROTO, KT_EINVAL, KT_ELIMIT.
 */
KT_MUST_CHECK enum kt_code kt_manifest_parse(const char *text, size_t len,
	const struct kt_pack_limits *l, struct kt_manifest **out, struct kt_err *err);
/* The same without a copy: TAKES what text holds, which is empty afterwards. */
KT_MUST_CHECK enum kt_code kt_manifest_take(struct kt_buf *text, const struct kt_pack_limits *l,
	struct kt_manifest **out, struct kt_err *err);
/*
 * An array of files that grows, its paths in an arena: what a manifest is made from.
 * Zero-initialize, end with kt_files_release().
 */
struct kt_files {
	struct kt_arena *arena;
	struct kt_file *items;
	size_t len, cap;
};

/* Append a file and return it; path is copied, digest is "". */
struct kt_file *kt_files_add(
	struct kt_files *f, const char *path, size_t len, enum kt_file_mode mode, int64_t size);
/* Free everything; empty and usable again. */
void kt_files_release(struct kt_files *f);
/* Sort, check as above and make a manifest of n files (copied). */
KT_MUST_CHECK enum kt_code kt_manifest_make(const struct kt_file *files, size_t n,
	const struct kt_pack_limits *l, struct kt_manifest **out, struct kt_err *err);
/* Append the text. */
void kt_manifest_render(const struct kt_manifest *m, struct kt_buf *out);
/* File by path, NULL when there is none. */
const struct kt_file *kt_manifest_find(const struct kt_manifest *m, const char *path);
/* A link's target must lead from its folder to a place inside the tree. KT_OK or KT_EINVAL. */
KT_MUST_CHECK enum kt_code kt_manifest_check_link(
	const struct kt_file *link, const char *target, size_t len, struct kt_err *err);
/* Append the difference: "-PATH LF" and "+LINE", sorted by path. Empty when they are equal. */
void kt_manifest_delta(
	const struct kt_manifest *base, const struct kt_manifest *next, struct kt_buf *out);
/* base plus delta. Returns as kt_manifest_parse(); KT_EPROTO when the delta does not fit. */
KT_MUST_CHECK enum kt_code kt_manifest_apply(const struct kt_manifest *base, const char *delta,
	size_t len, const struct kt_pack_limits *l, struct kt_manifest **out, struct kt_err *err);

/* The path looks like that of a secret, by its name; templates (.env.example) do not. */
bool kt_pack_secret(const char *path);
/* A pattern with *, ?, [] and **, of gitignore(5), matched against a whole path. */
bool kt_pack_glob(const char *pattern, const char *path);

/* --- archives ---------------------------------------------------------------------------- */

/*
 * Begin to load libarchive (3 ms) in a thread of its own and return at once, for callers that have
 * other work before they write a bundle. Never needed; cannot fail.
 */
void kt_archive_warm(void);

/* A file's content in memory; end with kt_content_release(). */
struct kt_content {
	const void *data;
	size_t len;
	void *owner; /* what data is in, for free_owner; or NULL */
	void (*free_owner)(void *owner);
};
void kt_content_release(struct kt_content *c); /* zeroed is fine */

/* Takes the next bytes of a file; what it returns but KT_OK ends the file. */
typedef enum kt_code (*kt_piece_fn)(void *arg, const void *data, size_t len, struct kt_err *err);

/*
 * Where the contents of a bundle's files come from: of file number i of its manifest. Two threads
 * call these at once.
 */
struct kt_bundle_source {
	/* The whole content, as long as the manifest says. */
	enum kt_code (*read)(void *arg, size_t i, struct kt_content *out, struct kt_err *err);
	/* A file that is given in pieces when it is written and not read before; NULL: none is. */
	bool (*in_pieces)(void *arg, size_t i);
	/* Give such a file to piece(to, ..), as much as the manifest says. */
	enum kt_code (*pieces)(
		void *arg, size_t i, kt_piece_fn piece, void *to, struct kt_err *err);
	void *arg;
};
/*
 * Write a bundle to fd: publish_json, then the contents of those files of m whose digest is in
 * `digests` (n strings; each once). *out_bytes is what was written. Returns KT_OK, KT_EINVAL (no
 * file has such a digest), KT_EIO or what the source failed with.
 */
KT_MUST_CHECK enum kt_code kt_bundle_write(const struct kt_manifest *m,
	const struct kt_bundle_source *source, const char *publish_json, const char *const *digests,
	size_t n, int fd, int64_t *out_bytes, struct kt_err *err);
/*
 * Write the whole tree as an archive to fd: format "tar.zst", "tar.gz" or "tar". Deterministic: no
 * owner, time 0, sorted. read(arg, file, buf, err) appends a file's content.
 */
typedef enum kt_code (*kt_file_read_fn)(
	void *arg, const struct kt_file *f, struct kt_buf *out, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_archive_write(const struct kt_manifest *m, const char *format,
	kt_file_read_fn read, void *arg, int fd, struct kt_err *err);

/*
 * Unpack an archive (fd, from its current position) into the empty folder `staging`: each file as
 * blobs/DIGEST, and
 *  - of a bundle: `publish.json` (its first member);
 *  - of any other tar (as it is, or compressed once by gzip or zstd): `manifest`, after the one
 * folder that holds all members, if there is one, is taken off (as forges' tarballs have it).
 * Regular files, folders and links that stay inside only; everything of struct kt_pack_limits is
 * checked while reading. Returns KT_OK, KT_EINVAL (what and which member), KT_ELIMIT (which limit),
 * KT_EPROTO (no archive, or damaged), KT_EIO, KT_ETIMEOUT.
 */
struct kt_unpacked {
	bool bundle;
	int64_t n_files, n_bytes;
};
KT_MUST_CHECK enum kt_code kt_unpack(int fd, const char *staging, const struct kt_pack_limits *l,
	struct kt_unpacked *out, struct kt_err *err);
/*
 * The one-shot worker: argv is {"karta-unpack", ARCHIVE, STAGING, LIMITS-JSON}, or {.., "-"} for
 * one that is started ahead: it loads its libraries, and its job comes on stdin, to the end of it,
 * as
 * {"archive":"..","staging":"..","limits":{..}}; no job, no harm (KT_ECANCEL). Takes its rights
 * away first (no network and only the needed system calls by seccomp where the kernel has it, only
 * STAGING writable by Landlock, rlimits), unpacks, prints one line of JSON on stdout:
 * {"ok":true,"bundle":..,"files":n,"bytes":n} or {"ok":false,"code":"..","message":".."}.
 * Returns the exit status (0 ok, 1 refused).
 */
int kt_unpack_worker(int argc, char **argv);

/* --- whole folders, as they are: backups ------------------------------------------------- */

struct kt_tarball; /* a tar archive that is being written */
/* Begin a tar archive at fd (BORROWED until the end). kt_tarball_end() ends it. */
KT_MUST_CHECK enum kt_code kt_tarball_new(int fd, struct kt_tarball **out, struct kt_err *err);
/* Add a file of these bytes. */
KT_MUST_CHECK enum kt_code kt_tarball_bytes(struct kt_tarball *t, const char *name, mode_t mode,
	const void *data, size_t len, struct kt_err *err);
/*
 * Add the regular file at fd, from its beginning, with its mode and as long as it is now: one that
 * grows meanwhile is cut there, one that becomes shorter is filled up with zeros.
 */
KT_MUST_CHECK enum kt_code kt_tarball_file(
	struct kt_tarball *t, const char *name, int fd, struct kt_err *err);
/*
 * Add all below the folder dir under `name`: folders, regular files and links (as links, wherever
 * they lead). Pipes, sockets and devices are left out, as is what vanishes meanwhile; what cannot
 * be read is left out with a line in the log. A missing dir is fine.
 */
KT_MUST_CHECK enum kt_code kt_tarball_folder(
	struct kt_tarball *t, const char *dir, const char *name, struct kt_err *err);
/* SHA-256 of the file that was added last, as it was copied. */
const char *kt_tarball_digest(const struct kt_tarball *t);
/*
 * From now on each member has a line in a list, which is written to the empty file fd (BORROWED);
 * kt_tarball_list_end() adds the list itself as the member `name`, for kt_tarball_check().
 */
void kt_tarball_list(struct kt_tarball *t, int fd);
KT_MUST_CHECK enum kt_code kt_tarball_list_end(
	struct kt_tarball *t, const char *name, struct kt_err *err);
/* Finish when rc is KT_OK, then free. Returns rc or what finishing failed with. */
KT_MUST_CHECK enum kt_code kt_tarball_end(
	struct kt_tarball *t, enum kt_code rc, struct kt_err *err);
/*
 * Unpack such an archive (as it is, or compressed by gzip or zstd) from fd into the folder dir,
 * with the modes of files and no owners. Nothing gets outside of dir, also not through links. What
 * is there already is not replaced. Synced when it returns. With skip, what can be read of a
 * damaged archive is unpacked (kt_tarball_check() then tells what that is). Returns KT_OK,
 * KT_EPROTO (no archive, damaged, a member that cannot be) or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_tarball_unpack(
	int fd, const char *dir, bool skip, struct kt_err *err);
struct kt_tarball_check {
	const char *dir; /* what was unpacked */
	const char *list; /* name of its list */
	/* A member is not what the list says, or on no list; what completes a sentence. */
	void (*found)(void *arg, const char *name, const char *what);
	void *arg;
	bool remove; /* such members, but those that keep() wants; not when the list is damaged */
	bool (*keep)(const char *name);
};
/* Is all of a folder what its list says? Returns KT_OK also when not, KT_EIO. */
KT_MUST_CHECK enum kt_code kt_tarball_check(const struct kt_tarball_check *how, struct kt_err *err);

#endif
