/* SPDX-License-Identifier: MIT */
/*
 * The string map: linear probing in a power-of-two table that is at most three quarters full,
 * counting the tombstones of removed keys. Hash: SipHash-1-3 with a key drawn once a process.
 */
#include "base/map.h"

#include "base/rand.h"

#include <pthread.h>
#include <string.h>

#define FIRST_SLOTS 16

struct kt_map_slot {
	uint64_t hash;
	char *key; /* NULL = never used, tombstone = removed */
	void *value;
};

static char tombstone[1];
static uint64_t sip_key[2];
static pthread_once_t sip_once = PTHREAD_ONCE_INIT;

static void draw_sip_key(void)
{
	kt_rand_bytes(sip_key, sizeof(sip_key));
}

static inline uint64_t rotate_left(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate_left(v[1], 13) ^ v[0];
	v[3] = rotate_left(v[3], 16) ^ v[2];
	v[0] = rotate_left(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate_left(v[1], 17) ^ v[2];
	v[3] = rotate_left(v[3], 21) ^ v[0];
	v[2] = rotate_left(v[2], 32);
}

/* Little-endian word of n (at most 8) bytes. */
static inline uint64_t load_word(const unsigned char *p, size_t n)
{
	uint64_t w = 0;

	for (size_t i = 0; i < n; i++)
		w |= (uint64_t)p[i] << (8 * i);
	return w;
}

static uint64_t hash_of(const char *key)
{
	const unsigned char *p = (const unsigned char *)key;
	size_t len = strlen(key), left = len;
	uint64_t v[4], w;

	pthread_once(&sip_once, draw_sip_key);
	v[0] = sip_key[0] ^ 0x736f6d6570736575u;
	v[1] = sip_key[1] ^ 0x646f72616e646f6du;
	v[2] = sip_key[0] ^ 0x6c7967656e657261u;
	v[3] = sip_key[1] ^ 0x7465646279746573u;
	for (; left >= 8; left -= 8, p += 8) {
		w = load_word(p, 8);
		v[3] ^= w;
		sip_round(v);
		v[0] ^= w;
	}
	w = load_word(p, left) | (uint64_t)len << 56;
	v[3] ^= w;
	sip_round(v);
	v[0] ^= w;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct kt_map_slot *find_map_slot(const struct kt_map *m, const char *key, uint64_t hash)
{
	if (!m->cap)
		return NULL;
	for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct kt_map_slot *s = &m->slots[i];

		if (!s->key)
			return NULL;
		if (s->key != tombstone && s->hash == hash && !strcmp(s->key, key))
			return s;
	}
}

/* The first slot that a key which is not in the table may take. */
static struct kt_map_slot *find_room(struct kt_map_slot *slots, size_t cap, uint64_t hash)
{
	size_t i = hash & (cap - 1);

	while (slots[i].key && slots[i].key != tombstone)
		i = (i + 1) & (cap - 1);
	return &slots[i];
}

/* A new table with room for one more key; drops the tombstones, so it may be of the same size. */
static void rebuild_map(struct kt_map *m)
{
	size_t cap = m->cap ? m->cap : FIRST_SLOTS;
	struct kt_map_slot *slots;

	if (m->len >= cap / 2)
		cap *= 2;
	slots = kt_calloc(cap, sizeof(*slots));
	for (size_t i = 0; i < m->cap; i++) {
		struct kt_map_slot *s = &m->slots[i];

		if (s->key && s->key != tombstone)
			*find_room(slots, cap, s->hash) = *s;
	}
	free(m->slots);
	m->slots = slots;
	m->cap = cap;
	m->used = m->len;
}

void *kt_map_get(const struct kt_map *m, const char *key)
{
	struct kt_map_slot *s = m->len ? find_map_slot(m, key, hash_of(key)) : NULL;

	return s ? s->value : NULL;
}

void *kt_map_set(struct kt_map *m, const char *key, void *value)
{
	uint64_t hash = hash_of(key);
	struct kt_map_slot *s = find_map_slot(m, key, hash);
	void *old;

	kt_assert(value);
	if (s) {
		old = s->value;
		s->value = value;
		return old;
	}
	if (m->used + 1 > m->cap / 4 * 3)
		rebuild_map(m);
	s = find_room(m->slots, m->cap, hash);
	if (!s->key)
		m->used++;
	s->hash = hash;
	s->key = kt_strdup(key);
	s->value = value;
	m->len++;
	return NULL;
}

void *kt_map_del(struct kt_map *m, const char *key)
{
	struct kt_map_slot *s = find_map_slot(m, key, hash_of(key));
	void *old;

	if (!s)
		return NULL;
	old = s->value;
	/* key may be this very string (a walk gives it), so nothing reads it from here on. */
	free(s->key);
	s->key = tombstone;
	s->value = NULL;
	m->len--;
	return old;
}

bool kt_map_next(const struct kt_map *m, size_t *pos, const char **out_key, void **out_value)
{
	while (*pos < m->cap) {
		const struct kt_map_slot *s = &m->slots[(*pos)++];

		if (!s->key || s->key == tombstone)
			continue;
		if (out_key)
			*out_key = s->key;
		if (out_value)
			*out_value = s->value;
		return true;
	}
	return false;
}

void kt_map_release(struct kt_map *m)
{
	for (size_t i = 0; i < m->cap; i++) {
		if (m->slots[i].key != tombstone)
			free(m->slots[i].key);
	}
	free(m->slots);
	m->slots = NULL;
	m->len = 0;
	m->cap = 0;
	m->used = 0;
}
