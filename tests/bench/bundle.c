/* SPDX-License-Identifier: MIT */
/*
 * Packs a commit as a push does, into a file: bundle REPOSITORY FILE. Linked with the objects of
 * the karta that is measured. The repository's cache of digests is not there at the first push, so
 * whoever measures removes it (.git/karta).
 */
#include "base/base.h"
#include "git/git.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static enum kt_code pack(const char *dir, int fd, struct kt_err *err)
{
	struct kt_tree_options opts = { .progress = NULL };
	struct kt_tree *tree = NULL;
	const struct kt_manifest *m;
	const char **digests;
	enum kt_code rc;
	int64_t bytes;

	kt_pack_limits_init(&opts.limits);
	rc = kt_tree_commit(dir, "HEAD", &opts, &tree, err);
	if (rc != KT_OK)
		return rc;
	m = kt_tree_manifest(tree);
	digests = kt_calloc(m->n_files, sizeof(*digests));
	for (size_t i = 0; i < m->n_files; i++)
		digests[i] = m->files[i].digest;
	rc = kt_tree_bundle(tree, "{}", digests, m->n_files, fd, &bytes, err);
	free(digests);
	kt_tree_free(tree);
	return rc;
}

int main(int argc, char **argv)
{
	struct kt_err err = KT_ERR_INIT;
	int fd = argc == 3 ? open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;

	if (fd < 0 || pack(argv[1], fd, &err) != KT_OK) {
		fprintf(stderr, "bundle: %s\n", err.msg[0] ? err.msg : "bundle REPOSITORY FILE");
		return 1;
	}
	return close(fd) == 0 ? 0 : 1;
}
