/* The transceiver's media plane: what comes on the link, what Python asks for, and the thread that does both. No
 * parser of anything but RTP's header, no policy, no log, no allocation once it runs (libsrtp makes a state for each
 * SSRC of a peer, of which there are MAX_SOURCES). workers/transceiver/media/base.py says what it must do.
 *
 * One thread owns the link socket and the keys. It waits in ppoll(2), moves datagrams in batches, takes no lock and
 * never touches Python. Two rings join it to Python, each with one producer and one consumer:
 *
 *     commands ->  in order. Applied after a batch has been received and before it is looked at: whoever sends
 *                  because of a record that left after a `bind` meets the binding.
 *     events   <-  in order; frames and all others have a share of the ring each.
 *
 * A wake-up costs more than ten packets. So after a round that brought nothing but media, while media are dense, the
 * link is left alone until the next datagram will, by the rate, have waited for GATHER_NS: what comes meanwhile is one
 * batch, and leaves in few datagrams.
 */
#define _GNU_SOURCE
#include <poll.h>
#include "media_plane.h"

/* --- commands ---------------------------------------------------------------------------------------------- */

/* Of a stream that Python closed: exactly once each, though the ring be full. */
static void pay_owed(mp *m) {
    while (m->owed != NOT_OWED) {
        struct stream *s = &m->streams[m->owed];
        mp_event e = { .kind = MP_EVENT_CLOSED, .stream = m->owed, .at = m->now };
        if (!raise_event(m, &e, NULL, 0, NULL, 0)) return;
        if (!--s->owed) m->owed = s->next_owed;
    }
}

static void unbind(mp *m, uint64_t key) {
    binding *b = label_find(&m->labels, key);
    if (!b) return;
    struct stream *s = &m->streams[bound_stream(*b)];
    int i = 0;
    while (i < s->label_count && s->labels[i] != key) i++;
    if (i < s->label_count) {
        s->label_count--;
        memmove(&s->labels[i], &s->labels[i + 1], (s->label_count - i) * sizeof *s->labels);
    }
    label_remove(&m->labels, key);
}

static void bind_label(mp *m, uint64_t key, uint32_t stream) {
    struct stream *s = &m->streams[stream];
    unbind(m, key);
    if (s->label_count == MAX_LABELS) unbind(m, s->labels[0]);
    s->labels[s->label_count++] = key;
    label_put(&m->labels, key, stream);
}

static void close_stream(mp *m, uint32_t number) {
    struct stream *s = &m->streams[number];
    while (s->label_count) unbind(m, s->labels[0]);
    s->in = s->out = NULL;
    s->generation++;
    s->has_way = s->forwards = s->receives = s->sends = 0;
    s->way_at = 0;
    forget_stats(s);
    if (m->probes) forget_probe(m, number);
    if (!s->owed++) {
        s->next_owed = m->owed;
        m->owed = number;
    }
    pay_owed(m);
}

static void open_stream(mp *m, uint32_t number, const mp_keys *k) {
    struct stream *s = &m->streams[number];
    s->in = (void *)(uintptr_t)k->in;
    s->out = (void *)(uintptr_t)k->out;
    s->ssrc = k->ssrc;
    s->next = k->sequence;
    s->receives = k->receives;
    s->sends = k->sends;
    s->has_origin = s->has_sent = s->source_count = 0;
    s->seen_at = -1e9;
    memcpy(s->rates, k->rates, sizeof s->rates);
    memcpy(s->rate_of, k->rate_of, sizeof s->rate_of);
    forget_stats(s);
}

