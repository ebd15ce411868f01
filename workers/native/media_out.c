/* The way out of a media plane: records are made where they leave from, and those of a round for one relay share
 * datagrams of up to the link's mtu. */
#define _GNU_SOURCE
#include "media_plane.h"

/* --- records ---------------------------------------------------------------------------------------------- */

/* Every datagram is tried once. */
void out_flush(mp *m) {
    for (int done = 0; done < m->leg_count;) {
        int why, sent = send_some(m->link, m->out + done, m->leg_count - done, &why);
        for (int end = done + sent; done < end; done++) {
            struct leg *leg = &m->legs[done];
            mp_count(m, why < 0 ? MP_FORWARDED : MP_UNDELIVERED + MP_WOULD_BLOCK + why, leg->forwarded);
            if (why < 0) mp_count(m, MP_RECORDS_OUT, leg->forwarded + leg->given);
            else mp_count(m, MP_UNSENT + MP_WOULD_BLOCK + why, leg->given);
        }
    }
    for (uint32_t i = 0; m->leg_count && i < m->peer_count; i++) m->peers[i].leg = -1;
    m->leg_count = 0;
    m->arena_used = 0;
}

/* Where a record of up to so many bytes may be written, its own header included. */
uint8_t *out_begin(mp *m, uint32_t peer, uint32_t room) {
    int leg = m->peers[peer].leg;
    int is_full = leg < 0 || m->out[leg].msg_hdr.msg_iovlen == LEG_RECORDS;
    if (m->arena_used + room > ARENA || (is_full && m->leg_count == LEGS)) out_flush(m);
    return m->arena + m->arena_used;
}

/* To a wire at once: no two datagrams leave by the same socket, so there is nothing to share a send with. */
static void send_by_wire(mp *m, uint32_t label, const uint8_t *payload, uint32_t length, int lost) {
    const struct wire *w = label < m->max_streams * STREAM_WIRES ? &m->wires[label] : NULL;
    int why = -1;
    if (!w || w->fd < 0) why = MP_NO_WAY;
    else if (sendto(w->fd, payload, length, MSG_DONTWAIT | MSG_NOSIGNAL, &w->name.any, w->name_length) < 0) why = MP_WOULD_BLOCK + failure();
    if (lost == MP_UNDELIVERED || why >= 0) mp_count(m, why < 0 ? MP_FORWARDED : lost + why, 1);
    if (why < 0) mp_count(m, MP_RECORDS_OUT, 1);
}

/* The record is there, with a payload of `length` bytes; `lost` says where it counts if it does not leave. */
void out_end(mp *m, uint32_t number, uint8_t *head, int type, int flags, uint32_t label, uint32_t length, int lost) {
    struct peer *p = &m->peers[number];
    uint32_t size = RECORD_HEADER + length;
    if (m->wires) {
        send_by_wire(m, label, head + RECORD_HEADER, length, lost);
        return;
    }
    put_head(head, type, flags, length);
    put_u32(head + 4, label);
    m->arena_used += rounded(size);
    struct leg *leg = p->leg < 0 ? NULL : &m->legs[p->leg];
    if (!leg || leg->size + size > m->link_mtu || m->out[p->leg].msg_hdr.msg_iovlen == LEG_RECORDS) {
        if (m->leg_count == LEGS) { /* `out_begin` could not know the size: the record itself stays where it is */
            uint32_t used = m->arena_used;
            out_flush(m);
            m->arena_used = used;
        }
        p->leg = m->leg_count++;
        leg = &m->legs[p->leg];
        leg->size = leg->forwarded = leg->given = 0;
        m->out[p->leg].msg_hdr = (struct msghdr){ .msg_name = &p->name, .msg_namelen = p->name_length, .msg_iov = leg->vectors };
    }
    leg->vectors[m->out[p->leg].msg_hdr.msg_iovlen++] = (struct iovec){ head, size };
    leg->size += size;
    if (lost == MP_UNDELIVERED) leg->forwarded++;
    else leg->given++;
}

/* --- packets ---------------------------------------------------------------------------------------------- */

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

void forward_frame(mp *m, uint32_t from, int type, uint16_t sequence, uint32_t timestamp, uint32_t ssrc, const uint8_t *payload, uint32_t octets) {
    const struct stream *s = &m->streams[from];
    struct stream *to = &m->streams[s->target];
    int why = to->generation != s->target_generation ? MP_NO_TARGET : hindrance(to, type, octets);
    if (why < 0 && !renumber(to, from, ssrc, type & 0x7f, m->now, &sequence, &timestamp)) why = MP_REPLAY;
    if (why < 0) send_rtp(m, to, type, sequence, timestamp, payload, octets, MP_UNDELIVERED);
    else mp_count(m, MP_UNDELIVERED + why, 1);
}

void send_frame(mp *m, uint32_t stream, int type, uint32_t timestamp, const uint8_t *payload, uint32_t octets) {
    struct stream *s = &m->streams[stream];
    int why = hindrance(s, type, octets);
    if (why < 0) {
        s->has_origin = 0; /* what is forwarded goes on after this one */
        send_rtp(m, s, type, s->next, timestamp, payload, octets, MP_UNSENT);
    } else mp_count(m, MP_UNSENT + why, 1);
}

void send_report(mp *m, uint32_t stream, const uint8_t *report, uint32_t size) {
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

void send_record(mp *m, uint32_t peer, int type, int flags, uint32_t label, const uint8_t *payload, uint32_t length) {
    int why = peer == NO_PEER ? MP_UNKNOWN_PEER : length > 65535 ? MP_OVERSIZE : -1;
    if (why < 0) {
        uint8_t *head = out_begin(m, peer, RECORD_HEADER + length);
        if (length) memcpy(head + RECORD_HEADER, payload, length);
        out_end(m, peer, head, type, flags, label, length, MP_UNSENT);
    } else mp_count(m, MP_UNSENT + why, 1);
}
