/* SPDX-License-Identifier: MIT */
/* The bus: who is told, in which order, and who comes and goes meanwhile. */
#include "event/bus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct ear {
	struct kt_listener l;
	struct kt_bus *bus;
	int n;
	uint64_t last;
	struct ear *drops, *adds; /* when it hears */
	int tells; /* changes the topic again, that often */
};

static void hear(void *arg, enum kt_topic topic, uint64_t number)
{
	struct ear *e = arg;

	e->n++;
	e->last = number;
	if (e->drops)
		kt_bus_leave(&e->drops->l);
	if (e->adds && !e->adds->l.bus)
		kt_bus_listen(e->bus, &e->adds->l, topic, hear, e->adds);
	if (e->tells-- > 0)
		kt_bus_tell(e->bus, topic);
}

#define EARS()                                                                                     \
	struct kt_bus *bus = kt_bus_new();                                                         \
	struct ear a = { .bus = bus }, b = { .bus = bus }, c = { .bus = bus };                     \
	kt_bus_listen(bus, &a.l, KT_TOPIC_KEYS, hear, &a);                                         \
	kt_bus_listen(bus, &b.l, KT_TOPIC_KEYS, hear, &b)

#define HEARD(e, times, number)                                                                    \
	do {                                                                                       \
		assert_int_equal((e).n, times);                                                    \
		assert_int_equal((e).last, number);                                                \
	} while (0)

static void counts(void **state)
{
	EARS();

	kt_bus_tell(bus, KT_TOPIC_KEYS);
	kt_bus_tell(bus, KT_TOPIC_KEYS);
	HEARD(a, 2, 2);
	kt_bus_leave(&a.l);
	kt_bus_leave(&a.l); /* again is harmless */
	kt_bus_leave(&c.l); /* as it is for who never came */
	kt_bus_listen(bus, &c.l, KT_TOPIC_KEYS, hear, &c);
	kt_bus_tell(bus, KT_TOPIC_KEYS);
	HEARD(a, 2, 2);
	HEARD(b, 3, 3);
	HEARD(c, 1, 3);
	kt_bus_free(bus);
	assert_null(b.l.bus);
}

static void leaving_meanwhile(void **state)
{
	EARS();

	/* Who is next, who was before, and who speaks. */
	kt_bus_listen(bus, &c.l, KT_TOPIC_KEYS, hear, &c);
	a.drops = &b;
	kt_bus_tell(bus, KT_TOPIC_KEYS);
	HEARD(b, 0, 0);
	HEARD(c, 1, 1);
	a.drops = NULL;
	c.drops = &a;
	kt_bus_tell(bus, KT_TOPIC_KEYS);
	HEARD(a, 2, 2);
	HEARD(c, 2, 2);
	c.drops = &c;
	kt_bus_tell(bus, KT_TOPIC_KEYS);
	kt_bus_tell(bus, KT_TOPIC_KEYS);
	HEARD(c, 3, 3);
	kt_bus_free(bus);
}

static void coming_meanwhile(void **state)
{
	EARS();

	/* Of the last one: it is not known whether it has read already. */
	b.adds = &c;
	kt_bus_tell(bus, KT_TOPIC_KEYS);
	kt_bus_tell(bus, KT_TOPIC_KEYS);
	HEARD(c, 1, 2);
	kt_bus_free(bus);
}

static void changed_by_a_listener(void **state)
{
	EARS();

	b.tells = 2;
	kt_bus_listen(bus, &c.l, KT_TOPIC_KEYS, hear, &c);
	kt_bus_tell(bus, KT_TOPIC_KEYS);
	HEARD(a, 3, 3);
	HEARD(b, 3, 3);
	HEARD(c, 3, 3);
	kt_bus_free(bus);
}

static void without_a_bus(void **state)
{
	struct ear a = { 0 };

	kt_bus_listen(NULL, &a.l, KT_TOPIC_KEYS, hear, &a);
	kt_bus_tell(NULL, KT_TOPIC_KEYS);
	kt_bus_leave(&a.l);
	kt_bus_free(NULL);
	assert_int_equal(a.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts),
		cmocka_unit_test(leaving_meanwhile),
		cmocka_unit_test(coming_meanwhile),
		cmocka_unit_test(changed_by_a_listener),
		cmocka_unit_test(without_a_bus),
	};

	return cmocka_run_group_tests_name("event/bus", tests, NULL, NULL);
}
