/* Streams with sockets of their own, as browsers have them, instead of a link: the plane of who calls. A label is the
 * number of a wire, which is one of a stream's sockets and an address; everything comes from peer 0. */
#define _GNU_SOURCE
#include <sys/epoll.h>
#include <unistd.h>
#include "media_plane.h"

int wires_new(mp *m) {
    uint32_t count = m->max_streams * STREAM_WIRES;
    m->wires = calloc(count, sizeof *m->wires);
    if (!m->wires) return 0;
    for (uint32_t i = 0; i < count; i++) m->wires[i].fd = -1;
    m->link = epoll_create1(EPOLL_CLOEXEC);
    m->probes = calloc(m->max_streams, sizeof *m->probes);
    return m->link >= 0 && m->probes;
}

void unplug(mp *m, uint32_t first) {
    struct wire *w = &m->wires[first];
    if (!w->count) return;
    epoll_ctl(m->link, EPOLL_CTL_DEL, w->fd, NULL); /* Python may have the socket, too */
    close(w->fd);
    for (uint32_t i = w->count; i--;) w[i] = (struct wire){ .fd = -1 };
}

void wires_free(mp *m) {
    if (!m->wires) return;
    for (uint32_t i = 0; i < m->max_streams * STREAM_WIRES; i++) unplug(m, i);
    if (m->link >= 0) close(m->link);
    free(m->wires);
    free(m->probes);
}

int is_plug(const mp *m, const mp_command *c, const uint8_t *body, uint32_t length) {
    mp_plug p;
    if (!m->wires || c->has_relay || length < sizeof p) return 0;
    memcpy(&p, body, sizeof p);
    uint32_t most = m->max_streams * STREAM_WIRES;
    return p.fd >= 0 && p.count && p.count <= STREAM_WIRES && c->value < most && p.count <= most - c->value &&
           length == sizeof p + p.count * ADDRESS_ROOM;
}

/* A socket, and the wires from `first` on that share it. */
void plug(mp *m, uint32_t first, const uint8_t *body) {
    fp_endpoint bound;
    mp_plug p;
    memcpy(&p, body, sizeof p);
    int family = bound_to(p.fd, &bound);
    struct epoll_event event = { .events = EPOLLIN, .data.u32 = first };
    for (uint32_t i = first < STREAM_WIRES ? 0 : first - STREAM_WIRES + 1; i < first + p.count; i++)
        if (i + m->wires[i].count > first) unplug(m, i);
    if (family < 0 || epoll_ctl(m->link, EPOLL_CTL_ADD, p.fd, &event)) {
        close(p.fd);
        return;
    }
    for (uint32_t i = 0; i < p.count; i++) {
        struct wire *w = &m->wires[first + i];
        *w = (struct wire){ .fd = p.fd, .count = i ? 0 : p.count };
        memcpy(&w->at, body + sizeof p + i * ADDRESS_ROOM, sizeof w->at);
        w->name_length = write_name(&w->name, &w->at, family);
    }
}

/* One datagram; if there are more, the socket stays ready. */
static void read_wire(mp *m, uint32_t first) {
    const struct wire *w = &m->wires[first];
    union name name;
    socklen_t length = sizeof name;
    fp_endpoint from;
    ssize_t size = recvfrom(w->fd, m->in_buffers[0], LINK_BUFFER, MSG_DONTWAIT, &name.any, &length);
    if (size < 0) return;
    look_at_clock(m);
    read_name(&from, &name);
    for (uint32_t i = 0; i < w->count; i++)
        if (!memcmp(&w[i].at, &from, sizeof from)) {
            mp_count(m, MP_DATAGRAMS, 1);
            on_record(m, 0, RECORD_DATA, 0, first + i, m->in_buffers[0], size);
            return;
        }
    mp_count(m, MP_RECORDS, 1);
    mp_count(m, MP_DROPPED_UNKNOWN_PEER, 1);
}

/* LINK_BATCH if there may be more. */
int pump_wires(mp *m) {
    struct epoll_event ready[LINK_BATCH];
    int n, done = 0;
    do {
        n = epoll_wait(m->link, ready, LINK_BATCH, 0);
        for (int i = 0; i < n; i++) read_wire(m, ready[i].data.u32);
        done += n > 0 ? n : 0;
    } while (n > 0 && done < LINK_BATCH);
    return done < LINK_BATCH ? done : LINK_BATCH;
}
