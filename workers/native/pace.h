/* When a datapath's thread looks at its sockets again.
 *
 * A wake-up costs as much as several datagrams. Where datagrams are dense, the next look comes some time after the
 * last one's beginning, so that several share a wake-up: as long as GATHER of them take to come, and never longer
 * than REST_MOST. Where they are sparse, hardly one would come meanwhile, and none is kept waiting. Where they are so
 * dense that rounds are full by themselves, there is nothing to wait for.
 */
#ifndef TANDEM_PACE_H
#define TANDEM_PACE_H
#include "density.h"

#define GATHER 3
#define REST_MOST 250000      /* ns */
#define REST_LEAST 20000      /* a shorter one is not worth its timer */
#define SPARSE 200000         /* ns from one datagram to the next */
#define PACE_WINDOW 10000000  /* ns that say how dense they are */

/* A round began at `now`, ns, and is over: for how long from its beginning sockets are left alone. */
static inline int64_t pace_rest(struct density *d, int64_t now) {
    int64_t gap = density_gap(d, now, PACE_WINDOW), rest = GATHER * gap;
    if (gap > SPARSE || rest < REST_LEAST) return 0;
    return rest > REST_MOST ? REST_MOST : rest;
}
#endif
