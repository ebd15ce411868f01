/* flood --target A:P --file PATH --size S --rate R --seconds T
 *
 * Sends the file's datagrams, S bytes each, round and round, from random addresses of 127.16.0.0/12: to a relay, as
 * many strangers. SEGMENTS in a row come from one address, since the kernel makes them of one send (UDP_SEGMENT) for a
 * tenth of what as many sends cost: the flood shall not be what keeps the machine busy. Prints one JSON line: sent,
 * and datagrams a second. */
#include "udp.h"
#include <netinet/udp.h>

#define SEGMENTS 16
#define MESSAGES 4
#define CATCH_UP 0.01 /* seconds: what a busy machine kept from being sent before that stays unsent */

int main(int argc, char **argv) {
    struct sockaddr_in target = { 0 };
    int size = 0, rate = 200000;
    double run = 1;
    const char *path = "";
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--target")) target = address_of(value);
        else if (!strcmp(name, "--file")) path = value;
        else if (!strcmp(name, "--size")) size = atoi(value);
        else if (!strcmp(name, "--rate")) rate = atoi(value);
        else if (!strcmp(name, "--seconds")) run = atof(value);
    }
    end_with_parent();
    static uint8_t bytes[1 << 22];
    FILE *file = fopen(path, "rb");
    size_t held = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    int count = size > 0 ? (int)(held / size) : 0, next = 0;
    if (count < SEGMENTS) { fprintf(stderr, "flood: bad arguments\n"); return 64; }
    int fd = bound_to("0.0.0.0:0");
    if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size)) { perror("UDP_SEGMENT"); return 1; }
    static struct mmsghdr sends[MESSAGES];
    static struct iovec vectors[MESSAGES];
    static _Alignas(8) char controls[MESSAGES][CMSG_SPACE(sizeof(struct in_pktinfo))];
    for (int i = 0; i < MESSAGES; i++) {
        vectors[i].iov_len = (size_t)SEGMENTS * size;
        sends[i].msg_hdr = (struct msghdr){ .msg_name = &target, .msg_namelen = sizeof target, .msg_iov = &vectors[i],
                                            .msg_iovlen = 1, .msg_control = controls[i], .msg_controllen = sizeof controls[i] };
        struct cmsghdr *control = CMSG_FIRSTHDR(&sends[i].msg_hdr);
        control->cmsg_level = IPPROTO_IP;
        control->cmsg_type = IP_PKTINFO;
        control->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
    }
    uint64_t sent = 0;
    uint32_t random = 2463534242u;
    double start = seconds(), now = start, last = start, owed = 0;
    for (; now < start + run; now = seconds()) {
        owed += (now - last) * rate;
        last = now;
        if (owed > rate * CATCH_UP) owed = rate * CATCH_UP;
        if (owed < SEGMENTS * MESSAGES) { usleep(200); continue; }
        for (int i = 0; i < MESSAGES; i++) {
            random ^= random << 13; random ^= random >> 17; random ^= random << 5; /* xorshift */
            struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(0x7f100001 + random % 0xffffe) };
            memcpy(CMSG_DATA(CMSG_FIRSTHDR(&sends[i].msg_hdr)), &info, sizeof info);
            vectors[i].iov_base = bytes + (size_t)next * size;
            next = next + 2 * SEGMENTS > count ? 0 : next + SEGMENTS;
        }
        int n = sendmmsg(fd, sends, MESSAGES, 0);
        if (n > 0) { sent += n * SEGMENTS; owed -= n * SEGMENTS; }
    }
    printf("{\"sent\": %lu, \"per_second\": %.0f}\n", sent, sent / (now - start));
    return 0;
}
