/* What is due leaves: queues that are not empty stand in a wheel of ticks, each where its next frame is due.
 * workers/transceiver/audio/playout.py says what is played when. */
#define _GNU_SOURCE
#include "media_plane.h"

#define MAX_LATE 5 /* frames: workers/transceiver/audio/playout.py */

/* A stream that is in no bucket. */
void wake_at(mp *m, uint32_t number, int64_t due) {
    struct wheel *w = &m->wheel;
    int64_t tick = (due + w->tick_ns - 1) / w->tick_ns;
    if (tick <= w->tick) tick = w->tick + 1;
    if (tick >= w->tick + WHEEL) tick = w->tick + WHEEL - 1; /* it is looked at early, and put back */
    uint32_t at = tick & (WHEEL - 1);
    m->queues[number].next = w->occupied & 1ull << at ? w->first[at] : NOBODY;
    w->first[at] = number;
    w->occupied |= 1ull << at;
}

/* By how much all that waits is later than planned: who was late by more than MAX_LATE frames has lost that time. */
static int64_t forgive(struct play_queue *q, int64_t late) {
    int64_t shift = atomic_load_explicit(&q->shift, memory_order_relaxed);
    if ((late - shift) / FRAME_NS <= MAX_LATE) return shift;
    shift += ((late - shift) / FRAME_NS - MAX_LATE) * FRAME_NS;
    atomic_store_explicit(&q->shift, shift, memory_order_relaxed);
    atomic_store_explicit(&q->has_gap, 1, memory_order_relaxed);
    return shift;
}

/* Send what is due of a queue that is in no bucket, and put it where its next frame is due. */
void play_stream(mp *m, uint32_t number) {
    struct play_queue *q = &m->queues[number];
    while (1) {
        uint64_t head = atomic_load_explicit(&q->head, memory_order_acquire), tail = atomic_load_explicit(&q->tail, memory_order_seq_cst);
        if (head == tail && m->now_ns < q->idle_at) { /* most likely its next frame comes in time, and need not be announced */
            wake_at(m, number, q->idle_at);
            return;
        }
        if (head == tail) { /* whoever puts something in from now on says so; if it has just been, nobody has */
            atomic_store_explicit(&q->listed, 0, memory_order_seq_cst);
            if (atomic_load_explicit(&q->head, memory_order_acquire) == atomic_load_explicit(&q->tail, memory_order_seq_cst)) return;
            if (atomic_exchange_explicit(&q->listed, 1, memory_order_seq_cst)) return;
            continue;
        }
        int64_t planned = atomic_load_explicit(&queue_entry(q, head)->due, memory_order_relaxed), shift = forgive(q, m->now_ns - planned);
        if (planned + shift > m->now_ns) {
            wake_at(m, number, planned + shift);
            return;
        }
        struct play_frame *f = queue_claim(q, head);
        if (!f) continue;
        uint32_t waiting = (uint32_t)(tail - head - 1);
        if (waiting < atomic_load_explicit(&q->least, memory_order_relaxed)) atomic_store_explicit(&q->least, waiting, memory_order_relaxed);
        int marker = atomic_exchange_explicit(&q->has_gap, 0, memory_order_relaxed) ? 0x80 : 0;
        q->idle_at = planned + shift + FRAME_NS;
        mp_count(m, MP_PLAYED, 1);
        send_frame(m, number, f->type | marker, f->timestamp + (uint32_t)(shift / FRAME_NS) * f->step, f->payload, f->octets);
        atomic_store_explicit(&q->done, head + 1, memory_order_release);
    }
}

void play_due(mp *m) {
    struct wheel *w = &m->wheel;
    int64_t tick = m->now_ns / w->tick_ns;
    if (w->tick < tick - WHEEL) w->tick = tick - WHEEL;
    while (w->tick < tick) {
        uint32_t at = ++w->tick & (WHEEL - 1);
        if (!(w->occupied & 1ull << at)) continue;
        w->occupied &= ~(1ull << at);
        for (uint32_t number = w->first[at], next; number != NOBODY; number = next) {
            next = m->queues[number].next;
            (m->probes ? probe_due : play_stream)(m, number);
        }
    }
}

/* When the next frame is due; -1 if none waits. */
int64_t play_next(const mp *m) {
    const struct wheel *w = &m->wheel;
    if (!w->occupied) return -1;
    uint32_t at = (w->tick + 1) & (WHEEL - 1);
    uint64_t from = w->occupied >> at | (at ? w->occupied << (WHEEL - at) : 0);
    return (w->tick + 1 + __builtin_ctzll(from)) * w->tick_ns;
}
