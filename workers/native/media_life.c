/* The life of a media plane: its memory, its end; and what Python gives it and reads of it while it lives. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "media_plane.h"

/* `functions`: protect, unprotect, protect_rtcp, unprotect_rtcp of libsrtp. `link` < 0: streams have wires instead. NULL
 * if memory or descriptors are short, or `link` is no socket. */
mp *mp_new(int link, uint32_t link_mtu, uint32_t max_streams, double clock_offset, const uint64_t functions[4]) {
    mp *m = max_streams && max_streams <= MOST_STREAMS ? aligned_alloc(64, (sizeof *m + 63) & ~(size_t)63) : NULL;
    if (!m) return NULL;
    memset(m, 0, offsetof(mp, arena));
    fp_endpoint bound;
    size_t entries = 2;
    while (entries < (size_t)max_streams * MAX_LABELS * 2) entries <<= 1;
    m->link = link;
    m->family = link < 0 ? AF_INET : bound_to(link, &bound);
    m->link_mtu = link_mtu;
    m->max_streams = max_streams;
    m->clock_offset = clock_offset;
    m->owed = NOT_OWED;
    m->wheel.tick_ns = link < 0 ? PROBE_TICK_NS : TICK_NS;
    m->protect = (srtp_call)(uintptr_t)functions[0];
    m->unprotect = (srtp_call)(uintptr_t)functions[1];
    m->protect_rtcp = (srtp_call)(uintptr_t)functions[2];
    m->unprotect_rtcp = (srtp_call)(uintptr_t)functions[3];
    m->events = (struct byte_ring){ .bytes = EVENT_BYTES, .at = aligned_alloc(64, EVENT_BYTES) };
    m->commands = (struct byte_ring){ .bytes = COMMAND_BYTES, .at = aligned_alloc(64, COMMAND_BYTES) };
    m->labels = (struct labels){ .mask = entries - 1, .entries = calloc(entries, sizeof(binding)) };
    m->streams = calloc(max_streams, sizeof *m->streams);
    m->queues = calloc(max_streams, sizeof *m->queues);
    m->talks = calloc(max_streams, sizeof *m->talks);
    for (m->speakers_mask = 1; m->speakers_mask < max_streams * 2; m->speakers_mask = m->speakers_mask * 2 + 1) {}
    m->speakers = calloc(m->speakers_mask + 1, sizeof *m->speakers);
    m->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    m->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    atomic_store(&m->armed, 1);
    sem_init(&m->rested, 0, 0);
    if (m->family < 0 || !m->events.at || !m->commands.at || !m->labels.entries || !m->streams || !m->queues || !m->talks || !m->speakers || m->event_fd < 0 || m->wake_fd < 0 || (link < 0 && !wires_new(m))) {
        mp_free(m);
        return NULL;
    }
    for (int i = 0; i < LINK_BATCH; i++) {
        m->in_vectors[i] = (struct iovec){ m->in_buffers[i], LINK_BUFFER };
        m->in[i].msg_hdr = (struct msghdr){ .msg_name = &m->in_names[i], .msg_iov = &m->in_vectors[i], .msg_iovlen = 1 };
    }
    return m;
}

/* The thread ends. From then on the caller makes the rounds. */
void mp_stop(mp *m) { thread_stop(&m->thread, m->wake_fd); }

void mp_free(mp *m) {
    mp_stop(m);
    if (m->event_fd >= 0) close(m->event_fd);
    if (m->wake_fd >= 0) close(m->wake_fd);
    wires_free(m);
    free(m->events.at);
    free(m->commands.at);
    free(m->labels.entries);
    free(m->streams);
    for (uint32_t i = 0; m->queues && i < m->max_streams; i++)
        for (int j = 0; j < PLAY_WINDOW; j++) free(m->queues[i].entries[j].frame);
    free(m->queues);
    free(m->talks);
    free(m->speakers);
    sem_destroy(&m->rested);
    free(m);
}

int mp_event_fd(mp *m) { return m->event_fd; }

/* Does the thread survive this? The streams it names exist, and what it holds is whole. */
static int is_sound(const mp *m, const mp_command *c, const uint8_t *body) {
    uint32_t length = c->size - sizeof *c;
    if (c->kind < MP_OPEN || c->kind >= MP_PLAY || (c->has_relay && length < ADDRESS_ROOM)) return 0;
    if (c->kind == MP_OPEN) {
        mp_keys k;
        if (c->has_relay || length != sizeof k) return 0;
        memcpy(&k, body, sizeof k);
        for (size_t i = 0; i < sizeof k.rate_of; i++)
            if (k.rate_of[i] >= sizeof k.rates / sizeof *k.rates || (k.rate_of[i] && !k.rates[k.rate_of[i]])) return 0;
    }
    if (c->kind == MP_PLUG && !is_plug(m, c, body, length)) return 0;
    if (c->kind == MP_UNPLUG && (!m->wires || c->value >= m->max_streams * STREAM_WIRES)) return 0;
    if (c->kind == MP_PROBE && (c->has_relay || !is_probe(m, body, length))) return 0;
    if (c->kind == MP_END_PROBE && !m->probes) return 0;
    if (c->kind == MP_FORWARD && c->value != MP_NO_STREAM && c->value >= m->max_streams) return 0;
    return c->stream < m->max_streams;
}

