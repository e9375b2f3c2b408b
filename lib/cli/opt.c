/* SPDX-License-Identifier: MIT */
/*
 * Parser of option tables. Values are borrowed from argv, nothing is printed, and the tables are
 * only read. One call is one command line; there is no state between calls.
 */
#include "cli/opt.h"

#include "base/str.h"

struct parser {
	const struct kt_opt_set *sets;
	size_t n;
	int argc;
	char *const *argv;
	int i; /* the next word */
	const struct kt_opt *next_arg; /* the next positional of sets[0] */
	bool *out_help;
	struct kt_opt_bad *out_bad;
	struct kt_err *err;
};

/* What a name on the command line means. */
struct match {
	const struct kt_opt *opt; /* NULL = nothing of that name */
	void *args;
	bool negated;
	bool ambiguous;
	char names[120]; /* the candidates when ambiguous */
};

/* Every table ends here, so that --help is known even where no table lists it. */
static const struct kt_opt help_opts[] = {
	{ KT_OPT_T_FLAG, 'h', "help", NULL, 0, "show help" },
	KT_OPT_END,
};

bool kt_opt_is_arg(const struct kt_opt *o)
{
	return o->type == KT_OPT_T_ARG || o->type == KT_OPT_T_ARGS;
}

bool kt_opt_takes_value(const struct kt_opt *o)
{
	if (o->flags & KT_OPT_BARE)
		return false;
	return o->type == KT_OPT_T_STR || o->type == KT_OPT_T_LIST || o->type == KT_OPT_T_INT ||
		o->type == KT_OPT_T_DURATION || o->type == KT_OPT_T_CHOICE;
}

static bool is_help(const struct kt_opt *o)
{
	return o->type == KT_OPT_T_FLAG && kt_str_eq(o->name, "help");
}

/* Walk all options (not positionals) of all sets, then help. *set and *o hold the place. */
static const struct kt_opt *next_opt(const struct parser *p, size_t *set, size_t *o)
{
	for (; *set <= p->n; (*set)++, *o = 0) {
		const struct kt_opt *t = *set < p->n ? p->sets[*set].opts : help_opts;

		while (t && t[*o].type != KT_OPT_T_END) {
			const struct kt_opt *opt = &t[(*o)++];

			if (!kt_opt_is_arg(opt))
				return opt;
		}
	}
	return NULL;
}

static void *set_args(const struct parser *p, size_t set)
{
	return set < p->n ? p->sets[set].args : NULL;
}

static void match_short(const struct parser *p, char c, struct match *m)
{
	size_t set = 0, at = 0;
	const struct kt_opt *o;

	*m = (struct match){ 0 };
	while ((o = next_opt(p, &set, &at))) {
		if (o->short_name != c)
			continue;
		m->opt = o;
		m->args = set_args(p, set);
		return;
	}
}

/* Consider one spelling of o; returns true when it is exact. */
static bool try_name(struct match *m, const struct kt_opt *o, void *args, bool negated,
	const char *name, size_t len)
{
	size_t used = strlen(m->names);
	char full[80];

	snprintf(full, sizeof(full), "%s%s", negated ? "no-" : "", o->name);
	if (strncmp(full, name, len) != 0)
		return false;
	if (full[len] == '\0') {
		*m = (struct match){ .opt = o, .args = args, .negated = negated };
		return true;
	}
	if (o->flags & KT_OPT_HIDDEN)
		return false;
	char quoted[84];

	snprintf(quoted, sizeof(quoted), "'--%s'", full);
	/* The same name in a later table is shadowed, not a second candidate. */
	if (strstr(m->names, quoted))
		return false;
	m->ambiguous = m->opt != NULL;
	if (!m->opt) {
		m->opt = o;
		m->args = args;
		m->negated = negated;
	}
	snprintf(m->names + used, sizeof(m->names) - used, "%s%s", used ? ", " : "", quoted);
	return false;
}

static bool has_negation(const struct kt_opt *o)
{
	return o->type == KT_OPT_T_FLAG && !kt_str_starts(o->name, "no-") && !is_help(o);
}

