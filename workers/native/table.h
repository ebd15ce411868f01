/* The flow table: slots of 64 bytes and an index over them, in memory that outlives the process.
 *
 * A slot is found by label (its number and a generation) or by key (client address and port, public socket; of a
 * flow that comes from a Global Relay: the relay's, and its label).
 * The index is open addressing with linear probing and backward shift; half of it is always empty.
 *
 * One thread of one process writes. Siblings read, so whatever they may meet half-written is either one atomic
 * word (an index entry) or under a slot's `sequence`, which is odd while the slot is being written. A successor
 * tells a torn slot from a whole one by it.
 */
#ifndef TANDEM_TABLE_H
#define TANDEM_TABLE_H
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include "fastpath.h"

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
    uint8_t raised; /* what the client sends goes up, until the flow is installed again */
    uint32_t installed; /* the how-manieth of its process; of an earlier one's flows, zero */
    uint32_t far; /* label at the Global Relay; zero for a client of our own */
};
_Static_assert(sizeof(struct slot) == 64, "a slot is one cache line");

/* tag << 24 | slot + 1; the tag is the upper byte of the hash, and zero is empty. Small, so that the caches hold more. */
typedef _Atomic uint32_t table_entry;
#define ENTRY_SLOT 0xffffffu

struct table {
    struct slot *slots;
    table_entry *index;
    size_t mask;
    uint32_t capacity;
    uint64_t key[2];
};

static inline uint32_t entry_at(const struct table *t, size_t i) {
    return atomic_load_explicit(&t->index[i & t->mask], memory_order_relaxed);
}

static inline void entry_set(struct table *t, size_t i, uint32_t entry) {
    atomic_store_explicit(&t->index[i & t->mask], entry, memory_order_relaxed);
}

static inline uint64_t table_fold(uint64_t a, uint64_t b) {
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Keyed, so that nobody can choose addresses that meet in one place. */
static inline uint64_t table_hash(const struct table *t, const fp_endpoint *client, uint16_t port, uint32_t far) {
    uint64_t high, low, rest = (uint64_t)far << 32 | (uint64_t)port << 16 | (uint64_t)client->port[0] << 8 | client->port[1];
    memcpy(&high, client->address, 8);
    memcpy(&low, client->address + 8, 8);
    return table_fold(table_fold(high ^ t->key[0], low ^ t->key[1]) ^ rest, t->key[0] ^ 0x9e3779b97f4a7c15ull);
}

static inline uint64_t slot_hash(const struct table *t, const struct slot *s) {
    return table_hash(t, &s->client, s->port, s->far);
}

static inline int slot_is(const struct slot *s, const fp_endpoint *client, uint16_t port, uint32_t far) {
    return s->port == port && s->far == far && !memcmp(&s->client, client, sizeof *client);
}

/* The owner's look-up: every entry of its index names a slot of its table (`kept.h` sees to that). */
static inline struct slot *table_find(const struct table *t, const fp_endpoint *client, uint16_t port, uint32_t far, uint64_t hash) {
    uint32_t entry;
    for (size_t i = hash; (entry = entry_at(t, i)); i++) {
        if (entry >> 24 != hash >> 56) continue;
        struct slot *s = &t->slots[(entry & ENTRY_SLOT) - 1];
        if (slot_is(s, client, port, far)) return s;
    }
    return NULL;
}

/* A batch of look-ups in three passes: so a million flows cost the memory's latency once, not once per datagram.
 * The second finds the slot by its tag, wherever it was displaced to: a guess that is wrong for one in four would
 * leave the third waiting for memory. */
static inline void table_find_all(const struct table *t, const fp_endpoint *clients, uint16_t port, int n, struct slot **found) {
    uint64_t hashes[n];
    for (int i = 0; i < n; i++) {
        hashes[i] = table_hash(t, &clients[i], port, 0);
        __builtin_prefetch((const void *)&t->index[hashes[i] & t->mask]);
    }
    for (int i = 0; i < n; i++) {
        uint32_t entry;
        size_t at = hashes[i];
        while ((entry = entry_at(t, at)) && entry >> 24 != hashes[i] >> 56) at++;
        found[i] = entry ? &t->slots[(entry & ENTRY_SLOT) - 1] : NULL;
        if (entry) __builtin_prefetch(found[i], 1);
    }
    for (int i = 0; i < n; i++)
        if (found[i] && !slot_is(found[i], &clients[i], port, 0)) found[i] = table_find(t, &clients[i], port, 0, hashes[i]);
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

/* For any thread and process but the writer's: 0 if the slot was being written meanwhile. */
static inline int slot_copy(const struct slot *s, struct slot *out) {
    uint32_t before = atomic_load_explicit(&s->sequence, memory_order_acquire);
    memcpy((uint8_t *)out + sizeof out->sequence, (const uint8_t *)s + sizeof s->sequence, sizeof *s - sizeof s->sequence);
    atomic_thread_fence(memory_order_acquire);
    return !(before & 1) && atomic_load_explicit(&s->sequence, memory_order_relaxed) == before;
}

static inline void index_add(struct table *t, const struct slot *s) {
    uint64_t hash = slot_hash(t, s);
    size_t i = hash;
    while (entry_at(t, i)) i++;
    entry_set(t, i, (uint32_t)(hash >> 56) << 24 | (uint32_t)(s - t->slots + 1));
}

/* A slot that is not in the index stays out of it. */
static inline void index_remove(struct table *t, const struct slot *s) {
    uint32_t wanted = (uint32_t)(s - t->slots + 1);
    size_t i = slot_hash(t, s) & t->mask;
    uint32_t entry;
    for (; ((entry = entry_at(t, i)) & ENTRY_SLOT) != wanted; i = (i + 1) & t->mask)
        if (!entry) return;
    for (size_t j = (i + 1) & t->mask; (entry = entry_at(t, j)); j = (j + 1) & t->mask) {
        size_t home = slot_hash(t, &t->slots[(entry & ENTRY_SLOT) - 1]) & t->mask;
        if (((j - home) & t->mask) < ((j - i) & t->mask)) continue; /* it would come before its home */
        entry_set(t, i, entry);
        i = j;
    }
    entry_set(t, i, 0);
}

static inline void table_free(struct table *t, struct slot *s) {
    if (s->state == SLOT_FREE) return;
    index_remove(t, s);
    slot_begin(s);
    s->state = SLOT_FREE;
    slot_end(s);
}
#endif
