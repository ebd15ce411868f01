/* What coverage-guided fuzzing has in the kernel's place: no socket, no clock, no randomness, so that an input is all
 * there is. Included before the C under test, whose calls end here; and what all guided fuzzers share beside it.
 *
 * An input is a row of operations: what, who, the length of what follows in two bytes, and that. The upper bit of
 * `what` has it repeated until it is as long as a datagram may be.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHECK(what) do { if (!(what)) { fprintf(stderr, "broken: %s\n", #what); abort(); } } while (0)
#define DATAGRAMS 512
#define LARGEST 65507
#define LINK 100
#define PUBLIC 101
#define EPOLL 200
#define WIRE 1000 /* sockets of callers; every other one is of IPv6 */
#define MOST_WIRES 4096

union pretended { struct sockaddr_in v4; struct sockaddr_in6 v6; struct sockaddr any; };
struct datagram { int fd; union pretended from; uint32_t length; uint8_t *bytes; };

static struct datagram queue[DATAGRAMS];
static int queued, failing;
static int64_t pretended_ns;
static volatile uint8_t swallowed;
static uint64_t bytes_in[2], bytes_out[2]; /* of the link, of all other sockets */

static struct { uint8_t is_open, is_watched; uint32_t data; } wires[MOST_WIRES];
static int wires_given; /* descriptors WIRE, WIRE + 1, ... so far */

static int family_of(int fd) { return fd == PUBLIC + 1 || (fd >= WIRE && fd % 2) ? AF_INET6 : AF_INET; }

static socklen_t name_of(union pretended *name, int family, uint8_t host, uint8_t port) {
    memset(name, 0, sizeof *name);
    name->any.sa_family = family;
    name->v4.sin_port = htons(4000 + port); /* the same place in both */
    if (family == AF_INET) name->v4.sin_addr.s_addr = htonl(0x7f000000u | host);
    else name->v6.sin6_addr.s6_addr[15] = host;
    return family == AF_INET ? sizeof name->v4 : sizeof name->v6;
}

static int pretend_getsockname(int fd, struct sockaddr *to, socklen_t *length) {
    union pretended name;
    *length = name_of(&name, family_of(fd), fd, 0);
    memcpy(to, &name, *length);
    return 0;
}

static int pretend_clock_gettime(clockid_t clock, struct timespec *to) {
    (void)clock;
    *to = (struct timespec){ pretended_ns / 1000000000, pretended_ns % 1000000000 };
    return 0;
}

static inline ssize_t pretend_getrandom(void *to, size_t n, unsigned flags) {
    (void)flags;
    memset(to, 0x5c, n);
    return n;
}

static int pretend_recvmmsg(int fd, struct mmsghdr *messages, unsigned room, int flags, struct timespec *timeout) {
    unsigned n = 0;
    (void)flags, (void)timeout;
    for (int i = 0; i < queued && n < room; i++) {
        struct datagram *d = &queue[i];
        if (d->fd != fd || !d->bytes) continue;
        struct msghdr *to = &messages[n].msg_hdr;
        uint32_t length = d->length < to->msg_iov->iov_len ? d->length : to->msg_iov->iov_len;
        memcpy(to->msg_iov->iov_base, d->bytes, length);
        memcpy(to->msg_name, &d->from, sizeof d->from);
        messages[n++].msg_len = length;
        bytes_in[fd != LINK] += length;
        free(d->bytes);
        d->bytes = NULL;
    }
    while (queued && !queue[queued - 1].bytes) queued--;
    errno = EAGAIN;
    return n ? (int)n : -1;
}

static void left(int fd, const union pretended *to);

static int pretend_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
    static const int reasons[] = { EAGAIN, ECONNREFUSED, EINVAL, EMSGSIZE, ENOBUFS };
    (void)flags;
    for (unsigned i = 0; i < count; i++) {
        struct msghdr *m = &messages[i].msg_hdr;
        union pretended name = { 0 };
        size_t length = 0;
        CHECK(m->msg_namelen == (family_of(fd) == AF_INET ? sizeof name.v4 : sizeof name.v6));
        memcpy(&name, m->msg_name, m->msg_namelen);
        CHECK(name.any.sa_family == family_of(fd));
        for (size_t j = 0; j < m->msg_iovlen; length += m->msg_iov[j++].iov_len)
            for (size_t k = 0; k < m->msg_iov[j].iov_len; k++) swallowed += ((uint8_t *)m->msg_iov[j].iov_base)[k];
        errno = length > LARGEST ? EMSGSIZE : failing ? reasons[failing % 5] : 0;
        if (errno) {
            if (failing) failing--;
            return i ? (int)i : -1;
        }
        bytes_out[fd != LINK] += length;
        left(fd, &name);
    }
    return count;
}

static inline int pretend_epoll_create1(int flags) {
    (void)flags;
    return EPOLL;
}

