/* SPDX-License-Identifier: MIT */
/*
 * The bus: something changed, and who keeps what depends on it looks again. What is told is a topic
 * and a number, never what changed: a listener reads that where it is kept, so one that was late,
 * or heard of two changes at once, or of none that concerns it, does the right thing. All of it is
 * on the loop's thread.
 */
#ifndef KT_EVENT_BUS_H
#define KT_EVENT_BUS_H

#include "base/base.h"

struct kt_bus;

enum kt_topic {
	KT_TOPIC_KEYS, /* a key or a browser's session ended: revoked, expired, signed out */
	KT_TOPICS
};

/* number: how many changes of the topic there were, this one included. */
typedef void (*kt_bus_fn)(void *arg, enum kt_topic topic, uint64_t number);

/* Who listens: the caller's memory, zeroed before kt_bus_listen(). */
struct kt_listener {
	kt_bus_fn fn;
	void *arg;
	enum kt_topic topic;
	struct kt_bus *bus; /* NULL: it does not listen */
	struct kt_listener *next, **at;
};

/* A new one; the caller's, kt_bus_free(). */
KT_MUST_CHECK struct kt_bus *kt_bus_new(void);
/* Listeners that are left hear nothing any more. NULL is fine. */
void kt_bus_free(struct kt_bus *bus);
/* Call fn for each change of the topic from now on. bus NULL: there will be none. */
void kt_bus_listen(
	struct kt_bus *bus, struct kt_listener *l, enum kt_topic topic, kt_bus_fn fn, void *arg);
/* The end of it, also inside fn. Who does not listen may leave. */
void kt_bus_leave(struct kt_listener *l);
/*
 * Something of the topic changed, and whoever reads it now finds it so. The listeners are called
 * before this returns; when one of them changes the topic again, all are called once more after it.
 * bus NULL is fine.
 */
void kt_bus_tell(struct kt_bus *bus, enum kt_topic topic);

#endif