static void match_long(const struct parser *p, const char *name, size_t len, struct match *m)
{
	size_t set = 0, at = 0;
	const struct kt_opt *o;
	struct match prefix = { 0 };

	while ((o = next_opt(p, &set, &at))) {
		void *args = set_args(p, set);

		if (!o->name)
			continue;
		if (try_name(&prefix, o, args, false, name, len) ||
			(has_negation(o) && try_name(&prefix, o, args, true, name, len))) {
			*m = prefix;
			return;
		}
	}
	*m = prefix;
}

/* Name of o as the user would type it, for messages; buf holds the text. */
static const char *spell(const struct kt_opt *o, char *buf, size_t size)
{
	if (kt_opt_is_arg(o))
		snprintf(buf, size, "<%s>", o->name);
	else if (o->name)
		snprintf(buf, size, "'--%s'", o->name);
	else
		snprintf(buf, size, "'-%c'", o->short_name);
	return buf;
}

static enum kt_code bad_choice(
	const struct kt_opt *o, const char *who, const char *value, struct kt_err *err)
{
	char list[200] = "";
	size_t used = 0;
	const char *near = kt_str_nearest(value, o->choices);

	for (size_t i = 0; o->choices[i] && used < sizeof(list); i++) {
		int w = snprintf(
			list + used, sizeof(list) - used, "%s%s", i ? ", " : "", o->choices[i]);

		used += w > 0 ? (size_t)w : 0;
	}
	(void)kt_fail(err, KT_EINVAL, 0, "%s: '%s' is not one of %s", who, value, list);
	return near ? kt_hint(err, "did you mean '%s'?", near) : KT_EINVAL;
}

static bool is_choice(const struct kt_opt *o, const char *value)
{
	for (size_t i = 0; o->choices[i]; i++) {
		if (kt_str_eq(o->choices[i], value))
			return true;
	}
	return false;
}

static enum kt_code set_int(
	const struct kt_opt *o, void *at, const char *who, const char *value, struct kt_err *err)
{
	bool bounded = o->min != 0 || o->max != 0;
	int64_t v;

	if (!kt_str_int64(value, INT64_MIN, INT64_MAX, &v))
		return kt_fail(err, KT_EINVAL, 0, "%s: '%s' is not a whole number", who, value);
	if (bounded && (v < o->min || v > o->max))
		return kt_fail(err, KT_EINVAL, 0, "%s: %s is not between %lld and %lld", who, value,
			(long long)o->min, (long long)o->max);
	memcpy(at, &v, sizeof(v));
	return KT_OK;
}

/* Store the value of an option or positional. args is NULL only for --help. */
static enum kt_code set_value(const struct kt_opt *o, void *args, char *value, struct kt_err *err)
{
	void *at = (char *)args + o->offset;
	const char *borrowed = value;
	char who[80];
	int64_t ms;

	spell(o, who, sizeof(who));
	switch (o->type) {
	case KT_OPT_T_INT:
		return set_int(o, at, who, value, err);
	case KT_OPT_T_DURATION:
		if (!kt_str_duration_ms(value, &ms)) {
			(void)kt_fail(err, KT_EINVAL, 0, "%s: '%s' is not a time", who, value);
			return kt_hint(err, "write it as 90, 1500ms, 10s, 5m, 2h or 3d");
		}
		memcpy(at, &ms, sizeof(ms));
		return KT_OK;
	case KT_OPT_T_LIST:
	case KT_OPT_T_ARGS:
		if (o->choices && !is_choice(o, value))
			return bad_choice(o, who, value, err);
		kt_vec_push(at, value);
		return KT_OK;
	case KT_OPT_T_STR:
	case KT_OPT_T_CHOICE:
	case KT_OPT_T_ARG:
		if (o->choices && !is_choice(o, value))
			return bad_choice(o, who, value, err);
		memcpy(at, &borrowed, sizeof(borrowed));
		return KT_OK;
	case KT_OPT_T_END:
	case KT_OPT_T_FLAG:
	case KT_OPT_T_COUNT:
		break;
	}
	kt_assert(!"set_value: not an option with a value");
	return KT_EINTERNAL;
}

