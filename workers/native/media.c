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
 * link is left alone for GATHER_NS: what comes meanwhile is one batch, and leaves in few datagrams.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>
#include "media_plane.h"

/* --- up ---------------------------------------------------------------------------------------------------- */

static int raise_event(mp *m, mp_event *e, const void *first, uint32_t a, const void *second, uint32_t b) {
    if (!event_push(&m->events, e, first, a, second, b)) return 0;
    m->unsignalled = 1;
    return 1;
}

/* Of a stream that Python closed: exactly once each, though the ring be full. */
static void pay_owed(mp *m) {
    while (m->owed != NOT_OWED) {
        struct stream *s = &m->streams[m->owed];
        mp_event e = { .kind = MP_EVENT_CLOSED, .stream = m->owed, .at = m->now };
        if (!raise_event(m, &e, NULL, 0, NULL, 0)) return;
        if (!--s->owed) m->owed = s->next_owed;
    }
}

/* Room of a stream in the ring; `which` is 1 for frames. Strangers' records have none of their own. */
static int may_wait(mp *m, uint32_t stream, int which) {
    uint32_t most = which ? STREAM_FRAMES : STREAM_RECORDS;
    return stream == MP_NO_STREAM || atomic_load_explicit(&m->streams[stream].waiting[which], memory_order_relaxed) < most;
}

static void waits(mp *m, uint32_t stream, int which) {
    if (stream != MP_NO_STREAM) atomic_fetch_add_explicit(&m->streams[stream].waiting[which], 1, memory_order_relaxed);
}

static void raise_record(mp *m, const struct peer *p, uint32_t stream, int type, int flags, uint32_t label, const uint8_t *payload, uint32_t length) {
    mp_event e = { .kind = MP_EVENT_RECORD, .stream = stream, .at = m->now, .timestamp = label, .sequence = flags, .payload_type = type };
    m->decisions++;
    if (may_wait(m, stream, 0) && raise_event(m, &e, &p->at, ADDRESS, payload, length)) {
        waits(m, stream, 0);
        mp_count(m, MP_RAISED, 1);
    } else mp_count(m, MP_DROPPED_QUEUE_FULL, 1);
}

/* --- media ------------------------------------------------------------------------------------------------- */

/* Encrypt and queue one RTP packet. `lost`: where it counts if it does not leave. */
static void send_rtp(mp *m, struct stream *s, int type, uint16_t sequence, uint32_t timestamp, const uint8_t *payload, uint32_t octets, int lost) {
    int length = RTP_HEADER + octets;
    uint8_t *head = out_begin(m, s->way_peer, RECORD_HEADER + MAX_PACKET + TRAILER_ROOM), *packet = head + RECORD_HEADER;
    packet[0] = 0x80;
    packet[1] = type;
    packet[2] = sequence >> 8;
    packet[3] = sequence;
    put_u32(packet + 4, timestamp);
    put_u32(packet + 8, s->ssrc);
    memcpy(packet + RTP_HEADER, payload, octets);
    int status = m->protect(s->out, packet, &length);
    if (status) {
        mp_count(m, lost + (status == 9 || status == 10 || status == 26 ? MP_REPLAY : MP_CIPHER), 1);
        return;
    }
    out_end(m, s->way_peer, head, RECORD_DATA, 0, s->way_label, length, lost);
    packet_left(s, sequence, timestamp, type & 0x7f, octets, m->now);
}

/* Why this stream cannot send such a packet now, or -1. */
static int hindrance(const struct stream *s, int type, uint32_t octets) {
    if (!s->out) return MP_NOT_OPEN;
    if (!s->sends || !s->rate_of[type & 0x7f]) return MP_PAYLOAD_TYPE;
    if (!s->has_way) return MP_NO_WAY;
    return RTP_HEADER + octets > MAX_PACKET - MAX_TRAILER ? MP_OVERSIZE : -1;
}

