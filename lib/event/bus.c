/* SPDX-License-Identifier: MIT */
/* The bus inside one process. */
#include "event/bus.h"

#include <stdlib.h>

struct kt_bus {
	struct of_topic {
		struct kt_listener *first;
		struct kt_listener *next; /* who is called next, while it is told */
		uint64_t number;
		bool telling;
	} topics[KT_TOPICS];
};

struct kt_bus *kt_bus_new(void)
{
	return kt_calloc(1, sizeof(struct kt_bus));
}

void kt_bus_free(struct kt_bus *bus)
{
	if (!bus)
		return;
	for (size_t i = 0; i < KT_TOPICS; i++)
		while (bus->topics[i].first)
			kt_bus_leave(bus->topics[i].first);
	free(bus);
}

void kt_bus_listen(
	struct kt_bus *bus, struct kt_listener *l, enum kt_topic topic, kt_bus_fn fn, void *arg)
{
	if (!bus)
		return;
	l->fn = fn;
	l->arg = arg;
	l->topic = topic;
	l->bus = bus;
	l->at = &bus->topics[topic].first;
	while (*l->at)
		l->at = &(*l->at)->next;
	*l->at = l;
	l->next = NULL;
}

void kt_bus_leave(struct kt_listener *l)
{
	if (!l->bus)
		return;
	if (l->bus->topics[l->topic].next == l)
		l->bus->topics[l->topic].next = l->next;
	*l->at = l->next;
	if (l->next)
		l->next->at = l->at;
	l->bus = NULL;
}

void kt_bus_tell(struct kt_bus *bus, enum kt_topic topic)
{
	struct of_topic *t = bus ? &bus->topics[topic] : NULL;
	uint64_t number;

	if (!t)
		return;
	t->number++;
	if (t->telling)
		return;
	t->telling = true;
	do {
		number = t->number;
		for (struct kt_listener *l = t->first; l; l = t->next) {
			t->next = l->next;
			l->fn(l->arg, topic, number);
		}
	} while (t->number != number);
	t->telling = false;
}
