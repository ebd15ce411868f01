/* The flow table: an array of 64-byte slots in memory that may outlive the process, and a private index over it.
 *
 * A slot is found by label (the array index and a generation) or by key (client address and port, public
 * socket). The index is open addressing with linear probing and backward shift; half of it is always empty.
 * One thread writes. A slot's `sequence` is odd while it is being written, so that a successor in another
 * process can tell a torn slot from a whole one.
 */
#ifndef TANDEM_TABLE_H
#define TANDEM_TABLE_H
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "fastpath.h"

#define TABLE_MAGIC 0x544e444du /* TNDM */
#define TABLE_LAYOUT 1u

/* A tombstone is what a removed flow leaves in its slot until the client is silent or the slot is used again. */
enum { SLOT_FREE, SLOT_INSTALLED, SLOT_TOMBSTONE };

struct slot {
    _Atomic uint32_t sequence;
    uint8_t state, generation;
    uint16_t port;
    fp_endpoint client, peer;
    uint32_t seen; /* CLOCK_MONOTONIC in units of 1/10 s: the same for all processes since boot */
    uint16_t route[3];
    uint8_t owed; /* Python has not been told that this label has ended */
    uint8_t unused[64 - 8 - 36 - 4 - 6 - 1];
};
_Static_assert(sizeof(struct slot) == 64, "a slot is one cache line");

struct table_header {
    uint32_t magic, layout, capacity, unused;
    uint8_t hash_key[16];
    uint8_t padding[32];
};

struct entry { uint32_t slot, tag; }; /* slot + 1: zero is empty */

struct table {
    struct slot *slots;
    struct entry *index;
    size_t mask;
    uint32_t capacity;
    uint64_t key[2];
};

static inline uint64_t table_fold(uint64_t a, uint64_t b) {
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Keyed, so that nobody can choose addresses that meet in one place. */
static inline uint64_t table_hash(const struct table *t, const fp_endpoint *client, uint16_t port) {
    uint64_t high, low, rest = (uint64_t)port << 16 | (uint64_t)client->port[0] << 8 | client->port[1];
    memcpy(&high, client->address, 8);
    memcpy(&low, client->address + 8, 8);
    return table_fold(table_fold(high ^ t->key[0], low ^ t->key[1]) ^ rest, t->key[0] ^ 0x9e3779b97f4a7c15ull);
}

static inline struct slot *table_find(const struct table *t, const fp_endpoint *client, uint16_t port, uint64_t hash) {
    uint32_t tag = hash >> 32;
    for (size_t i = hash & t->mask; t->index[i].slot; i = (i + 1) & t->mask) {
        if (t->index[i].tag != tag) continue;
        struct slot *s = &t->slots[t->index[i].slot - 1];
        if (s->port == port && !memcmp(&s->client, client, sizeof *client)) return s;
    }
    return NULL;
}

static inline struct slot *table_at(const struct table *t, uint32_t label) {
    struct slot *s = label >> 8 < t->capacity ? &t->slots[label >> 8] : NULL;
    return s && s->state == SLOT_INSTALLED && s->generation == (label & 0xff) ? s : NULL;
}

static inline uint32_t table_label(const struct table *t, const struct slot *s) {
    return (uint32_t)(s - t->slots) << 8 | s->generation;
}

static inline void slot_begin(struct slot *s) {
    atomic_store_explicit(&s->sequence, atomic_load_explicit(&s->sequence, memory_order_relaxed) | 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static inline void slot_end(struct slot *s) {
    atomic_store_explicit(&s->sequence, atomic_load_explicit(&s->sequence, memory_order_relaxed) + 1, memory_order_release);
}

static inline void index_add(struct table *t, const struct slot *s) {
    uint64_t hash = table_hash(t, &s->client, s->port);
    size_t i = hash & t->mask;
    while (t->index[i].slot) i = (i + 1) & t->mask;
    t->index[i] = (struct entry){ (uint32_t)(s - t->slots) + 1, hash >> 32 };
}

static inline void index_remove(struct table *t, const struct slot *s) {
    uint32_t wanted = (uint32_t)(s - t->slots) + 1;
    size_t i = table_hash(t, &s->client, s->port) & t->mask;
    while (t->index[i].slot != wanted) i = (i + 1) & t->mask;
    for (size_t j = (i + 1) & t->mask; t->index[j].slot; j = (j + 1) & t->mask) {
        const struct slot *moved = &t->slots[t->index[j].slot - 1];
        size_t home = table_hash(t, &moved->client, moved->port) & t->mask;
        if (((j - home) & t->mask) < ((j - i) & t->mask)) continue; /* it would come before its home */
        t->index[i] = t->index[j];
        i = j;
    }
    t->index[i].slot = 0;
}

static inline void table_free(struct table *t, struct slot *s) {
    if (s->state == SLOT_FREE) return;
    index_remove(t, s);
    slot_begin(s);
    s->state = SLOT_FREE;
    slot_end(s);
}

/* Index what an earlier owner left. A torn slot, and the second of two with one key, are freed. */
static inline uint32_t table_recover(struct table *t) {
    uint32_t installed = 0;
    for (uint32_t i = 0; i < t->capacity; i++) {
        struct slot *s = &t->slots[i];
        if (s->sequence & 1) { s->state = SLOT_FREE; slot_end(s); }
        if (s->state == SLOT_FREE) continue;
        if (s->state > SLOT_TOMBSTONE || table_find(t, &s->client, s->port, table_hash(t, &s->client, s->port))) {
            s->state = SLOT_FREE;
            continue;
        }
        index_add(t, s);
        installed += s->state == SLOT_INSTALLED;
    }
    return installed;
}
#endif
