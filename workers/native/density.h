/* How dense datagrams are: the next ones will be as the last ones were. */
#ifndef TANDEM_DENSITY_H
#define TANDEM_DENSITY_H
#include <stdint.h>

struct density {
    int64_t since, gap;
    uint32_t datagrams; /* read from sockets since then */
};

/* ns from one datagram to the next, in the mean of a window that is over; 0: none is yet. */
static inline int64_t density_gap(struct density *d, int64_t now, int64_t window) {
    int64_t elapsed = now - d->since;
    if (elapsed >= window) *d = (struct density){ .since = now, .gap = d->datagrams ? elapsed / d->datagrams : elapsed };
    return d->gap;
}

#endif
