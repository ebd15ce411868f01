/* The two rings of a media plane, each with one producer and one consumer, of entries of any length which begin at
 * multiples of 8 and are never split over the end. Of each, one kind of entry is bounded by a share of its own:
 * frames must not crowd out what decides. */
#ifndef TANDEM_MEDIA_RING_H
#define TANDEM_MEDIA_RING_H
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include "media.h"

#ifndef EVENT_BYTES /* tests have less, which is sooner full */
#define EVENT_BYTES (1u << 21)
#define COMMAND_BYTES (1u << 20)
#endif
#define EVENT_SHARE (EVENT_BYTES / 2 - 4096) /* of frames, and of all others; a wrap may waste an entry's length */
#define COMMAND_RESERVE (COMMAND_BYTES / 4) /* not for frames */

struct byte_ring {
    _Alignas(64) _Atomic uint32_t head; /* the consumer's */
    _Atomic uint32_t taken[2];          /* bytes of either kind, the consumer's */
    _Alignas(64) _Atomic uint32_t tail; /* the producer's; all run on for ever and wrap at 2^32 */
    uint32_t pushed[2];                 /* the producer's */
    uint32_t bytes;
    uint8_t *at;
};

static inline uint32_t rounded(uint32_t size) { return (size + 7) & ~7u; }

/* Room for an entry without a break, or NULL; `ring_commit` ends it. The first word of an entry is its size. */
static inline uint8_t *ring_room(struct byte_ring *r, uint32_t size, uint32_t reserve) {
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    uint32_t at = tail & (r->bytes - 1), skip = r->bytes - at < size ? r->bytes - at : 0;
    if ((uint64_t)(tail - head) + size + skip + reserve > r->bytes) return NULL;
    if (!skip) return r->at + at;
    memset(r->at + at, 0, 4);
    atomic_store_explicit(&r->tail, tail + skip, memory_order_release);
    return r->at;
}

static inline void ring_commit(struct byte_ring *r, uint32_t size) {
    atomic_store_explicit(&r->tail, atomic_load_explicit(&r->tail, memory_order_relaxed) + size, memory_order_seq_cst);
}

static inline int ring_is_empty(struct byte_ring *r) {
    return atomic_load_explicit(&r->head, memory_order_relaxed) == atomic_load_explicit(&r->tail, memory_order_seq_cst);
}

/* The oldest entry, or NULL; `ring_drop` with its rounded size gives its room back. */
static inline uint8_t *ring_first(struct byte_ring *r) {
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed), size;
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_seq_cst);
    if (head == tail) return NULL;
    uint32_t at = head & (r->bytes - 1);
    memcpy(&size, r->at + at, 4);
    if (size) return r->at + at;
    head += r->bytes - at;
    atomic_store_explicit(&r->head, head, memory_order_release);
    return head == tail ? NULL : r->at;
}

static inline void ring_drop(struct byte_ring *r, uint32_t size) {
    atomic_store_explicit(&r->head, atomic_load_explicit(&r->head, memory_order_relaxed) + size, memory_order_release);
}

/* An event with its bytes in one or two parts. 0: its kind has used up its share. */
static inline int event_push(struct byte_ring *r, mp_event *e, const void *first, uint32_t a, const void *second, uint32_t b) {
    int frame = e->kind == MP_EVENT_FRAME;
    uint32_t size = rounded(sizeof *e + a + b);
    if (r->pushed[frame] - atomic_load_explicit(&r->taken[frame], memory_order_acquire) + size > EVENT_SHARE) return 0;
    uint8_t *to = ring_room(r, size, 0);
    if (!to) return 0;
    r->pushed[frame] += size;
    e->size = size;
    e->start = 0;
    e->end = a + b;
    memcpy(to, e, sizeof *e);
    if (a) memcpy(to + sizeof *e, first, a);
    if (b) memcpy(to + sizeof *e + a, second, b);
    ring_commit(r, size);
    return 1;
}
#endif
