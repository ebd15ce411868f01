/* Frames that wait for their moment: Python's thread puts them in, the plane's sends them, and Python may take back at
 * any time what has not left, and knows exactly what that is. Neither waits for the other: whoever moves `head` has what
 * it passes. */
#ifndef TANDEM_MEDIA_QUEUE_H
#define TANDEM_MEDIA_QUEUE_H
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "media.h"

#define FRAME_NS 20000000ll
#define NO_LEAST UINT32_MAX

struct play_frame {
    uint32_t octets, timestamp, step;
    uint8_t type; /* and marker, as in RTP */
    uint8_t payload[];
};

struct play_entry {
    _Atomic int64_t due; /* read also by who will not get it */
    struct play_frame *frame;
};

struct play_queue {
    _Atomic uint64_t head;              /* the next to leave; runs on for ever */
    _Atomic uint64_t done;              /* the plane's: it has let go of all frames before this one */
    _Atomic int64_t shift;              /* the plane's: nanoseconds by which all is later than was planned */
    _Atomic uint32_t has_gap;           /* the plane's: the next frame is not where the last one ended */
    _Atomic uint32_t least;             /* frames that waited behind each that left, since Python has looked */
    int64_t idle_at;                    /* the plane's: when the slot of the last frame ends */
    uint32_t next;                      /* the plane's, in its wheel */
    uint8_t apart[64];
    _Atomic uint64_t tail;              /* Python's */
    _Atomic uint32_t listed;            /* the plane knows that it is not empty, or will */
    uint64_t freed;                     /* Python's: entries before this one have no frame any more */
    struct play_entry entries[PLAY_WINDOW];
};

static inline struct play_entry *queue_entry(struct play_queue *q, uint64_t at) { return &q->entries[at & (PLAY_WINDOW - 1)]; }

static inline uint32_t queue_waiting(struct play_queue *q) {
    return (uint32_t)(atomic_load_explicit(&q->tail, memory_order_relaxed) - atomic_load_explicit(&q->head, memory_order_acquire));
}

/* Python's: give back the memory of what has left. */
static inline void queue_reap(struct play_queue *q) {
    uint64_t done = atomic_load_explicit(&q->done, memory_order_acquire), tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    for (; q->freed != tail; q->freed++) {
        struct play_entry *e = queue_entry(q, q->freed);
        if (e->frame && q->freed >= done) return;
        free(e->frame);
        e->frame = NULL;
    }
}

/* Python's: 0 if there is no room. */
static inline int queue_put(struct play_queue *q, int64_t due, uint32_t timestamp, uint32_t step, int type, const uint8_t *payload, uint32_t octets) {
    uint64_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    queue_reap(q);
    struct play_frame *frame = tail - q->freed < PLAY_WINDOW ? malloc(sizeof *frame + octets) : NULL;
    if (!frame) return 0;
    frame->octets = octets;
    frame->timestamp = timestamp;
    frame->step = step;
    frame->type = type;
    memcpy(frame->payload, payload, octets);
    struct play_entry *e = queue_entry(q, tail);
    e->frame = frame;
    atomic_store_explicit(&e->due, due, memory_order_relaxed);
    atomic_store_explicit(&q->tail, tail + 1, memory_order_seq_cst);
    return 1;
}

/* Python's: nothing leaves any more. The first entry that has not left; all from there to `tail` are Python's again. */
static inline uint64_t queue_take_back(struct play_queue *q) {
    uint64_t head = atomic_load_explicit(&q->head, memory_order_acquire), tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    while (head != tail && !atomic_compare_exchange_weak(&q->head, &head, tail)) {}
    return head;
}

/* The plane's: the frame at `head` is its own, if nobody has taken it back meanwhile. */
static inline struct play_frame *queue_claim(struct play_queue *q, uint64_t head) {
    return atomic_compare_exchange_strong(&q->head, &head, head + 1) ? queue_entry(q, head)->frame : NULL;
}
#endif
