/* forward mmsg|pack LISTEN BACKEND -- the two minimal forwarders that Tandem is held against.
 *
 * mmsg: recvmmsg on one side, sendmmsg on the other, one datagram for one datagram.
 * pack: the same, but all datagrams of a batch go to the back end as records of one datagram, or two, and back.
 *
 * Neither has a flow table to speak of (the client's address is an array index), a limit, or a counter: they
 * are what the sockets cost. The load puts room for the index at bytes 2-3 of each datagram. */
#include "udp.h"

#define LARGEST 65000

static struct sockaddr_in clients[65536], backend;
static uint8_t bytes[BATCH][SMALL], large[8][LARGE];
static struct mmsghdr in[BATCH], out[LARGE / 16];
static struct iovec in_vectors[BATCH], out_vectors[LARGE / 16];
static struct sockaddr_in names[BATCH];
static uint16_t lengths[BATCH];

static int receive(int fd, uint8_t *room, size_t each, int count) {
    for (int i = 0; i < count; i++) {
        in_vectors[i] = (struct iovec){ room + i * each, each };
        in[i].msg_hdr = (struct msghdr){ .msg_name = &names[i], .msg_namelen = sizeof names[i],
                                         .msg_iov = &in_vectors[i], .msg_iovlen = 1 };
    }
    int n = recvmmsg(fd, in, count, MSG_DONTWAIT, NULL);
    return n < 0 ? 0 : n;
}

static int to_backend(int public, int link, int pack) {
    int n = receive(public, bytes[0], SMALL, BATCH);
    for (int i = 0; i < n; i++) {
        uint16_t id = ntohl(names[i].sin_addr.s_addr) & 0xffff;
        clients[id] = names[i];
        memcpy(bytes[i] + 2, &id, 2);
        in_vectors[i].iov_len = in[i].msg_len;
        in[i].msg_hdr.msg_name = &backend;
    }
    if (!pack) { send_all(link, in, n); return n == BATCH; }
    if (!n) return 0;
    for (int i = 0, first = 0, size = 0; i <= n; i++) {
        if (i == n || size + 2 + in[i].msg_len > LARGEST) { /* no UDP datagram is larger */
            struct msghdr one = { .msg_name = &backend, .msg_namelen = sizeof backend, .msg_iov = out_vectors + 2 * first,
                                  .msg_iovlen = 2 * (i - first) };
            sendmsg(link, &one, 0);
            first = i;
            size = 0;
        }
        if (i == n) break;
        lengths[i] = in[i].msg_len;
        out_vectors[2 * i] = (struct iovec){ &lengths[i], 2 };
        out_vectors[2 * i + 1] = in_vectors[i];
        size += 2 + lengths[i];
    }
    return n == BATCH;
}

static int to_clients(int public, int link, int pack) {
    int n = pack ? receive(link, large[0], LARGE, 8) : receive(link, bytes[0], SMALL, BATCH), count = 0;
    for (int i = 0; i < n; i++) {
        uint8_t *at = in_vectors[i].iov_base, *end = at + in[i].msg_len;
        while (at < end && count < LARGE / 16) {
            uint16_t id, length = end - at;
            if (pack) { memcpy(&length, at, 2); at += 2; }
            memcpy(&id, at + 2, 2);
            out_vectors[count] = (struct iovec){ at, length };
            out[count].msg_hdr = (struct msghdr){ .msg_name = &clients[id], .msg_namelen = sizeof clients[id],
                                                  .msg_iov = &out_vectors[count], .msg_iovlen = 1 };
            count++;
            at += length;
        }
    }
    send_all(public, out, count);
    return n == (pack ? 8 : BATCH);
}

int main(int argc, char **argv) {
    if (argc != 4) { fprintf(stderr, "usage: forward mmsg|pack LISTEN BACKEND\n"); return 64; }
    end_with_parent();
    int pack = !strcmp(argv[1], "pack"), public = bound_to(argv[2]), link = bound_to("127.0.0.1:0");
    backend = address_of(argv[3]);
    say_address(public);
    for (;;) {
        struct pollfd ready[2] = { { public, POLLIN, 0 }, { link, POLLIN, 0 } };
        poll(ready, 2, 1000);
        for (int turn = 0, more = 1; more && turn < 16; turn++) {
            more = ready[0].revents && to_backend(public, link, pack);
            more |= ready[1].revents && to_clients(public, link, pack);
        }
    }
}
