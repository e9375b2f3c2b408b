/* SPDX-License-Identifier: MIT */
/*
 * Servers one has signed in to, each under a name. Names and addresses are in `credentials`, a file
 * of mode 0600 in the configuration folder; the key is there too, or with a Secret Service, which
 * is reached through the program karta-credential-secretservice (it speaks as git's credential
 * helpers do, and keeps GLib out of this one).
 */
#ifndef KT_CMD_PROFILE_H
#define KT_CMD_PROFILE_H

#include "base/err.h"

struct kt_profile {
	char *name;
	char *server; /* without a slash at its end */
	char *key; /* NULL: none is stored */
	char *org; /* slug, or NULL */
	char *key_id; /* or NULL */
	int64_t expires_us; /* of the key, 0 = never or not known */
	bool minted; /* the key was made for this machine by `karta login` */
	bool secret_service; /* the key is there, else in the file */
};
void kt_profile_release(struct kt_profile *p);
#define KT_AUTO_PROFILE __attribute__((cleanup(kt_profile_release)))

/*
 * The profile called name; else (name NULL) the one of this server; else (both NULL) the one used
 * last for signing in. Returns KT_OK, KT_ENOTFOUND, KT_EDENIED (the file is readable by others),
 * KT_EIO (also: it is damaged).
 */
KT_MUST_CHECK enum kt_code kt_profile_find(
	const char *name, const char *server, struct kt_profile *out, struct kt_err *err);
/* How many profiles there are; 0 when they cannot be read. */
size_t kt_profile_count(void);
/* Store it, key and all, and make it the default. *p says afterwards where the key went. */
KT_MUST_CHECK enum kt_code kt_profile_save(struct kt_profile *p, struct kt_err *err);
/* Forget it with its key. */
KT_MUST_CHECK enum kt_code kt_profile_forget(const struct kt_profile *p, struct kt_err *err);
/* Path of the file; the caller's. */
KT_MUST_CHECK char *kt_profile_path(void);
/* "karta.example" of "https://karta.example:8443/base": a name for a profile. The caller's. */
KT_MUST_CHECK char *kt_profile_name_of(const char *server);

#endif
