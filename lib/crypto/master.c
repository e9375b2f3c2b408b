/* SPDX-License-Identifier: MIT */
/* The master key: its file, and the memory that holds what is derived from it. */
#include "crypto/crypto_private.h"

#include "base/fs.h"
#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Names in the derivation; changing one makes everything stored useless. */
#define KDF_CONTEXT "karta-mk"
enum { KDF_HASH = 1, KDF_SEAL = 2 };

static enum kt_code sync_master_folder(const char *path, struct kt_err *err)
{
	KT_AUTOFREE char *dir = kt_path_dir(path);
	KT_AUTOFD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd))
		return kt_fail(err, KT_EIO, errno, "cannot sync '%s'", dir);
	return KT_OK;
}

static enum kt_code write_key(const char *path, struct kt_err *err)
{
	unsigned char key[KT_MASTER_BYTES];
	KT_AUTOFD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	enum kt_code rc;

	if (fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot create '%s'", path);
	kt_rand_bytes(key, sizeof(key));
	rc = kt_fs_write_all(fd, key, sizeof(key), err);
	kt_secret_wipe(key, sizeof(key));
	/* The umask may have taken the owner's rights. */
	if (rc == KT_OK && (fchmod(fd, 0600) || fsync(fd)))
		rc = kt_fail(err, KT_EIO, errno, "cannot write '%s'", path);
	return rc;
}

/*
 * Make the file. It gets its name by link(2), which does not replace: of two servers that start at
 * once one makes the key and both use it.
 */
static enum kt_code create_master(const char *path, struct kt_err *err)
{
	char id[KT_ID_MAX];
	KT_AUTOFREE char *tmp = NULL;
	enum kt_code rc;

	kt_rand_id(".new-", id);
	tmp = kt_asprintf("%s%s", path, id);
	rc = write_key(tmp, err);
	if (rc == KT_OK && link(tmp, path) && errno != EEXIST)
		rc = kt_fail(err, KT_EIO, errno, "cannot create '%s'", path);
	(void)unlink(tmp); /* also after a failure, when it may not be there */
	return rc == KT_OK ? sync_master_folder(path, err) : rc;
}

static enum kt_code check_master_file(int fd, const char *path, struct kt_err *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return kt_fail(err, KT_EIO, errno, "cannot read '%s'", path);
	if (!S_ISREG(st.st_mode))
		return kt_fail(err, KT_EIO, 0, "'%s' is no file", path);
	if (st.st_mode & 077) {
		kt_fail(err, KT_EDENIED, 0,
			"the master key '%s' is open to other users (mode %04o)", path,
			(unsigned)(st.st_mode & 07777));
		return kt_hint(err, "chmod 600 '%s'", path);
	}
	if (st.st_size != KT_MASTER_BYTES)
		return kt_fail(err, KT_EIO, 0, "'%s' is no master key: it has %lld bytes, not %d",
			path, (long long)st.st_size, KT_MASTER_BYTES);
	return KT_OK;
}

static enum kt_code derive_master(
	const unsigned char *key, struct kt_master **out, struct kt_err *err)
{
	const struct kt_sodium *sodium = kt_crypto_sodium();
	/* Between guard pages, locked where RLIMIT_MEMLOCK allows it, and left out of core files.
	 */
	struct kt_master *m = sodium->malloc(sizeof(*m));

	if (!m)
		return kt_fail(err, KT_ENOMEM, errno, "no memory for the master key");
	kt_assert(sodium->kdf(m->hash, sizeof(m->hash), KDF_HASH, KDF_CONTEXT, key) == 0);
	kt_assert(sodium->kdf(m->seal, sizeof(m->seal), KDF_SEAL, KDF_CONTEXT, key) == 0);
	(void)sodium->readonly(m); /* one more guard, where the system has it */
	*out = m;
	return KT_OK;
}

enum kt_code kt_master_open(
	const char *path, bool may_create, struct kt_master **out, struct kt_err *err)
{
	unsigned char key[KT_MASTER_BYTES];
	/* Not waiting when it is a FIFO, which check_master_file() refuses. */
	int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC;
	KT_AUTOFD int fd = -1;
	enum kt_code rc = kt_crypto_init(err);
	ssize_t n;

	if (rc != KT_OK)
		return rc;
	fd = open(path, flags);
	if (fd < 0 && errno == ENOENT && may_create) {
		rc = create_master(path, err);
		if (rc != KT_OK)
			return rc;
		fd = open(path, flags);
	}
	if (fd < 0)
		return kt_fail(err, errno == ENOENT ? KT_ENOTFOUND : KT_EIO, errno,
			"cannot open the master key '%s'", path);
	rc = check_master_file(fd, path, err);
	if (rc != KT_OK)
		return rc;
	n = read(fd, key, sizeof(key));
	if (n == (ssize_t)sizeof(key))
		rc = derive_master(key, out, err);
	else
		rc = kt_fail(err, KT_EIO, n < 0 ? errno : 0, "cannot read '%s'", path);
	kt_secret_wipe(key, sizeof(key));
	return rc;
}

void kt_master_free(struct kt_master *m)
{
	if (m)
		kt_crypto_sodium()->free(m); /* wipes */
}
