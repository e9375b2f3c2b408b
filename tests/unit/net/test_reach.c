/* SPDX-License-Identifier: MIT */
/* Which addresses a client may have a server talk to: each network's edges, and every spelling. */
#include "net/reach.h"

#include "base/base.h"
#include "base/str.h"
#include "net/fetch.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <dlfcn.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct kt_reach *none;

static bool may(const struct kt_reach *r, const char *text)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return kt_reach_address(r, (struct sockaddr *)&v4);
	assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
	return kt_reach_address(r, (struct sockaddr *)&v6);
}

/* First and last address of each network that is refused, and what lies beside it. */
static void test_edges(void **state)
{
	static const struct {
		const char *before, *first, *last, *after; /* NULL: there is none, or it is refused too */
	} nets[] = {
		{ NULL, "0.0.0.0", "0.255.255.255", "1.0.0.0" },
		{ "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0" },
		{ "100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0" },
		{ "126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0" },
		{ "168.63.129.15", "168.63.129.16", "168.63.129.16", "168.63.129.17" },
		{ "169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0" },
		{ "172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0" },
		{ "191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0" },
		{ "192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0" },
		{ "192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0" },
		{ "192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0" },
		{ "198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0" },
		{ "198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0" },
		{ "203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0" },
		{ "223.255.255.255", "224.0.0.0", "255.255.255.255", NULL },
		{ NULL, "::", "::ffff", NULL },
		{ NULL, "64:ff9b::", "64:ff9b::ffff:ffff", NULL },
		{ NULL, "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", NULL },
		{ NULL, "100::", "100::ffff:ffff:ffff:ffff", NULL },
		{ NULL, "1fff:ffff::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::" },
		{ "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::", "2001:0:ffff:ffff::",
			"2001:1::" },
		{ "2001:db7:ffff:ffff::", "2001:db8::", "2001:db8:ffff:ffff::", "2001:db9::" },
		{ "2001:ffff::", "2002::", "2002:ffff:ffff:ffff::", "2003::" },
		{ "3ffe:ffff::", "3fff::", "3fff:fff:ffff::", "3fff:1000::" },
		{ "3fff:ffff::", "4000::", "5f00::", NULL },
		{ NULL, "fc00::", "fdff:ffff::", NULL },
		{ NULL, "fd00:ec2::254", "fd20:ce::254", NULL },
		{ NULL, "fe80::1", "febf:ffff::", NULL },
		{ NULL, "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL },
		/* IPv4 inside: judged as that. */
		{ "::ffff:9.255.255.255", "::ffff:10.0.0.0", "::ffff:10.255.255.255", "::ffff:11.0.0.0" },
		{ "::9.255.255.255", "::10.0.0.0", "::127.0.0.1", "::128.0.0.0" },
		{ "::ffff:8.8.8.8", "::ffff:169.254.169.254", "::ffff:127.0.0.1", NULL },
	};

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(nets); i++) {
		print_message("# %s\n", nets[i].first);
		assert_false(may(none, nets[i].first));
		assert_false(may(none, nets[i].last));
		assert_true(!nets[i].before || may(none, nets[i].before));
		assert_true(!nets[i].after || may(none, nets[i].after));
	}
}

static void test_own_addresses(void **state)
{
	struct ifaddrs *all;

	(void)state;
	assert_int_equal(getifaddrs(&all), 0);
	for (const struct ifaddrs *i = all; i; i = i->ifa_next)
		if (i->ifa_addr && (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6))
			assert_false(kt_reach_address(none, i->ifa_addr));
	freeifaddrs(all);
}

static enum kt_code url(const struct kt_reach *r, const char *text)
{
	struct kt_url u;
	enum kt_code rc = kt_url_parse(text, &u, NULL);

	if (rc != KT_OK)
		return rc;
	rc = kt_reach_url(r, &u, NULL);
	kt_url_release(&u);
	return rc;
}