static void set_flag(const struct parser *p, const struct kt_opt *o, void *args, bool negated)
{
	if (is_help(o)) {
		*p->out_help = true;
		return;
	}
	if (o->flags & KT_OPT_BARE) {
		const char *none = "";

		memcpy((char *)args + o->offset, &none, sizeof(none));
		return;
	}
	if (o->type == KT_OPT_T_COUNT) {
		int count;

		memcpy(&count, (char *)args + o->offset, sizeof(count));
		count = count < 100 ? count + 1 : count;
		memcpy((char *)args + o->offset, &count, sizeof(count));
		return;
	}
	*(bool *)((char *)args + o->offset) = !negated;
}

/* "unknown option" with the nearest name of all tables as hint. word is as typed. */
static enum kt_code refuse_unknown_opt(
	const struct parser *p, const char *word, const char *name, size_t len)
{
	KT_AUTOFREE char *typed = kt_strndup(name, len);
	struct kt_vec names = KT_VEC_INIT;
	size_t set = 0, at = 0;
	const struct kt_opt *o;

	while ((o = next_opt(p, &set, &at))) {
		if (o->name && !(o->flags & KT_OPT_HIDDEN))
			kt_vec_push(&names, (void *)(uintptr_t)o->name);
	}
	kt_vec_push(&names, NULL);
	const char *near = kt_str_nearest(typed, (const char *const *)names.items);

	*p->out_bad = (struct kt_opt_bad){ .at = p->i - 1 };
	(void)kt_fail(p->err, KT_EINVAL, 0, "unknown option '%s'", word);
	if (near)
		(void)kt_hint(p->err, "did you mean '--%s'?", near);
	kt_vec_release(&names);
	return KT_EINVAL;
}

static enum kt_code need_value(const struct parser *p, const struct kt_opt *o)
{
	char who[80];

	*p->out_bad = (struct kt_opt_bad){ .at = p->i - 1, .known = true };
	return kt_fail(p->err, KT_EINVAL, 0, "option %s needs a value (%s)",
		spell(o, who, sizeof(who)), o->value ? o->value : "VALUE");
}

/* argv[i - 1] is "--name" or "--name=value". */
static enum kt_code parse_long(struct parser *p, char *word)
{
	char *name = word + 2;
	char *eq = strchr(name, '=');
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	struct match m = { 0 };

	if (len)
		match_long(p, name, len, &m);
	if (!m.opt) {
		KT_AUTOFREE char *shown = kt_strndup(word, len + 2);

		return refuse_unknown_opt(p, shown, name, len);
	}
	if (m.ambiguous)
		return kt_fail(p->err, KT_EINVAL, 0, "option '--%.*s' is ambiguous: %s", (int)len,
			name, m.names);
	if (!kt_opt_takes_value(m.opt)) {
		/*
		 * Left empty, by a script whose variable is unset, it must not mean the option
		 * alone.
		 */
		if (eq && !eq[1] && (m.opt->flags & KT_OPT_BARE))
			return need_value(p, m.opt);
		if (eq && (m.opt->flags & KT_OPT_BARE))
			return set_value(m.opt, m.args, eq + 1, p->err);
		if (eq)
			return kt_fail(p->err, KT_EINVAL, 0, "option '--%.*s' takes no value",
				(int)len, name);
		set_flag(p, m.opt, m.args, m.negated);
		return KT_OK;
	}
	if (eq)
		return set_value(m.opt, m.args, eq + 1, p->err);
	if (p->i >= p->argc)
		return need_value(p, m.opt);
	return set_value(m.opt, m.args, p->argv[p->i++], p->err);
}

/* word is "-x", "-xyz" (flags together) or "-pVALUE". */
static enum kt_code parse_short(struct parser *p, char *word)
{
	for (char *c = word + 1; *c; c++) {
		char shown[3] = { '-', *c, '\0' };
		struct match m;

		match_short(p, *c, &m);
		if (!m.opt) {
			/* "-port" is most likely "--port"; "-vx" is the letter x. */
			bool first = c == word + 1;

			return refuse_unknown_opt(p, first ? word : shown, word + 1,
				first && word[2] ? strlen(word + 1) : 0);
		}
		if (!kt_opt_takes_value(m.opt)) {
			set_flag(p, m.opt, m.args, false);
			if (*p->out_help)
				return KT_OK;
			continue;
		}
		if (c[1])
			return set_value(m.opt, m.args, c + 1, p->err);
		if (p->i >= p->argc)
			return need_value(p, m.opt);
		return set_value(m.opt, m.args, p->argv[p->i++], p->err);
	}
	return KT_OK;
}