static void forward_frame(mp *m, uint32_t from, int type, uint16_t sequence, uint32_t timestamp, uint32_t ssrc, const uint8_t *payload, uint32_t octets) {
    const struct stream *s = &m->streams[from];
    struct stream *to = &m->streams[s->target];
    int why = to->generation != s->target_generation ? MP_NO_TARGET : hindrance(to, type, octets);
    if (why < 0 && !renumber(to, from, ssrc, type & 0x7f, m->now, &sequence, &timestamp)) why = MP_REPLAY;
    if (why < 0) send_rtp(m, to, type, sequence, timestamp, payload, octets, MP_UNDELIVERED);
    else mp_count(m, MP_UNDELIVERED + why, 1);
}

static void hand_up(mp *m, uint32_t from, int type, uint16_t sequence, uint32_t timestamp, uint32_t ssrc, const uint8_t *payload, uint32_t octets) {
    mp_event e = { .kind = MP_EVENT_FRAME, .stream = from, .at = m->now, .timestamp = timestamp, .ssrc = ssrc,
                   .sequence = sequence, .payload_type = type & 0x7f, .marker = type >> 7 };
    if (may_wait(m, from, 1) && raise_event(m, &e, payload, octets, NULL, 0)) {
        waits(m, from, 1);
        mp_count(m, MP_HANDED_UP, 1);
    } else mp_count(m, MP_UNDELIVERED + MP_QUEUE_FULL, 1);
}

/* Where the payload begins and ends: workers/wire/rtp.py. 0 if the packet is malformed. */
static int payload_bounds(const uint8_t *packet, uint32_t length, uint32_t *start, uint32_t *end) {
    if (length < RTP_HEADER || packet[0] >> 6 != 2) return 0;
    *start = RTP_HEADER + (packet[0] & 15) * 4;
    *end = length;
    if (packet[0] & 0x10) {
        if (*start + 4 > length) return 0;
        *start += 4 + ((uint32_t)packet[*start + 2] << 8 | packet[*start + 3]) * 4;
    }
    if (*start > length) return 0;
    if (packet[0] & 0x20) {
        uint32_t padding = packet[length - 1];
        if (!padding || *start + padding > length) return 0;
        *end -= padding;
    }
    return 1;
}

static void on_rtp(mp *m, uint32_t number, const uint8_t *packet, uint32_t length) {
    struct stream *s = &m->streams[number];
    uint32_t start, end;
    if (!payload_bounds(packet, length, &start, &end)) {
        mp_count(m, MP_DROPPED_MALFORMED_RTP, 1);
        return;
    }
    int type = packet[1];
    if (!s->receives || !s->rate_of[type & 0x7f]) {
        mp_count(m, MP_DROPPED_PAYLOAD_TYPE, 1);
        return;
    }
    uint16_t sequence = (uint16_t)(packet[2] << 8 | packet[3]);
    uint32_t timestamp = get_u32(packet + 4), ssrc = get_u32(packet + 8);
    packet_came(s, ssrc, sequence, timestamp, type & 0x7f, end - start, m->now);
    publish_stats(s);
    mp_count(m, MP_FRAMES, 1);
    (s->forwards ? forward_frame : hand_up)(m, number, type, sequence, timestamp, ssrc, packet + start, end - start);
}

static void on_rtcp(mp *m, uint32_t number, const uint8_t *packet, uint32_t length) {
    struct stream *s = &m->streams[number];
    mp_event e = { .kind = MP_EVENT_REPORT, .stream = number, .at = m->now };
    s->stats.reports_in++;
    publish_stats(s);
    if (may_wait(m, number, 0) && raise_event(m, &e, packet, length, NULL, 0)) {
        waits(m, number, 0);
        mp_count(m, MP_REPORTS, 1);
    } else mp_count(m, MP_DROPPED_QUEUE_FULL, 1);
}