static void test_spellings(void **state)
{
	static const char *const bad[] = { "https://2130706433/", "https://017700000001/",
		"https://0x7f000001/", "https://0x7F000001/", "https://127.1/", "https://127.0.1/",
		"https://0x7f.1/", "https://0177.0.0.1/", "https://0177.1/", "https://0/",
		"https://0x0/", "https://127.0.0.1./", "https://localhost./", "https://LocalHost/",
		"https://a.b.localhost/", "https://a.localhost./", "https://[::1]/",
		"https://[0:0:0:0:0:0:0:1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/",
		"https://[0:0:0:0:0:ffff:a9fe:a9fe]/", "https://[64:ff9b::a9fe:a9fe]/",
		"https://[::]/", "https://2852039166/", "https://0xa9fea9fe/",
		"https://169.254.169.254./", "https://10.1/", "https://3232235777/" };
	/* No address at all: refused where it is taken apart. */
	static const char *const wrong[] = { "https://[fe80::1%25lo]/", "https://good@127.0.0.1/",
		"https://good\\@127.0.0.1/", "https://good%00.evil/", "https://\xef\xbc\x91.1/",
		"https://127.0.0.1\t/", "https://127.0.0.1:0/", "https://127.0.0.1:65536/", "https://:1/",
		"file:///etc/passwd", "gopher://127.0.0.1/", "https://[::1/", "https://127.0.0.1#@good\n/" };
	static const char *const good[] = { "https://github.com/", "https://8.8.8.8/",
		"https://134744072/", "https://[2606:4700::1111]/", "https://localhost.example.com/",
		"https://notlocalhost/" };

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(bad); i++)
		if (url(none, bad[i]) != KT_EDENIED)
			fail_msg("%s is not refused", bad[i]);
	for (size_t i = 0; i < KT_ARRAY_LEN(wrong); i++)
		if (url(none, wrong[i]) == KT_OK)
			fail_msg("%s is not refused", wrong[i]);
	for (size_t i = 0; i < KT_ARRAY_LEN(good); i++)
		if (url(none, good[i]) != KT_OK)
			fail_msg("%s is refused", good[i]);
}

static void test_allowed(void **state)
{
	static const char *const wrong[] = { "a b/", "10.0.0.0/33", "[::1]", "::1/129", "http://x", "*" };
	struct kt_reach *r;
	struct kt_err err = KT_ERR_INIT;

	(void)state;
	assert_int_equal(kt_reach_new(" Git.Corp.Example.,10.1.0.0/16, ::1 192.168.7.7", &r, &err),
		KT_OK);
	assert_true(may(r, "10.1.255.255"));
	assert_true(may(r, "::ffff:10.1.2.3"));
	assert_false(may(r, "10.2.0.0"));
	assert_true(may(r, "::1"));
	assert_false(may(r, "127.0.0.1"));
	assert_true(may(r, "192.168.7.7"));
	assert_false(may(r, "192.168.7.8"));
	assert_true(kt_reach_names(r, "git.corp.EXAMPLE"));
	assert_false(kt_reach_names(r, "x.git.corp.example"));
	assert_int_equal(url(r, "https://[::1]/"), KT_OK);
	assert_int_equal(url(r, "https://10.1.0.1/"), KT_OK);
	assert_int_equal(url(r, "https://10.65537/"), KT_OK); /* 10.1.0.1 */
	kt_reach_free(r);
	for (size_t i = 0; i < KT_ARRAY_LEN(wrong); i++)
		assert_int_equal(kt_reach_new(wrong[i], &r, &err), KT_EINVAL);
}

/* --- connecting ------------------------------------------------------------------------------- */

static int listener(int *port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	*port = ntohs(sa.sin_port);
	return fd;
}

static struct kt_loop *loop;

static void on_ended(void *arg, enum kt_code rc, const struct kt_err *err)
{
	*(struct kt_err *)arg = *err;
	kt_loop_stop(loop);
}

static enum kt_code ask(const struct kt_reach *r, const char *host, int port, struct kt_err *err)
{
	static const struct kt_http_fetch_ops ops = { .ended = on_ended };
	KT_AUTOFREE char *text = kt_asprintf("http://%s:%d/", host, port);
	const struct kt_http_fetch_spec spec = { .method = "GET", .url = text, .total_ms = 300 };
	struct kt_http_fetcher *fetcher;

	assert_int_equal(kt_loop_new(&loop, NULL), KT_OK);
	fetcher = kt_http_fetcher_new(loop, r);
	assert_non_null(kt_http_fetch_start(fetcher, &spec, &ops, err));
	kt_loop_run(loop);
	kt_http_fetcher_free(fetcher);
	kt_loop_free(loop);
	return err->code;
}

