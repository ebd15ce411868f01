/* The way out of a media plane: records are made where they leave from, and those of a round for one relay share
 * datagrams of up to the link's mtu. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/uio.h>
#include "media_plane.h"

/* Which of five counters in a row a failed send belongs to. */
static int reason(void) {
    switch (errno) {
    case EAGAIN: return MP_WOULD_BLOCK;
    case ECONNREFUSED: case EPERM: case EACCES: return MP_REFUSED;
    case EHOSTUNREACH: case ENETUNREACH: case EADDRNOTAVAIL: case EINVAL: return MP_UNREACHABLE;
    case EMSGSIZE: return MP_TOO_BIG;
    default: return MP_NO_BUFFERS;
    }
}

/* Every datagram is tried once. */
void out_flush(mp *m) {
    for (int done = 0; done < m->leg_count;) {
        int sent = sendmmsg(m->link, m->out + done, m->leg_count - done, MSG_DONTWAIT | MSG_NOSIGNAL), why = -1;
        if (sent <= 0) {
            why = reason();
            sent = 1;
        }
        for (int end = done + sent; done < end; done++) {
            struct leg *leg = &m->legs[done];
            mp_count(m, why < 0 ? MP_FORWARDED : MP_UNDELIVERED + why, leg->forwarded);
            if (why < 0) mp_count(m, MP_RECORDS_OUT, leg->forwarded + leg->given);
            else mp_count(m, MP_UNSENT + why, leg->given);
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

/* The record is there, with a payload of `length` bytes; `lost` says where it counts if it does not leave. */
void out_end(mp *m, uint32_t number, uint8_t *head, int type, int flags, uint32_t label, uint32_t length, int lost) {
    struct peer *p = &m->peers[number];
    uint32_t size = RECORD_HEADER + length;
    head[0] = type;
    head[1] = flags;
    head[2] = length >> 8;
    head[3] = length;
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
