/* How datagrams leave: every one is tried once and counted, records for one peer share as few as they fit into. */
#ifndef TANDEM_DEPARTURE_H
#define TANDEM_DEPARTURE_H
#include "datapath.h"

/* Every message is tried once. `weigh` says how many datagrams of clients one stands for. */
static inline void send_all(fp *f, int fd, struct mmsghdr *messages, int n, int sent_to, int dropped_to, int weigh) {
    for (int done = 0; done < n;) {
        int why, sent = send_some(fd, messages + done, n - done, &why), to = why < 0 ? sent_to : dropped_to + why;
        for (int end = done + sent; done < end; done++) count(f, to, weigh ? messages[done].msg_hdr.msg_iovlen / 2 : 1);
    }
}

/* Link datagrams of one batch, each for one peer, all out of one socket. */
struct departure { int fd, family, sent_to, dropped_to; };

static inline void depart(fp *f, int *legs, struct departure by) {
    send_all(f, by.fd, f->out, *legs, by.sent_to, by.dropped_to, 1);
    *legs = 0;
}

/* A header without its label is at `head`, the payload wherever it came. */
static inline void add_record(fp *f, int *legs, struct departure by, const fp_endpoint *peer, uint32_t label, uint8_t *head,
                       uint8_t *payload, uint32_t length) {
    uint32_t size = RECORD_HEADER + length;
    put_u32(head + 4, label);
    int at = *legs - 1;
    while (at >= 0 && (memcmp(&f->legs[at].peer, peer, sizeof *peer) || f->legs[at].size + size > f->link_mtu ||
                       f->out[at].msg_hdr.msg_iovlen == 2 * BATCH)) at--;
    int is_new = at < 0;
    if (is_new && *legs == BATCH) depart(f, legs, by);
    if (is_new) at = (*legs)++;
    struct leg *leg = &f->legs[at];
    struct msghdr *message = &f->out[at].msg_hdr;
    if (is_new) {
        leg->peer = *peer;
        leg->size = 0;
        *message = (struct msghdr){ .msg_name = &leg->name, .msg_iov = leg->vectors };
        message->msg_namelen = write_name(&leg->name, peer, by.family);
    }
    leg->vectors[message->msg_iovlen++] = (struct iovec){ head, RECORD_HEADER };
    leg->vectors[message->msg_iovlen++] = (struct iovec){ payload, length };
    leg->size += size;
}

static inline struct departure to_link(const fp *f) {
    return (struct departure){ f->link, f->link_family, FP_FORWARDED, FP_DROPPED_WOULD_BLOCK };
}

static inline struct departure to_globals(const fp *f) {
    const struct port *p = f->ports[f->ingress];
    return (struct departure){ p->fd, p->family, FP_RETURNED, FP_RECORDS_WOULD_BLOCK };
}
#endif
