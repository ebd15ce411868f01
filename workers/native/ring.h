/* Rings between two threads, each with one producer and one consumer: of upcalls, in bytes, with entries of 8-byte
 * multiples, never split over the end, bounded in bytes and in number; and of commands, all of one size. */
#ifndef TANDEM_RING_H
#define TANDEM_RING_H
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include "fastpath.h"

#ifndef RING_BYTES /* tests have less, which is sooner full */
#define RING_BYTES (1u << 20)
#endif

struct ring {
    _Alignas(64) _Atomic uint32_t head; /* the consumer's */
    _Alignas(64) _Atomic uint32_t tail; /* the producer's; both run on for ever and wrap at 2^32 */
    _Atomic uint32_t taken;             /* entries, the consumer's */
    uint32_t pushed, limit;             /* entries, the producer's */
    uint8_t *bytes;
};

/* The producer's: entries that wait, some of which may just have been taken. */
static inline uint32_t ring_count(struct ring *r) {
    return r->pushed - atomic_load_explicit(&r->taken, memory_order_acquire);
}

static inline int ring_push(struct ring *r, fp_upcall *entry, const void *payload) {
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    uint32_t at = tail & (RING_BYTES - 1), size = ((uint32_t)sizeof *entry + entry->length + 7u) & ~7u;
    uint32_t skip = RING_BYTES - at < size ? RING_BYTES - at : 0;
    if (RING_BYTES - (tail - head) < size + skip) return 0;
    if (ring_count(r) >= r->limit) return 0;
    r->pushed++;
    if (skip) {
        memset(r->bytes + at, 0, 4);
        tail += skip;
        at = 0;
    }
    entry->size = size;
    memcpy(r->bytes + at, entry, sizeof *entry);
    if (entry->length) memcpy(r->bytes + at + sizeof *entry, payload, entry->length);
    atomic_store_explicit(&r->tail, tail + size, memory_order_seq_cst);
    return 1;
}

/* Copy whole entries to `out`, as many as there is room for. */
static inline size_t ring_take(struct ring *r, uint8_t *out, size_t room) {
    size_t taken = 0;
    uint32_t entries = atomic_load_explicit(&r->taken, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_seq_cst);
    while (head != tail) {
        uint32_t at = head & (RING_BYTES - 1), size;
        memcpy(&size, r->bytes + at, 4);
        if (!size) { head += RING_BYTES - at; continue; }
        if (taken + size > room) break;
        memcpy(out + taken, r->bytes + at, size);
        taken += size;
        head += size;
        entries++;
    }
    atomic_store_explicit(&r->taken, entries, memory_order_release);
    atomic_store_explicit(&r->head, head, memory_order_release);
    return taken;
}

#define COMMANDS 8192

struct commands { /* the other way: one producer, one consumer, entries of one size */
    _Alignas(64) _Atomic uint32_t head; /* the consumer's */
    _Alignas(64) _Atomic uint32_t tail; /* the producer's */
    fp_command entries[COMMANDS];
};

static inline int commands_push(struct commands *c, const fp_command *command) {
    uint32_t tail = atomic_load_explicit(&c->tail, memory_order_relaxed);
    if (tail - atomic_load_explicit(&c->head, memory_order_acquire) == COMMANDS) return 0;
    c->entries[tail & (COMMANDS - 1)] = *command;
    atomic_store_explicit(&c->tail, tail + 1, memory_order_release);
    return 1;
}

/* The oldest, until it is popped. */
static inline const fp_command *commands_first(struct commands *c) {
    uint32_t head = atomic_load_explicit(&c->head, memory_order_relaxed);
    return head == atomic_load_explicit(&c->tail, memory_order_acquire) ? NULL : &c->entries[head & (COMMANDS - 1)];
}

static inline void commands_pop(struct commands *c) {
    atomic_store_explicit(&c->head, atomic_load_explicit(&c->head, memory_order_relaxed) + 1, memory_order_release);
}
#endif
