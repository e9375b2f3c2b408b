/* SPDX-License-Identifier: MIT */
/*
 * Clocks and time text. Times are UTC throughout; the zone of the machine is for what a person
 * reads and types on it.
 */
#include "base/time.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define US_PER_S ((int64_t)1000000)
/* Years 0000 to 9999, all that RFC 3339 can write. */
#define MIN_SECONDS ((int64_t)-62167219200)
#define MAX_SECONDS ((int64_t)253402300799)

static int64_t clock_us(clockid_t id)
{
	struct timespec ts;

	kt_assert(clock_gettime(id, &ts) == 0);
	return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

int64_t kt_time_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

int64_t kt_mono_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

static char *add_two_digits(char *p, int n)
{
	*p++ = (char)('0' + n / 10);
	*p++ = (char)('0' + n % 10);
	return p;
}

void kt_time_iso(int64_t us, bool with_us, char *out, size_t size)
{
	int64_t seconds = us / US_PER_S, fraction = us % US_PER_S;
	char part[24] = "";
	struct tm tm;
	time_t t;

	kt_assert(size >= 33);
	if (fraction < 0) {
		fraction += US_PER_S;
		seconds--;
	}
	seconds = KT_MIN(KT_MAX(seconds, MIN_SECONDS), MAX_SECONDS);
	t = (time_t)seconds;
	kt_assert(gmtime_r(&t, &tm) != NULL);
	if (with_us)
		snprintf(part, sizeof(part), ".%06d", (int)fraction);
	/*
	 * By hand: each session in an answer has two of them, and snprintf() was most of its cost.
	 */
	char *p = add_two_digits(
		add_two_digits(out, (tm.tm_year + 1900) / 100), (tm.tm_year + 1900) % 100);
	*p++ = '-';
	p = add_two_digits(p, tm.tm_mon + 1);
	*p++ = '-';
	p = add_two_digits(p, tm.tm_mday);
	*p++ = 'T';
	p = add_two_digits(p, tm.tm_hour);
	*p++ = ':';
	p = add_two_digits(p, tm.tm_min);
	*p++ = ':';
	p = add_two_digits(p, tm.tm_sec);
	for (const char *q = part; *q; q++)
		*p++ = *q;
	memcpy(p, "+00:00", sizeof("+00:00"));
}

/* n digits at *s within [min, max], then the byte end unless 0; moves *s past both. */
static bool read_time_number(const char **s, size_t n, int64_t min, int64_t max, char end, int *out)
{
	int64_t v;

	if (strnlen(*s, n) < n || **s == '-' || !kt_str_int64n(*s, n, min, max, &v))
		return false;
	if (end && (*s)[n] != end)
		return false;
	*s += n + (end != 0);
	*out = (int)v;
	return true;
}

static int days_in_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/* "Z" or "+hh:mm" to the end of the text. */
static bool parse_zone(const char *s, int *out_seconds)
{
	int hours, minutes, sign = *s == '-' ? -1 : 1;

	if (*s == 'Z' || *s == 'z') {
		*out_seconds = 0;
		return !s[1];
	}
	if (*s != '+' && *s != '-')
		return false;
	s++;
	if (!read_time_number(&s, 2, 0, 23, ':', &hours) ||
		!read_time_number(&s, 2, 0, 59, 0, &minutes) || *s)
		return false;
	*out_seconds = sign * (hours * 3600 + minutes * 60);
	return true;
}

bool kt_time_parse(const char *s, int64_t *out_us)
{
	int64_t seconds, fraction = 0, scale = US_PER_S;
	struct tm tm = { 0 };
	int zone, year, month;

	if (kt_str_int64(s, MIN_SECONDS, MAX_SECONDS, &seconds)) {
		*out_us = seconds * US_PER_S;
		return true;
	}
	if (!read_time_number(&s, 4, 0, 9999, '-', &year) ||
		!read_time_number(&s, 2, 1, 12, '-', &month) ||
		!read_time_number(&s, 2, 1, days_in_month(year, month), 0, &tm.tm_mday))
		return false;
	/* RFC 3339 5.6: "T" in either case; a blank is common in what people paste. */
	if (*s != 'T' && *s != 't' && *s != ' ')
		return false;
	s++;
	/* Second 60 is a leap second and counts as the first of the next minute. */
	if (!read_time_number(&s, 2, 0, 23, ':', &tm.tm_hour) ||
		!read_time_number(&s, 2, 0, 59, ':', &tm.tm_min) ||
		!read_time_number(&s, 2, 0, 60, 0, &tm.tm_sec))
		return false;
	if (*s == '.') {
		size_t n = strspn(s + 1, "0123456789");

		if (!n)
			return false;
		for (size_t i = 1; i <= n && scale > 1; i++) {
			scale /= 10;
			fraction += (s[i] - '0') * scale;
		}
		s += n + 1;
	}
	if (!parse_zone(s, &zone))
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	seconds = (int64_t)timegm(&tm) - zone;
	*out_us = seconds * US_PER_S + fraction;
	return true;
}

void kt_time_ago(int64_t us, int64_t now_us, char *out, size_t size)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {
		{ 365 * 86400, "year" },
		{ 30 * 86400, "month" },
		{ 86400, "day" },
		{ 3600, "hour" },
		{ 60, "minute" },
		{ 1, "second" },
	};
	bool future = us > now_us;
	int64_t diff;

	if (__builtin_sub_overflow(future ? us : now_us, future ? now_us : us, &diff))
		diff = INT64_MAX;
	diff /= US_PER_S;
	for (size_t i = 0; i < KT_ARRAY_LEN(units); i++) {
		long long n = diff / units[i].seconds;

		if (!n)
			continue;
		snprintf(out, size, "%s%lld %s%s%s", future ? "in " : "", n, units[i].name,
			n == 1 ? "" : "s", future ? "" : " ago");
		return;
	}
	snprintf(out, size, "just now");
}