static inline int pretend_epoll_ctl(int set, int what, int fd, struct epoll_event *event) {
    CHECK(set == EPOLL && fd >= WIRE && fd < WIRE + wires_given && wires[fd - WIRE].is_open);
    CHECK(wires[fd - WIRE].is_watched == (what == EPOLL_CTL_DEL));
    if (what == EPOLL_CTL_ADD && failing % 5 == 4) return failing--, -1;
    wires[fd - WIRE].is_watched = what == EPOLL_CTL_ADD;
    if (event) wires[fd - WIRE].data = event->data.u32;
    return 0;
}

static inline int pretend_epoll_wait(int set, struct epoll_event *events, int room, int timeout) {
    int n = 0;
    CHECK(set == EPOLL && !timeout);
    for (int i = 0; i < wires_given && n < room; i++)
        for (int j = 0; wires[i].is_watched && j < queued; j++)
            if (queue[j].fd == WIRE + i && queue[j].bytes) {
                events[n++].data.u32 = wires[i].data;
                break;
            }
    return n;
}

static inline ssize_t pretend_recvfrom(int fd, void *to, size_t room, int flags, struct sockaddr *from, socklen_t *length) {
    struct iovec vector = { to, room };
    struct mmsghdr message = { .msg_hdr = { .msg_name = from, .msg_namelen = *length, .msg_iov = &vector, .msg_iovlen = 1 } };
    CHECK(fd >= WIRE && fd < WIRE + wires_given && wires[fd - WIRE].is_open);
    return pretend_recvmmsg(fd, &message, 1, flags, NULL) == 1 ? (ssize_t)message.msg_len : -1;
}

static inline ssize_t pretend_sendto(int fd, const void *from, size_t length, int flags, const struct sockaddr *to, socklen_t size) {
    struct iovec vector = { (void *)from, length };
    struct mmsghdr message = { .msg_hdr = { .msg_name = (void *)to, .msg_namelen = size, .msg_iov = &vector, .msg_iovlen = 1 } };
    CHECK(fd >= WIRE && fd < WIRE + wires_given && wires[fd - WIRE].is_open);
    return pretend_sendmmsg(fd, &message, 1, flags) == 1 ? (ssize_t)length : -1;
}

static inline int pretend_close(int fd) {
    if (fd == EPOLL) return 0;
    if (fd < WIRE) return close(fd);
    CHECK(fd < WIRE + wires_given && wires[fd - WIRE].is_open && !wires[fd - WIRE].is_watched);
    wires[fd - WIRE].is_open = 0;
    return 0;
}

/* A datagram that waits at a socket. */
static void arrive(int fd, int host, int port, const uint8_t *bytes, uint32_t length) {
    if (queued == DATAGRAMS) return;
    struct datagram *d = &queue[queued++];
    d->fd = fd;
    name_of(&d->from, family_of(fd), host, port);
    d->bytes = malloc(length ? length : 1);
    d->length = length;
    memcpy(d->bytes, bytes, length);
}

static void forget_all(void) {
    while (queued) free(queue[--queued].bytes);
    failing = 0;
    pretended_ns = 1000000000000;
    memset(bytes_in, 0, sizeof bytes_in);
    memset(bytes_out, 0, sizeof bytes_out);
    memset(wires, 0, sizeof wires);
    wires_given = 0;
}

struct operation { uint8_t what, who; uint32_t length; const uint8_t *bytes; };

/* The next of an input; 0 after the last. */
static int next_operation(const uint8_t **data, size_t *size, struct operation *o) {
    static uint8_t repeated[LARGEST];
    if (*size < 4) return 0;
    const uint8_t *at = *data;
    uint32_t length = at[2] | (uint32_t)at[3] << 8;
    *o = (struct operation){ at[0] & 127, at[1], length < *size - 4 ? length : *size - 4, at + 4 };
    *data += 4 + o->length;
    *size -= 4 + o->length;
    if (at[0] & 128 && o->length) {
        for (uint32_t i = 0; i < LARGEST; i++) repeated[i] = o->bytes[i % o->length];
        o->bytes = repeated;
        o->length = LARGEST;
    }
    return 1;
}

static inline uint8_t byte_at(const struct operation *o, uint32_t i) { return i < o->length ? o->bytes[i] : 0; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef ALONE /* without libFuzzer: each argument is a file with an input */
int main(int count, char **names) {
    static uint8_t data[1 << 20];
    for (int i = 1; i < count; i++) {
        FILE *file = fopen(names[i], "rb");
        CHECK(file);
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("%d inputs\n", count - 1);
    return 0;
}
#endif

#define getsockname pretend_getsockname
#define clock_gettime pretend_clock_gettime
#define getrandom pretend_getrandom
#define recvmmsg pretend_recvmmsg
#define sendmmsg pretend_sendmmsg
#define epoll_create1 pretend_epoll_create1
#define epoll_ctl pretend_epoll_ctl
#define epoll_wait pretend_epoll_wait
#define recvfrom pretend_recvfrom
#define sendto pretend_sendto
#define close pretend_close