static void set_way(struct stream *s, uint32_t peer, uint32_t label) {
    s->way_at = 0;
    s->way_peer = peer;
    s->way_label = label;
    s->has_way = peer != NO_PEER;
}

/* Authenticated media came with that label. If the ring is full, the next packet tells. */
static void tell_of_media(mp *m, struct stream *s, binding *b, uint32_t peer, uint32_t label) {
    int is_way = s->has_way && s->way_label == label && s->way_peer == peer;
    if (is_way) s->way_at = m->now;
    if (!(*b & NEWS_BIT) && (is_way || m->now - s->seen_at < SEEN_EVERY)) return;
    mp_event e = { .kind = MP_EVENT_SEEN, .stream = bound_stream(*b), .at = m->now, .timestamp = label };
    if (!raise_event(m, &e, &m->peers[peer].at, ADDRESS, &s->way_at, sizeof s->way_at)) return;
    *b &= ~NEWS_BIT;
    s->seen_at = m->now;
}

/* As AudioStream.receive in workers/transceiver/core/audio.py. `packet` has at least three bytes before it that
 * nobody needs any more. */
static void on_media(mp *m, binding *b, uint32_t peer, uint32_t label, uint8_t *packet, uint32_t length) {
    uint32_t number = bound_stream(*b);
    struct stream *s = &m->streams[number];
    if (length > MAX_PACKET) {
        mp_count(m, MP_DROPPED_OVERSIZE, 1);
        return;
    }
    if (!s->in) {
        mp_count(m, MP_DROPPED_UNEXPECTED_STATE, 1);
        return;
    }
    if (length < RTP_HEADER) {
        mp_count(m, MP_DROPPED_MALFORMED_RTP, 1);
        return;
    }
    int is_rtcp = packet[1] >= 192 && packet[1] <= 223; /* RFC 5761, 4 */
    uint32_t source = get_u32(packet + (is_rtcp ? 4 : 8));
    if (s->source_count == MAX_SOURCES && !has_source(s, source)) {
        mp_count(m, MP_DROPPED_SOURCE_LIMIT, 1);
        return;
    }
    uint8_t *aligned = (uint8_t *)((uintptr_t)packet & ~(uintptr_t)3); /* as libsrtp wants it */
    if (aligned != packet) memmove(aligned, packet, length);
    int size = length, status = (is_rtcp ? m->unprotect_rtcp : m->unprotect)(s->in, aligned, &size);
    if (status) {
        mp_count(m, status == 9 || status == 10 || status == 26 ? MP_DROPPED_REPLAY : MP_DROPPED_AUTHENTICATION, 1);
        return;
    }
    add_source(s, source);
    if (m->takes_way) set_way(s, peer, label);
    tell_of_media(m, s, b, peer, label);
    (is_rtcp ? on_rtcp : on_rtp)(m, number, aligned, size);
}

static void on_record(mp *m, uint32_t peer, int type, int flags, uint32_t label, uint8_t *payload, uint32_t length) {
    binding *b = label_find(&m->labels, label_key(label, peer));
    mp_count(m, MP_RECORDS, 1);
    if (b && type == RECORD_DATA && length && payload[0] >= 128 && payload[0] < 192) on_media(m, b, peer, label, payload, length);
    else raise_record(m, &m->peers[peer], b ? bound_stream(*b) : MP_NO_STREAM, type, flags, label, payload, length);
}

/* --- commands ---------------------------------------------------------------------------------------------- */