/*
 * A name that says nothing: what it resolves to is refused when it is connected to, and nothing
 * arrives there. This machine's own name leads to an address of this machine.
 */
static void test_connected_address(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	struct kt_reach *r;
	char name[256] = "";
	int port, fd = listener(&port);

	(void)state;
	assert_int_equal(ask(none, "127.0.0.1", port, &err), KT_EDENIED);
	assert_int_equal(accept(fd, NULL, NULL), -1);
	assert_int_equal(gethostname(name, sizeof(name) - 1), 0);
	/* Refused by its address, or not known here: never reached. */
	assert_int_not_equal(ask(none, name, port, &err), KT_OK);
	assert_int_equal(accept(fd, NULL, NULL), -1);
	/* A name of /etc/hosts that no rule of names knows. */
	struct addrinfo *found = NULL;
	if (getaddrinfo("ip6-localhost", NULL, NULL, &found) == 0) {
		freeaddrinfo(found);
		assert_int_equal(ask(none, "ip6-localhost", port, &err), KT_EDENIED);
		assert_non_null(strstr(err.msg, "leads to this machine"));
	}
	/* The same connection, allowed: somebody is there, and says nothing. */
	assert_int_equal(kt_reach_new("127.0.0.0/8", &r, NULL), KT_OK);
	assert_int_equal(ask(r, "127.0.0.1", port, &err), KT_ETIMEOUT);
	int got = accept(fd, NULL, NULL);
	assert_true(got >= 0);
	(void)close(got);
	kt_reach_free(r);
	(void)close(fd);
}

/* --- a name that leads elsewhere each time it is asked for ---------------------------------------- */

static int asked_for; /* REBINDS */

#define REBINDS "rebinds.example"

/* In front of the C library's own, for libcurl too: first a public address, then this machine. */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
	const struct addrinfo *hints, struct addrinfo **res)
{
	static int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
	if (node && strcmp(node, REBINDS) == 0 && !(hints && hints->ai_flags & AI_NUMERICHOST))
		node = asked_for++ ? "127.0.0.1" : "93.184.216.34";
	return next(node, service, hints, res);
}

/* What was public when somebody looked is judged again by where the connection goes. */
static void test_rebinding(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	struct addrinfo *found = NULL;
	int port, fd = listener(&port);

	(void)state;
	assert_int_equal(url(none, "http://" REBINDS "/"), KT_OK);
	assert_int_equal(getaddrinfo(REBINDS, NULL, NULL, &found), 0);
	assert_true(kt_reach_address(none, found->ai_addr));
	freeaddrinfo(found);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask(none, REBINDS, port, &err), KT_EDENIED);
		assert_non_null(strstr(err.msg, "leads to this machine"));
	}
	assert_int_equal(accept(fd, NULL, NULL), -1);
	assert_true(asked_for >= 2); /* libcurl looked at this name, behind ours */
	(void)close(fd);
}

/* Through a proxy: it is connected to, wherever it is; what the URL says is refused all the same. */
static void test_proxy(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	int port, fd = listener(&port);
	KT_AUTOFREE char *proxy = kt_asprintf("http://user:secret@127.0.0.1:%d", port);

	(void)state;
	assert_int_equal(setenv("http_proxy", proxy, 1), 0);
	assert_int_equal(ask(none, "192.0.2.7", 80, &err), KT_EDENIED);
	assert_int_equal(ask(none, "2130706433", 80, &err), KT_EDENIED);
	assert_int_equal(accept(fd, NULL, NULL), -1);
	assert_int_equal(ask(none, "git.example.com", 80, &err), KT_ETIMEOUT);
	int got = accept(fd, NULL, NULL);
	assert_true(got >= 0);
	(void)close(got);
	(void)unsetenv("http_proxy");
	(void)close(fd);
}

static int begin(void **state)
{
	(void)state;
	return kt_reach_new(NULL, &none, NULL) == KT_OK ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	kt_reach_free(none);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_own_addresses),
		cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_connected_address),
		cmocka_unit_test(test_rebinding),
		cmocka_unit_test(test_proxy),
	};

	return cmocka_run_group_tests_name("net/reach", tests, begin, end);
}
