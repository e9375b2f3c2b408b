/* SPDX-License-Identifier: MIT */
/* Device authorization: codes, patience, approval, and that a key comes once. */
#include "rig.h"

#include <ctype.h>

struct login {
	char device[64], user[16], doc[96];
};

static void begin(struct rig *r, struct answer *a, struct login *l, const char *doc)
{
	struct kt_actor nobody = { .remote_ip = "127.0.0.1" };

	RUN(r, a, kt_control_device_begin(r->ctl, &nobody, doc, strlen(doc), on_answer, a));
	ASSERT_STATUS(a, 200);
	(void)kt_str_copy(l->device, sizeof(l->device), text_of(a, "device_code"));
	(void)kt_str_copy(l->user, sizeof(l->user), text_of(a, "user_code"));
	(void)snprintf(l->doc, sizeof(l->doc), "{\"device_code\":\"%s\"}", l->device);
}

static void poll_login(struct rig *r, struct answer *a, const struct login *l)
{
	struct kt_actor nobody = { .remote_ip = "127.0.0.1" };

	RUN(r, a, kt_control_device_poll(
			  r->ctl, &nobody, l->doc, strlen(l->doc), on_answer, a));
}

static void test_approve(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct login l;
	struct kt_principal who;
	int n;

	begin(r, &a, &l, "{\"client_name\":\"karta on laptop\",\"scopes\":[\"read\"]}");
	assert_string_equal(text_of(&a, "verification_uri"), "http://localhost:8000/device");
	assert_true(kt_str_ends(text_of(&a, "verification_uri_complete"), l.user));
	assert_int_equal(kt_json_int(a.doc, "expires_in", 0), 600);
	assert_int_equal(strlen(l.user), 9);
	assert_int_equal(l.user[4], '-');
	assert_int_equal(strspn(l.user, "BCDFGHJKLMNPQRSTVWXZ-"), 9);
	poll_login(r, &a, &l);
	ASSERT_STATUS(&a, 400);
	assert_string_equal(a.code, "authorization_pending");
	poll_login(r, &a, &l);
	assert_string_equal(a.code, "slow_down");
	/* Typed in any way. */
	for (char *c = l.user; *c; c++)
		*c = *c == '-' ? ' ' : (char)tolower((unsigned char)*c);
	RUN(r, &a, kt_control_device_show(r->ctl, &r->actor, l.user, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_string_equal(text_of(&a, "client_name"), "karta on laptop");
	RUN(r, &a, kt_control_device_decide(r->ctl, &r->actor, l.user, true, on_answer, &a));
	ASSERT_STATUS(&a, 204);
	assert_string_equal(last_audit(r, &a, &n), "login.approve");
	poll_login(r, &a, &l);
	ASSERT_STATUS(&a, 200);
	assert_string_equal(text_of(&a, "org"), "default");
	assert_string_equal(text_of(&a, "name"), "karta on laptop");
	assert_int_equal(kt_control_principal(r->ctl, text_of(&a, "key"), &who, NULL), KT_OK);
	assert_int_equal(who.scopes, KT_SCOPE_READ);
	assert_string_equal(who.org_id, r->admin.org_id);
	assert_string_equal(last_audit(r, &a, &n), "key.create");
	assert_null(strstr(a.json, l.device));
	poll_login(r, &a, &l);
	assert_string_equal(a.code, "expired_token");
	answer_clear(&a);
}

static void test_deny(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct login l;

	begin(r, &a, &l, "{\"client_name\":\"x\"}");
	RUN(r, &a, kt_control_device_decide(r->ctl, &r->actor, l.user, false, on_answer, &a));
	ASSERT_STATUS(&a, 204);
	poll_login(r, &a, &l);
	ASSERT_STATUS(&a, 400);
	assert_string_equal(a.code, "access_denied");
	/* Decided is decided. */
	RUN(r, &a, kt_control_device_decide(r->ctl, &r->actor, l.user, true, on_answer, &a));
	ASSERT_STATUS(&a, 404);
	answer_clear(&a);
}

static void test_needs_admin(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct login l;
	struct kt_principal plain = r->admin;
	struct kt_actor who = { .who = &plain };

	plain.scopes = KT_SCOPE_READ | KT_SCOPE_WRITE;
	begin(r, &a, &l, "{\"client_name\":\"x\"}");
	RUN(r, &a, kt_control_device_show(r->ctl, &who, l.user, on_answer, &a));
	ASSERT_STATUS(&a, 403);
	RUN(r, &a, kt_control_device_decide(r->ctl, &who, l.user, true, on_answer, &a));
	ASSERT_STATUS(&a, 403);
	poll_login(r, &a, &l);
	assert_string_equal(a.code, "authorization_pending");
	RUN(r, &a, kt_control_device_show(r->ctl, &r->actor, "BBBB-BBBB", on_answer, &a));
	ASSERT_STATUS(&a, 404);
	RUN(r, &a, kt_control_device_show(r->ctl, &r->actor, "", on_answer, &a));
	ASSERT_STATUS(&a, 404);
	answer_clear(&a);
}

/* Who approved may be gone when the machine asks. */
static void test_approver_revoked(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct login l;

	begin(r, &a, &l, "{\"client_name\":\"x\"}");
	RUN(r, &a, kt_control_device_decide(r->ctl, &r->actor, l.user, true, on_answer, &a));
	kt_index_key(r->ctl, r->admin.key_id)->revoked_us = 1;
	poll_login(r, &a, &l);
	assert_string_equal(a.code, "access_denied");
	kt_index_key(r->ctl, r->admin.key_id)->revoked_us = 0;
	RUN(r, &a, kt_control_keys(r->ctl, &r->actor, on_answer, &a));
	assert_int_equal(cJSON_GetArraySize(kt_json_arr(a.doc, "data")), 1);
	answer_clear(&a);
}

/* Two that ask at once for the same code: one key. */
static void test_one_key(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 }, b[2] = { 0 };
	struct kt_actor nobody = { .remote_ip = "127.0.0.1" };
	struct login l;

	begin(r, &a, &l, "{\"client_name\":\"x\"}");
	RUN(r, &a, kt_control_device_decide(r->ctl, &r->actor, l.user, true, on_answer, &a));
	for (int i = 0; i < 2; i++)
		kt_control_device_poll(
			r->ctl, &nobody, l.doc, strlen(l.doc), on_answer, &b[i]);
	rig_wait(r, &b[0], 1);
	rig_wait(r, &b[1], 1);
	assert_int_equal((b[0].status == 200) + (b[1].status == 200), 1);
	answer_clear(&b[0]);
	answer_clear(&b[1]);
	answer_clear(&a);
}

/* A login asked for from an address; out gets its user code. */
static void ask_from(struct rig *r, struct answer *a, const char *ip, char out[16])
{
	const char *doc = "{\"client_name\":\"x\"}";
	struct kt_actor nobody = { .remote_ip = ip };

	answer_clear(a);
	kt_control_device_begin(r->ctl, &nobody, doc, strlen(doc), on_answer, a);
	rig_wait(r, a, 1);
	ASSERT_STATUS(a, 200);
	assert_string_equal(kt_json_str(a->doc, "address"), ip);
	assert_true(kt_str_copy(out, 16, kt_json_str(a->doc, "user_code")));
}

static bool waits(struct rig *r, struct answer *a, const char *code)
{
	RUN(r, a, kt_control_device_show(r->ctl, &r->actor, code, on_answer, a));
	return a->status == 200;
}

static void test_bounds(void **state)
{
	static const char *const bad[] = { "{}", "{\"client_name\":\"\"}",
		"{\"client_name\":\" \"}", "{\"client_name\":\"a\\u200bb\"}",
		"{\"client_name\":\"\\u202eb\"}", "{\"client_name\":\"b \"}",
		"{\"client_name\":\"x\",\"scopes\":[\"root\"]}", "{\"client_name\":\"x\",\"y\":1}" };
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_actor nobody = { 0 };
	char ip[64], mine[16], approved[16], first[16] = "", code[16];

	for (size_t i = 0; i < KT_ARRAY_LEN(bad); i++) {
		RUN(r, &a, kt_control_device_begin(
				   r->ctl, &nobody, bad[i], strlen(bad[i]), on_answer, &a));
		ASSERT_STATUS(&a, 422);
	}
	/* Mine waits while others fill what is there for all. */
	ask_from(r, &a, "192.0.2.200", mine);
	ask_from(r, &a, "2001:db8::1", approved);
	RUN(r, &a, kt_control_device_decide(r->ctl, &r->actor, approved, true, on_answer, &a));
	ASSERT_STATUS(&a, 204);
	for (int i = 0; i < KT_MAX_DEVICE_CODES + 100; i++) {
		(void)snprintf(ip, sizeof(ip), "192.0.2.%d", i / (2 * KT_MAX_DEVICE_CODES_PER_IP));
		ask_from(r, &a, ip, code);
		if (i == 0)
			(void)kt_str_copy(first, sizeof(first), code);
		/* An address has its places; then its oldest goes. */
		assert_int_equal(waits(r, &a, first), i < KT_MAX_DEVICE_CODES_PER_IP);
		assert_true(waits(r, &a, code));
	}
	/* Of one /64 there are no more. */
	ask_from(r, &a, "2001:db8:0:1::1", first);
	for (int i = 0; i < KT_MAX_DEVICE_CODES_PER_IP; i++) {
		(void)snprintf(ip, sizeof(ip), "2001:db8:0:1::%x", i + 2);
		ask_from(r, &a, ip, code);
	}
	assert_false(waits(r, &a, first));
	/* All is full: those go whose address has most. */
	for (int i = 0; i < KT_MAX_DEVICE_CODES; i++) {
		(void)snprintf(ip, sizeof(ip), "198.51.%d.%d", i / 10 / 200, i / 10 % 200);
		ask_from(r, &a, ip, code);
	}
	assert_true(r->ctl->devices.len <= KT_MAX_DEVICE_CODES);
	assert_true(waits(r, &a, mine));
	assert_true(waits(r, &a, code));
	RUN(r, &a, kt_control_device_poll(r->ctl, &nobody, "{\"device_code\":\"x\"}", 19, on_answer,
			   &a));
	assert_string_equal(a.code, "expired_token");
	answer_clear(&a);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_approve),
		T(test_deny),
		T(test_needs_admin),
		T(test_approver_revoked),
		T(test_one_key),
		T(test_bounds),
	};

	return cmocka_run_group_tests_name("control/device", tests, NULL, NULL);
}