/* Bindings and ways of those who are no longer among them go; for the others, numbers change. */
static void set_peers(mp *m, const uint8_t *list, uint32_t count) {
    uint32_t moved[MAX_PEERS], old_count = m->peer_count;
    fp_endpoint old[MAX_PEERS];
    out_flush(m);
    for (uint32_t i = 0; i < old_count; i++) old[i] = m->peers[i].at;
    m->peer_count = m->last_peer = 0;
    for (uint32_t i = 0; i < count && m->peer_count < MAX_PEERS; i++) {
        fp_endpoint at;
        memcpy(&at, list + i * ADDRESS_ROOM, sizeof at);
        if (find_peer(m, &at) != NO_PEER) continue;
        struct peer *p = &m->peers[m->peer_count++];
        *p = (struct peer){ .at = at, .leg = -1 };
        p->name_length = write_name(&p->name, &at, m->family);
    }
    for (uint32_t i = 0; i < old_count; i++) moved[i] = find_peer(m, &old[i]);
    memset(m->labels.entries, 0, ((size_t)m->labels.mask + 1) * sizeof *m->labels.entries);
    for (uint32_t number = 0; number < m->max_streams; number++) {
        struct stream *s = &m->streams[number];
        int kept = 0;
        for (int i = 0; i < s->label_count; i++) {
            uint32_t peer = moved[s->labels[i] >> LABEL_BITS];
            if (peer == NO_PEER) continue;
            s->labels[kept] = label_key((uint32_t)s->labels[i], peer);
            label_put(&m->labels, s->labels[kept++], number);
        }
        s->label_count = kept;
        if (!s->has_way) continue;
        s->way_peer = moved[s->way_peer];
        s->has_way = s->way_peer != NO_PEER;
    }
}

static void carry_out(mp *m, const mp_command *c, uint8_t *body, uint32_t length) {
    struct stream *s = &m->streams[c->stream];
    fp_endpoint relay;
    uint32_t peer = NO_PEER;
    if (c->has_relay) {
        memcpy(&relay, body, sizeof relay);
        peer = find_peer(m, &relay);
        body += ADDRESS_ROOM;
        length -= ADDRESS_ROOM;
    }
    switch (c->kind) {
    case MP_OPEN: open_stream(m, c->stream, (const mp_keys *)body); break;
    case MP_CLOSE: close_stream(m, c->stream); break;
    case MP_BIND: if (peer != NO_PEER) bind_label(m, label_key(c->value, peer), c->stream); break;
    case MP_UNBIND: if (peer != NO_PEER) unbind(m, label_key(c->value, peer)); break;
    case MP_SET_WAY:
        set_way(s, peer, c->value, peer != NO_PEER);
        break;
    case MP_FORWARD:
        s->forwards = c->value != MP_NO_STREAM;
        s->target = c->value;
        if (s->forwards) s->target_generation = m->streams[c->value].generation;
        break;
    case MP_SEND: send_frame(m, c->stream, c->type, c->value, body, length); break;
    case MP_SEND_REPORT: send_report(m, c->stream, body, length); break;
    case MP_SEND_RECORD: send_record(m, peer, c->type, c->flags, c->value, body, length); break;
    case MP_RECEIVE:
        m->takes_way = c->flags;
        if (peer != NO_PEER) on_record(m, peer, RECORD_DATA, 0, c->value, body, length);
        else {
            mp_count(m, MP_RECORDS, 1);
            mp_count(m, MP_DROPPED_UNKNOWN_PEER, 1);
        }
        m->takes_way = 0;
        break;
    case MP_SET_PEERS: set_peers(m, body, length / ADDRESS_ROOM); break;
    case MP_PLUG: plug(m, c->value, body); break;
    case MP_UNPLUG: unplug(m, c->value); break;
    case MP_PROBE: begin_probe(m, c->stream, (const mp_probe *)body); break;
    case MP_END_PROBE: end_probe(m, c->stream); break;
    case MP_PLAY: if (!m->probes) play_stream(m, c->stream); break;
    }
}

void carry_out_all(mp *m) {
    for (uint8_t *entry; (entry = ring_first(&m->commands));) {
        const mp_command *c = (const mp_command *)entry;
        carry_out(m, c, entry + sizeof *c, c->size - sizeof *c);
        ring_drop(&m->commands, rounded(c->size));
    }
}

/* --- the thread -------------------------------------------------------------------------------------------- */