static uint32_t find_peer(mp *m, const fp_endpoint *at) {
    if (m->last_peer < m->peer_count && !memcmp(&m->peers[m->last_peer].at, at, sizeof *at)) return m->last_peer;
    for (uint32_t i = 0; i < m->peer_count; i++)
        if (!memcmp(&m->peers[i].at, at, sizeof *at)) return m->last_peer = i;
    return NO_PEER;
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

void send_frame(mp *m, uint32_t stream, int type, uint32_t timestamp, const uint8_t *payload, uint32_t octets) {
    struct stream *s = &m->streams[stream];
    int why = hindrance(s, type, octets);
    if (why < 0) {
        s->has_origin = 0; /* what is forwarded goes on after this one */
        send_rtp(m, s, type, s->next, timestamp, payload, octets, MP_UNSENT);
    } else mp_count(m, MP_UNSENT + why, 1);
}

static void send_report(mp *m, uint32_t stream, const uint8_t *report, uint32_t size) {
    struct stream *s = &m->streams[stream];
    int length = size, why = !s->out ? MP_NOT_OPEN : !s->has_way ? MP_NO_WAY : size > MAX_PACKET - MAX_TRAILER ? MP_OVERSIZE : -1;
    if (why < 0) {
        uint8_t *head = out_begin(m, s->way_peer, RECORD_HEADER + MAX_PACKET + TRAILER_ROOM);
        memcpy(head + RECORD_HEADER, report, size);
        if (size < RECORD_HEADER || m->protect_rtcp(s->out, head + RECORD_HEADER, &length)) why = MP_CIPHER;
        else out_end(m, s->way_peer, head, RECORD_DATA, 0, s->way_label, length, MP_UNSENT);
    }
    if (why >= 0) mp_count(m, MP_UNSENT + why, 1);
}

static void send_record(mp *m, uint32_t peer, int type, int flags, uint32_t label, const uint8_t *payload, uint32_t length) {
    int why = peer == NO_PEER ? MP_UNKNOWN_PEER : length > 65535 ? MP_OVERSIZE : -1;
    if (why < 0) {
        uint8_t *head = out_begin(m, peer, RECORD_HEADER + length);
        if (length) memcpy(head + RECORD_HEADER, payload, length);
        out_end(m, peer, head, type, flags, label, length, MP_UNSENT);
    } else mp_count(m, MP_UNSENT + why, 1);
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
        set_way(s, peer, c->value);
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
    case MP_PLAY: play_stream(m, c->stream); break;
    }
}

static void carry_out_all(mp *m) {
    for (uint8_t *entry; (entry = ring_first(&m->commands));) {
        const mp_command *c = (const mp_command *)entry;
        carry_out(m, c, entry + sizeof *c, c->size - sizeof *c);
        ring_drop(&m->commands, rounded(c->size));
    }
}

/* --- the link ---------------------------------------------------------------------------------------------- */

static void on_datagram(mp *m, const union name *name, uint8_t *at, size_t left) {
    fp_endpoint from;
    read_name(&from, name);
    uint32_t peer = find_peer(m, &from);
    if (peer == NO_PEER) {
        mp_count(m, MP_RECORDS, 1);
        mp_count(m, MP_DROPPED_UNKNOWN_PEER, 1);
        return;
    }
    mp_count(m, MP_DATAGRAMS, 1);
    for (size_t size; left; at += size, left -= size) {
        uint32_t length = left < RECORD_HEADER ? 0 : (uint32_t)at[2] << 8 | at[3];
        size = RECORD_HEADER + (size_t)length;
        if (size > left || at[0] < RECORD_DATA || at[0] > RECORD_LAST_TYPE) {
            mp_count(m, MP_RECORDS, 1);
            mp_count(m, MP_DROPPED_MALFORMED_LINK, 1);
            return;
        }
        on_record(m, peer, at[0], at[1], get_u32(at + 4), at + RECORD_HEADER, length);
    }
}

/* How many datagrams a batch brought. */
static int pump_link(mp *m) {
    for (int i = 0; i < LINK_BATCH; i++) m->in[i].msg_hdr.msg_namelen = sizeof m->in_names[i];
    int n = recvmmsg(m->link, m->in, LINK_BATCH, MSG_DONTWAIT, NULL);
    if (n <= 0) return 0;
    carry_out_all(m);
    for (int i = 0; i < n; i++) on_datagram(m, &m->in_names[i], m->in_buffers[i], m->in[i].msg_len);
    return n;
}