/* The next positional of the table at or after o, or its END. */
static const struct kt_opt *skip_to_arg(const struct kt_opt *o)
{
	while (o->type != KT_OPT_T_END && !kt_opt_is_arg(o))
		o++;
	return o;
}

static enum kt_code parse_arg(struct parser *p, char *word)
{
	const struct kt_opt *o = skip_to_arg(p->next_arg);

	p->next_arg = o;
	if (o->type == KT_OPT_T_END) {
		(void)kt_fail(p->err, KT_EINVAL, 0, "unexpected argument '%s'", word);
		return !p->sets[0].opts || o == skip_to_arg(p->sets[0].opts)
			? KT_EINVAL
			: kt_hint(p->err, "put an argument with blanks in quotes");
	}
	if (o->type == KT_OPT_T_ARG)
		p->next_arg = o + 1;
	return set_value(o, p->sets[0].args, word, p->err);
}

static enum kt_code check_required(struct parser *p)
{
	for (const struct kt_opt *o = skip_to_arg(p->next_arg); o->type != KT_OPT_T_END;
		o = skip_to_arg(o + 1)) {
		if (!(o->flags & KT_OPT_REQUIRED))
			continue;
		if (o->type == KT_OPT_T_ARGS) {
			const struct kt_vec *v = (const void *)((char *)p->sets[0].args +
				o->offset);

			if (v->len)
				continue;
		}
		return kt_fail(p->err, KT_EINVAL, 0, "missing argument <%s>", o->name);
	}
	return KT_OK;
}

enum kt_code kt_opt_parse(const struct kt_opt_set *sets, size_t n, int argc, char *const *argv,
	bool *out_help, struct kt_opt_bad *out_bad, struct kt_err *err)
{
	bool only_args = false;
	struct parser p = { sets, n, argc, argv, 0, sets[0].opts ? sets[0].opts : help_opts,
		out_help, out_bad, err };

	*out_help = false;
	*out_bad = (struct kt_opt_bad){ .at = -1 };
	while (p.i < p.argc) {
		char *word = p.argv[p.i++];
		enum kt_code rc;

		if (!only_args && kt_str_eq(word, "--")) {
			only_args = true;
			continue;
		}
		if (only_args || word[0] != '-' || word[1] == '\0')
			rc = parse_arg(&p, word);
		else if (word[1] == '-')
			rc = parse_long(&p, word);
		else
			rc = parse_short(&p, word);
		if (rc != KT_OK || *out_help)
			return rc;
	}
	return check_required(&p);
}

/* True when the option word takes the following word as its value. */
static bool takes_next(const struct parser *p, const char *word)
{
	struct match m = { 0 };

	if (word[1] == '-') {
		if (strchr(word, '='))
			return false;
		match_long(p, word + 2, strlen(word + 2), &m);
		return m.opt && !m.ambiguous && kt_opt_takes_value(m.opt);
	}
	for (const char *c = word + 1; *c; c++) {
		match_short(p, *c, &m);
		if (m.opt && kt_opt_takes_value(m.opt))
			return c[1] == '\0';
	}
	return false;
}

int kt_opt_first_positional(const struct kt_opt_set *sets, size_t n, int argc, char *const *argv)
{
	struct parser p = { .sets = sets, .n = n, .argc = argc, .argv = argv };

	for (int i = 0; i < argc; i++) {
		const char *word = argv[i];

		if (kt_str_eq(word, "--"))
			return argc;
		if (word[0] != '-' || word[1] == '\0')
			return i;
		if (takes_next(&p, word))
			i++;
	}
	return argc;
}

void kt_opt_release(const struct kt_opt *opts, void *args)
{
	for (const struct kt_opt *o = opts; o && o->type != KT_OPT_T_END; o++) {
		if (o->type == KT_OPT_T_LIST || o->type == KT_OPT_T_ARGS)
			kt_vec_release((void *)((char *)args + o->offset));
	}
}