static void signal_python(mp *m) {
    uint64_t one = 1;
    m->unsignalled = 0;
    m->tell_ns = 0;
    if (atomic_exchange_explicit(&m->armed, 0, memory_order_seq_cst)) (void)!write(m->event_fd, &one, sizeof one);
}

/* Whatever has come, Python looks when its rest is over. */
static void end_rest(mp *m) {
    int64_t until = atomic_load_explicit(&m->rests_until, memory_order_acquire);
    if (until && until <= m->now_ns && atomic_exchange_explicit(&m->rests_until, 0, memory_order_acq_rel)) sem_post(&m->rested);
}

/* When there is something to do though nobody says so; -1: never. */
static int64_t next_round(const mp *m) {
    int64_t due = play_next(m);
    if (m->nap_ns) return m->nap_ns; /* what is due meanwhile leaves with what comes meanwhile */
    if (m->tell_ns && (due < 0 || m->tell_ns < due)) due = m->tell_ns;
    if (m->owed != NOT_OWED && (due < 0 || m->now_ns + GATHER_NS < due)) due = m->now_ns + GATHER_NS;
    return due;
}

/* One round without waiting: what the thread does between two waits, and tests do in its place. Without the link, only
 * what Python wants. When to make the next one though nobody asks for it (CLOCK_MONOTONIC); -1: never. */
int64_t mp_round(mp *m, int64_t now_ns, int with_link) {
    int n = with_link ? LINK_BATCH : 0, media = 0;
    set_time(m, now_ns);
    m->decisions = 0;
    carry_out_all(m);
    for (int turn = 0; n == LINK_BATCH && turn < TURNS; turn++) media += n = (m->wires ? pump_wires : pump_link)(m);
    play_due(m);
    out_flush(m);
    if (m->owed != NOT_OWED) pay_owed(m);
    publish_all(&m->published.rounds, m->published.copies, m->counters, MP_COUNTERS);
    int is_told = m->tell_ns && m->tell_ns <= m->now_ns;
    if (m->unsignalled || is_told || atomic_exchange_explicit(&m->starved, 0, memory_order_seq_cst)) signal_python(m);
    if (media || m->decisions || m->nap_ns <= m->now_ns) m->nap_ns = 0;
    m->density.datagrams += media;
    int64_t gap = density_gap(&m->density, m->now_ns, DENSITY_NS);
    if (media && n < LINK_BATCH && !m->decisions && !m->wires && gap && gap < 2 * GATHER_NS)
        m->nap_ns = m->now_ns + GATHER_NS + (gap < MOST_GAP_NS ? gap : MOST_GAP_NS);
    end_rest(m);
    return next_round(m);
}

static void *run(void *argument) {
    mp *m = argument;
    struct pollfd fds[] = { { m->wake_fd, POLLIN, 0 }, { m->link, POLLIN, 0 } };
    int64_t now = clock_ns(), due = now;
    m->is_clocked = 1;
    while (is_running(&m->thread)) {
        struct timespec time = { 0, due > now ? due - now : 0 };
        atomic_store_explicit(&m->asleep, 1, memory_order_seq_cst);
        if (!is_wanted(m)) ppoll(fds, m->nap_ns ? 1 : 2, due < 0 ? NULL : &time, NULL);
        atomic_store_explicit(&m->asleep, 0, memory_order_seq_cst);
        if (fds[0].revents) {
            uint64_t woken;
            (void)!read(m->wake_fd, &woken, sizeof woken);
        }
        if (fds[1].revents & POLLNVAL) fds[1].fd = -1; /* it would spin */
        now = clock_ns();
        due = mp_round(m, now, now >= m->nap_ns); /* Python may wake it from a nap, and is served; the link still waits */
    }
    m->is_clocked = 0;
    return NULL;
}

/* `cpu` < 0: wherever the kernel likes. */
int mp_start(mp *m, int cpu) { return thread_start(&m->thread, "media", cpu, run, m); }
