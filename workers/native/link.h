/* The link as relay and media plane both have it: its records (workers/wire/link.py), and how datagrams leave. */
#ifndef TANDEM_LINK_H
#define TANDEM_LINK_H
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define RECORD_HEADER 8
#define RECORD_DATA 1
#define LINK_BUFFER 65536 /* a link datagram has up to 64 KiB */

static inline uint32_t get_u32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void put_u32(uint8_t *at, uint32_t value) {
    at[0] = value >> 24;
    at[1] = value >> 16;
    at[2] = value >> 8;
    at[3] = value;
}

/* A record's header but for its label, which follows. */
static inline void put_head(uint8_t *head, int type, int flags, uint32_t length) {
    head[0] = type;
    head[1] = flags;
    head[2] = length >> 8;
    head[3] = length;
}

/* The length of the payload of the first record in so many bytes; -1 if there is none. */
static inline int32_t record_length(const uint8_t *at, size_t left, int last_type) {
    uint32_t length = left < RECORD_HEADER ? 0 : (uint32_t)at[2] << 8 | at[3];
    if (RECORD_HEADER + (size_t)length > left || at[0] < RECORD_DATA || at[0] > last_type) return -1;
    return length;
}

/* Which of five counters in a row a failed send belongs to. */
static inline int failure(void) {
    switch (errno) {
    case EAGAIN: return 0;
    case ECONNREFUSED: case EPERM: case EACCES: return 1;
    case EHOSTUNREACH: case ENETUNREACH: case EADDRNOTAVAIL: case EINVAL: return 2;
    case EMSGSIZE: return 3;
    default: return 4;
    }
}

/* Every message is tried once: how many are done with, of which `why` is true. -1: they have left; else one has not, and
 * this is its `failure`. */
static inline int send_some(int fd, struct mmsghdr *messages, int n, int *why) {
    int sent = sendmmsg(fd, messages, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    *why = sent > 0 ? -1 : failure();
    return sent > 0 ? sent : 1;
}
#endif
