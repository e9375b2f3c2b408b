/* SPDX-License-Identifier: MIT */
/* Removal of credentials; see redact.h. Pure. Rather too much is hidden than too little. */
#include "text/redact.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define KEEP 4 /* characters that stay, so that a person can tell which key it was */
/* Shorter secrets stay hidden whole: four characters of them would be too much of it. */
#define KEEP_FROM 12

static const struct {
	const char *prefix;
	size_t least; /* characters that must follow: "sk-learn" is no key */
	bool at_word; /* only where a word begins: "task-..." is no key */
} kinds[] = {
	{ "kt_live_", 1, false },
	{ "kt_test_", 1, false },
	{ "whsec_", 1, false },
	{ "sk-ant-", 1, false },
	{ "sk-", 12, true },
	{ "ghp_", 20, false },
	{ "gho_", 20, false },
	{ "ghs_", 20, false },
	{ "ghu_", 20, false },
	{ "github_pat_", 20, false },
};

/* Characters of a key; a bearer token may have more (RFC 6750, token68). */
static bool is_key_char(char c, bool token68)
{
	if (isalnum((unsigned char)c) || c == '_' || c == '-')
		return true;
	return c != '\0' && strchr(token68 ? "._~+/=" : "+/=", c) != NULL;
}

static size_t secret_len(const char *s, const char *end, bool token68)
{
	size_t n = 0;

	while (s + n < end && is_key_char(s[n], token68))
		n++;
	return n;
}

/* Bytes of the prefix at s, 0 when no credential starts here. */
static size_t match_prefix(const char *s, const char *end, bool at_word, size_t *out_secret)
{
	size_t left = (size_t)(end - s);
	size_t n = 6;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i].prefix);

		if (left < len || memcmp(s, kinds[i].prefix, len) != 0 ||
			(kinds[i].at_word && !at_word))
			continue;
		*out_secret = secret_len(s + len, end, false);
		if (*out_secret >= kinds[i].least)
			return len;
	}
	if (left < 7 || strncasecmp(s, "bearer", 6) != 0 || (s[6] != ' ' && s[6] != '\t'))
		return 0;
	while (n < left && (s[n] == ' ' || s[n] == '\t'))
		n++;
	*out_secret = secret_len(s + n, end, true);
	return *out_secret > 0 ? n : 0;
}

void kt_redact_add(struct kt_buf *b, const char *s, size_t len)
{
	const char *end = s + len;
	const char *run = s;
	bool at_word = true;

	while (s < end) {
		size_t secret = 0;
		/* Every prefix begins with one of these; most bytes end here. */
		size_t n = strchr("kwsbBg", *s) && *s ? match_prefix(s, end, at_word, &secret) : 0;

		at_word = !isalnum((unsigned char)*s);
		if (n == 0) {
			s++;
			continue;
		}
		kt_buf_add(b, run, (size_t)(s + n - run));
		kt_buf_adds(b, "***");
		s += n + secret;
		if (secret >= KEEP_FROM)
			kt_buf_add(b, s - KEEP, KEEP);
		run = s;
		at_word = false;
	}
	kt_buf_add(b, run, (size_t)(s - run));
}

/* Bytes of a loopback host at s, 0 when there is none. *out_sure: it can be nothing else. */
static size_t local_host(const char *s, const char *end, bool *out_sure)
{
	static const char *const names[] = { "localhost", "[::1]", "0.0.0.0", "127." };
	size_t left = (size_t)(end - s), len = 0;

	for (size_t i = 0; !len && i < sizeof(names) / sizeof(names[0]); i++) {
		size_t n = strlen(names[i]);

		if (left >= n && strncasecmp(s, names[i], n) == 0) {
			len = n;
			*out_sure = i > 0;
		}
	}
	if (len == 4) {
		while (len < left && (isdigit((unsigned char)s[len]) || s[len] == '.'))
			len++;
		while (s[len - 1] == '.')
			len--;
		/* "127.0.0.1", not the version "127.0". */
		if (len < 9)
			return 0;
	}
	if (len && len < left && (isalnum((unsigned char)s[len]) || s[len] == '-'))
		return 0;
	if (len && len + 1 < left && s[len] == '.' && isalnum((unsigned char)s[len + 1]))
		return 0;
	return len;
}

/* Bytes of an address of this machine at s, a word's beginning; 0 when there is none. */
static size_t local_address(const char *s, const char *end)
{
	static const char *const schemes[] = { "http://", "https://", "ws://", "wss://", "tcp://" };
	const char *at = s;
	bool sure = false;
	size_t n;

	for (size_t i = 0; at == s && i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		n = strlen(schemes[i]);
		if ((size_t)(end - s) > n && strncasecmp(s, schemes[i], n) == 0)
			at = s + n;
	}
	n = local_host(at, end, &sure);
	if (!n)
		return 0;
	sure = sure || at > s;
	at += n;
	if (at + 1 < end && *at == ':' && isdigit((unsigned char)at[1])) {
		sure = true;
		for (at++; at < end && isdigit((unsigned char)*at);)
			at++;
	}
	if (at < end && *at == '/') {
		while (at < end && !strchr(" \t\r\n\"'()<>,;", *at))
			at++;
	}
	return sure ? (size_t)(at - s) : 0;
}

void kt_redact_local_add(struct kt_buf *b, const char *s, size_t len)
{
	const char *end = s + len, *run = s;
	bool at_word = true;

	while (s < end) {
		size_t n = at_word && strchr("hHwWtTlL[01", *s) && *s ? local_address(s, end) : 0;

		at_word = !isalnum((unsigned char)*s) && !strchr("._-", *s);
		if (n == 0) {
			s++;
			continue;
		}
		kt_buf_add(b, run, (size_t)(s - run));
		kt_buf_adds(b, "(local address)");
		s += n;
		run = s;
		at_word = false;
	}
	kt_buf_add(b, run, (size_t)(s - run));
}
