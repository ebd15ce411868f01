/* The way in: what comes on the link is authenticated, decrypted, counted, and handed on to a stream or up to Python. No
 * parser of anything but RTP's header. As AudioStream.receive in workers/transceiver/core/audio.py. */
#define _GNU_SOURCE
#include "media_plane.h"

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

/* --- packets ---------------------------------------------------------------------------------------------- */

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
    if (m->probes && probe_heard(m, number, timestamp, packet + start, end - start)) mp_count(m, MP_HANDED_UP, 1);
    else (s->forwards ? forward_frame : hand_up)(m, number, type, sequence, timestamp, ssrc, packet + start, end - start);
}

static void on_rtcp(mp *m, uint32_t number, const uint8_t *packet, uint32_t length) {
    struct stream *s = &m->streams[number];
    mp_event e = { .kind = MP_EVENT_REPORT, .stream = number, .at = m->now };
    s->stats.reports_in++;
    publish_stats(s);
    if (may_wait(m, number, 0) && event_push(&m->events, &e, packet, length, NULL, 0)) { /* Python may sleep on */
        if (!m->tell_ns) m->tell_ns = m->now_ns + REPORT_WAIT_NS;
        waits(m, number, 0);
        mp_count(m, MP_REPORTS, 1);
    } else mp_count(m, MP_DROPPED_QUEUE_FULL, 1);
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
    if (m->takes_way) set_way(s, peer, label, 1);
    tell_of_media(m, s, b, peer, label);
    (is_rtcp ? on_rtcp : on_rtp)(m, number, aligned, size);
}

void on_record(mp *m, uint32_t peer, int type, int flags, uint32_t label, uint8_t *payload, uint32_t length) {
    binding *b = label_find(&m->labels, label_key(label, peer));
    mp_count(m, MP_RECORDS, 1);
    if (b && type == RECORD_DATA && length && payload[0] >= 128 && payload[0] < 192) on_media(m, b, peer, label, payload, length);
    else raise_record(m, &m->peers[peer], b ? bound_stream(*b) : MP_NO_STREAM, type, flags, label, payload, length);
}

/* --- datagrams -------------------------------------------------------------------------------------------- */

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
    int32_t length;
    for (; left; at += RECORD_HEADER + length, left -= RECORD_HEADER + length) {
        if ((length = record_length(at, left, RECORD_LAST_TYPE)) < 0) {
            mp_count(m, MP_RECORDS, 1);
            mp_count(m, MP_DROPPED_MALFORMED_LINK, 1);
            return;
        }
        on_record(m, peer, at[0], at[1], get_u32(at + 4), at + RECORD_HEADER, length);
    }
}

/* What the first packet of each datagram needs is in no near cache: all of it is fetched at once. */
static void prefetch(mp *m, int n) {
    const struct stream *found[LINK_BATCH];
    int count = 0;
    for (int i = 0; i < n; i++) {
        fp_endpoint from;
        read_name(&from, &m->in_names[i]);
        uint32_t peer = find_peer(m, &from);
        if (peer == NO_PEER || m->in[i].msg_len < RECORD_HEADER) continue;
        const binding *b = label_find(&m->labels, label_key(get_u32(m->in_buffers[i] + 4), peer));
        if (!b) continue;
        const struct stream *s = found[count++] = &m->streams[bound_stream(*b)];
        for (size_t at = 0; at < sizeof *s; at += 64) __builtin_prefetch((const uint8_t *)s + at);
    }
    for (int i = 0; i < count; i++) { /* a prefetch of no address is none */
        __builtin_prefetch(found[i]->in);
        __builtin_prefetch(found[i]->out);
    }
}

/* How many datagrams a batch brought. */
int pump_link(mp *m) {
    for (int i = 0; i < LINK_BATCH; i++) m->in[i].msg_hdr.msg_namelen = sizeof m->in_names[i];
    int n = recvmmsg(m->link, m->in, LINK_BATCH, MSG_DONTWAIT, NULL);
    if (n <= 0) return 0;
    carry_out_all(m);
    prefetch(m, n);
    for (int i = 0; i < n; i++) on_datagram(m, &m->in_names[i], m->in_buffers[i], m->in[i].msg_len);
    return n;
}