/* Python's: commands, one behind the other without gaps. How many bytes are done with; the rest found no room. Frames
 * that find none are refused, and the ring keeps room that they cannot use. */
size_t mp_push(mp *m, const uint8_t *commands, size_t length) {
    size_t done = 0;
    mp_command c;
    while (length - done >= sizeof c) {
        memcpy(&c, commands + done, sizeof c);
        if (c.size < sizeof c || c.size > length - done) return length;
        if (is_sound(m, &c, commands + done + sizeof c)) {
            uint8_t *to = ring_room(&m->commands, rounded(c.size), c.kind == MP_SEND ? COMMAND_RESERVE : 0);
            if (to) {
                memcpy(to, commands + done, c.size);
                ring_commit(&m->commands, rounded(c.size));
            } else if (c.kind == MP_SEND) m->refused++;
            else {
                atomic_store_explicit(&m->starved, 1, memory_order_seq_cst);
                return done;
            }
        }
        done += c.size;
    }
    return length;
}

/* Python's: begin with what was pushed. */
void mp_wake(mp *m) {
    uint64_t one = 1;
    if (is_wanted(m) && atomic_exchange_explicit(&m->asleep, 0, memory_order_seq_cst))
        (void)!write(m->wake_fd, &one, sizeof one);
}

/* Python's: sleep until the thread has ended a round that began at `until_ns` or later, and no longer than to
 * `latest_ns`, or a signal. So what a round has brought is looked at at once. */
void mp_rest(mp *m, int64_t until_ns, int64_t latest_ns) {
    struct timespec latest = { latest_ns / 1000000000, latest_ns % 1000000000 };
    atomic_store_explicit(&m->rests_until, until_ns, memory_order_release);
    if (!sem_clockwait(&m->rested, CLOCK_MONOTONIC, &latest)) return;
    if (!atomic_exchange_explicit(&m->rests_until, 0, memory_order_acq_rel)) /* it is over just now */
        while (sem_wait(&m->rested)) {}
}

/* Python's: the oldest events, and their bytes one behind the other. Armed before the look, so that whatever comes
 * after it wakes the reader again; and if something is left, it is woken at once. */
int mp_take(mp *m, mp_event *events, int max_events, uint8_t *block, size_t room, uint32_t *used, uint32_t *heard) {
    struct byte_ring *r = &m->events;
    uint64_t signalled, one = 1;
    uint32_t end = 0;
    int n = 0;
    (void)!read(m->event_fd, &signalled, sizeof signalled);
    atomic_store_explicit(&m->armed, 1, memory_order_seq_cst);
    for (uint8_t *entry; n < max_events && (entry = ring_first(r));) {
        mp_event *e = &events[n];
        memcpy(e, entry, sizeof *e);
        uint32_t length = e->end, size = e->size;
        int frame = e->kind == MP_EVENT_FRAME, is_done = frame && is_heard(m, e, entry + sizeof *e, length);
        if (!is_done && end + length > room) break;
        if (!is_done) {
            memcpy(block + end, entry + sizeof *e, length);
            e->start = end;
            e->end = end += length;
        }
        if (e->stream != MP_NO_STREAM && (frame || e->kind == MP_EVENT_RECORD || e->kind == MP_EVENT_REPORT))
            atomic_fetch_sub_explicit(&m->streams[e->stream].waiting[frame], 1, memory_order_relaxed);
        ring_drop(r, size);
        atomic_store_explicit(&r->taken[frame], atomic_load_explicit(&r->taken[frame], memory_order_relaxed) + size, memory_order_release);
        n += !is_done;
        *heard += is_done;
    }
    if (!ring_is_empty(r) && atomic_exchange_explicit(&m->armed, 0, memory_order_seq_cst))
        (void)!write(m->event_fd, &one, sizeof one);
    *used = end;
    return n;
}

int mp_read_stats(mp *m, uint32_t stream, mp_stats *out) {
    if (stream >= m->max_streams) return -1;
    read_stats(&m->streams[stream], out);
    return 0;
}

/* 0 if there is no such probe, and was none. */
int mp_read_echoes(mp *m, uint32_t stream, mp_echoes *out) {
    if (!m->probes || stream >= m->max_streams) return 0;
    struct probe *p = &m->probes[stream];
    read_words(&p->sequence, p->published, out, sizeof *out);
    return 1;
}

/* How many round trips were in each bucket; those of them that there are. */
int mp_read_round_trips(mp *m, uint32_t stream, uint32_t *out, uint32_t buckets) {
    if (!m->probes || stream >= m->max_streams) return 0;
    for (uint32_t i = 0; i < buckets && i < ROUND_TRIPS; i++)
        out[i] = atomic_load_explicit(&m->probes[stream].round_trips[i], memory_order_relaxed);
    return buckets < ROUND_TRIPS ? buckets : ROUND_TRIPS;
}

/* Python's. */
void mp_read_counters(mp *m, uint64_t *out) {
    read_all(&m->published.rounds, m->published.copies, out, MP_COUNTERS);
    out[MP_UNSENT + MP_QUEUE_FULL] += m->refused;
}