#define DAY_S ((int64_t)86400)

void kt_time_local(int64_t us, char *out, size_t size)
{
	time_t t = (time_t)KT_MIN(KT_MAX(us / US_PER_S, MIN_SECONDS), MAX_SECONDS);
	struct tm tm;

	if (localtime_r(&t, &tm))
		snprintf(out, size, "%04d-%02d-%02d %02d:%02d:%02d", tm.tm_year + 1900,
			tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	else
		kt_str_copy(out, size, "?");
}

static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
	"Oct", "Nov", "Dec" };

void kt_time_log(int64_t us, char *out, size_t size)
{
	time_t t = (time_t)KT_MIN(KT_MAX(us / US_PER_S, MIN_SECONDS), MAX_SECONDS);
	struct tm tm;

	if (localtime_r(&t, &tm))
		snprintf(out, size, "%s %2d %02d:%02d:%02d", months[tm.tm_mon], tm.tm_mday,
			tm.tm_hour, tm.tm_min, tm.tm_sec);
	else
		kt_str_copy(out, size, "?");
}

bool kt_time_parse_local(const char *s, int64_t now_us, int64_t *out_us)
{
	static const char *const forms[] = { "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d",
		"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%H:%M:%S", "%H:%M" };
	time_t now = (time_t)(now_us / US_PER_S), t;

	for (size_t i = 0; i < KT_ARRAY_LEN(forms); i++) {
		bool today = kt_str_starts(forms[i], "%H");
		struct tm tm = { .tm_mday = 1 }, day;
		const char *end;

		if (!localtime_r(&now, &day))
			return false;
		if (today) {
			tm = day;
			tm.tm_sec = 0;
		}
		end = strptime(s, forms[i], &tm);
		if (!end || *end)
			continue;
		tm.tm_isdst = -1;
		day = tm;
		t = mktime(&tm);
		/* There is no February 31. */
		if (tm.tm_mday != day.tm_mday)
			return false;
		if (today && t > now) {
			tm.tm_mday--;
			tm.tm_isdst = -1;
			t = mktime(&tm);
		}
		*out_us = (int64_t)t * US_PER_S;
		return true;
	}
	return false;
}

void kt_time_human(int64_t us, int64_t now_us, char *out, size_t size)
{
	int64_t s = us / US_PER_S, now_s = now_us / US_PER_S,
		away = s > now_s ? s - now_s : now_s - s;
	time_t t = (time_t)KT_MIN(KT_MAX(s, MIN_SECONDS), MAX_SECONDS), now = (time_t)now_s;
	struct tm tm, today;

	if (away < DAY_S || !localtime_r(&t, &tm) || !localtime_r(&now, &today)) {
		kt_time_ago(us, now_us, out, size);
		return;
	}
	if (tm.tm_year == today.tm_year || away < 180 * DAY_S)
		snprintf(out, size, "%s %d %02d:%02d", months[tm.tm_mon], tm.tm_mday, tm.tm_hour,
			tm.tm_min);
	else
		snprintf(out, size, "%s %d %d", months[tm.tm_mon], tm.tm_mday, tm.tm_year + 1900);
}
