/* segment RUN SIZE -- what UDP_SEGMENT would save on the clients' leg: microseconds of CPU per datagram for
 * sendmmsg of single datagrams, and for the same ones RUN at a time to each client, one after another.
 * Prints one JSON line. The receivers are sockets of this process on loopback, emptied in between. */
#include "udp.h"
#include <netinet/udp.h>
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define CLIENTS 32
#define TURNS 4000

static double cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static struct sockaddr_in names[CLIENTS];
static int clients[CLIENTS];
static uint8_t bytes[65536];

/* Every turn: `run` datagrams to each client, in one system call per BATCH messages. */
static double measure(int from, int run, int size, int segment) {
    static struct mmsghdr messages[CLIENTS * 16];
    static _Alignas(8) char controls[CLIENTS][CMSG_SPACE(sizeof(uint16_t))];
    struct iovec whole = { bytes, size * run }, one = { bytes, size };
    int n = 0;
    for (int c = 0; c < CLIENTS; c++)
        for (int i = 0; i < (segment ? 1 : run); i++, n++) {
            struct msghdr *head = &messages[n].msg_hdr;
            *head = (struct msghdr){ .msg_name = &names[c], .msg_namelen = sizeof names[c],
                                     .msg_iov = segment ? &whole : &one, .msg_iovlen = 1 };
            if (!segment) continue;
            head->msg_control = controls[c];
            head->msg_controllen = sizeof controls[c];
            struct cmsghdr *control = CMSG_FIRSTHDR(head);
            control->cmsg_level = IPPROTO_UDP;
            control->cmsg_type = UDP_SEGMENT;
            control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
            *(uint16_t *)CMSG_DATA(control) = size;
        }
    double used = 0;
    for (int turn = 0; turn < TURNS; turn++) {
        double before = cpu();
        send_all(from, messages, n);
        used += cpu() - before;
        for (int c = 0; c < CLIENTS; c++)
            while (recv(clients[c], bytes, sizeof bytes, MSG_DONTWAIT) > 0) continue;
    }
    return used / ((double)TURNS * CLIENTS * run);
}

int main(int argc, char **argv) {
    int run = argc > 1 ? atoi(argv[1]) : 2, size = argc > 2 ? atoi(argv[2]) : 160, from = bound_to("127.0.0.1:0");
    if (run < 1 || run > 16 || size < 1 || size > 1400) { fprintf(stderr, "usage: segment RUN SIZE\n"); return 64; }
    for (int c = 0; c < CLIENTS; c++) {
        socklen_t length = sizeof names[c];
        clients[c] = bound_to("127.0.0.1:0");
        getsockname(clients[c], (struct sockaddr *)&names[c], &length);
    }
    measure(from, run, size, 0);
    double single = measure(from, run, size, 0), segmented = measure(from, run, size, 1);
    printf("{\"run\": %d, \"size\": %d, \"single_us\": %.2f, \"segmented_us\": %.2f}\n", run, size, single, segmented);
    return 0;
}
