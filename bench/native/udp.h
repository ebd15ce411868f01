/* What the bench's three programs share: sockets, batches, options. */
#ifndef BENCH_UDP_H
#define BENCH_UDP_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define SMALL 2048
#define LARGE 65536

static inline struct sockaddr_in address_of(const char *text) {
    struct sockaddr_in name = { .sin_family = AF_INET };
    char host[64];
    const char *colon = strchr(text, ':');
    if (!colon || colon - text >= (long)sizeof host) { fprintf(stderr, "%s is not ADDRESS:PORT\n", text); exit(64); }
    memcpy(host, text, colon - text);
    host[colon - text] = 0;
    if (inet_pton(AF_INET, host, &name.sin_addr) != 1) { fprintf(stderr, "%s is not an IPv4 address\n", host); exit(64); }
    name.sin_port = htons(atoi(colon + 1));
    return name;
}

/* As Tandem's sockets have it, so that no contender loses for want of buffers. */
static inline void give_room(int fd) {
    int bytes = 4 << 20;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes))
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

static inline int bound_to(const char *text) {
    struct sockaddr_in name = address_of(text);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    give_room(fd);
    if (bind(fd, (struct sockaddr *)&name, sizeof name)) { perror(text); exit(1); }
    return fd;
}

static inline void say_address(int fd) {
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    getsockname(fd, (struct sockaddr *)&name, &length);
    printf("%s:%d\n", inet_ntoa(name.sin_addr), ntohs(name.sin_port));
    fflush(stdout);
}

/* Every message once, waiting where there is no room. */
static inline void send_all(int fd, struct mmsghdr *messages, int n) {
    for (int sent = 0; sent < n;) {
        int more = sendmmsg(fd, messages + sent, n - sent, 0);
        if (more > 0) { sent += more; continue; }
        struct pollfd room = { fd, POLLOUT, 0 };
        if (errno == EAGAIN) poll(&room, 1, 100);
        else sent++;
    }
}

/* Whoever started us is gone: so are we. */
static inline void end_with_parent(void) { prctl(PR_SET_PDEATHSIG, SIGKILL); }

static inline double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}
#endif