static void publish(mp *m) {
    uint64_t rounds = atomic_load_explicit(&m->rounds, memory_order_relaxed) + 1;
    atomic_thread_fence(memory_order_release); /* the last round's number is out before what it stood for is overwritten */
    for (int i = 0; i < MP_COUNTERS; i++)
        atomic_store_explicit(&m->published[rounds & 1][i], m->counters[i], memory_order_relaxed);
    atomic_store_explicit(&m->rounds, rounds, memory_order_release);
}

static void signal_python(mp *m) {
    uint64_t one = 1;
    m->unsignalled = 0;
    if (atomic_exchange_explicit(&m->armed, 0, memory_order_seq_cst)) (void)!write(m->event_fd, &one, sizeof one);
}

/* One round without waiting: what the thread does between two waits, and tests do in its place. Without the link, only
 * what Python wants. */
void mp_round(mp *m, int64_t now_ns, int with_link) {
    int n = with_link ? LINK_BATCH : 0, media = 0;
    if (now_ns > m->now_ns) m->now_ns = now_ns; /* time never goes back */
    m->now = m->now_ns / 1e9 + m->clock_offset;
    m->decisions = 0;
    carry_out_all(m);
    for (int turn = 0; n == LINK_BATCH && turn < TURNS; turn++) media += n = pump_link(m);
    play_due(m);
    out_flush(m);
    if (m->owed != NOT_OWED) pay_owed(m);
    publish(m);
    if (m->unsignalled || atomic_exchange_explicit(&m->starved, 0, memory_order_seq_cst)) signal_python(m);
    if (media || m->decisions || m->nap_ns <= m->now_ns) m->nap_ns = 0;
    if (media && n < LINK_BATCH && !m->decisions) {
        if (m->now_ns - m->turned_ns < 2 * GATHER_NS) m->nap_ns = m->now_ns + GATHER_NS;
        m->turned_ns = m->now_ns;
    }
}

static void *run(void *argument) {
    mp *m = argument;
    struct pollfd fds[] = { { m->wake_fd, POLLIN, 0 }, { m->link, POLLIN, 0 } };
    while (atomic_load_explicit(&m->running, memory_order_acquire)) {
        int64_t due = play_next(m), now = clock_ns(), wait = m->owed == NOT_OWED ? -1 : GATHER_NS;
        if (m->nap_ns) wait = m->nap_ns - now; /* what is due meanwhile leaves with what comes meanwhile */
        else if (due >= 0 && (wait < 0 || due - now < wait)) wait = due > now ? due - now : 0;
        struct timespec time = { 0, wait > 0 ? wait : 0 };
        atomic_store_explicit(&m->asleep, 1, memory_order_seq_cst);
        if (!is_wanted(m)) ppoll(fds, m->nap_ns ? 1 : 2, wait < 0 && !m->nap_ns ? NULL : &time, NULL);
        atomic_store_explicit(&m->asleep, 0, memory_order_seq_cst);
        if (fds[0].revents) {
            uint64_t woken;
            (void)!read(m->wake_fd, &woken, sizeof woken);
        }
        if (fds[1].revents & POLLNVAL) fds[1].fd = -1; /* it would spin */
        now = clock_ns();
        mp_round(m, now, now >= m->nap_ns); /* Python may wake it from a nap, and is served; the link still waits */
    }
    return NULL;
}

/* `cpu` < 0: wherever the kernel likes. */
int mp_start(mp *m, int cpu) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
    }
    sigset_t all, before; /* signals are Python's */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_store(&m->running, 1);
    m->has_thread = !pthread_create(&m->thread, &attributes, run, m);
    if (m->has_thread) pthread_setname_np(m->thread, "media");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return m->has_thread ? 0 : -1;
}
